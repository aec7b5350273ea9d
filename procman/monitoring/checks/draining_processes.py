"""PM117: check that the earlier processes of a worker that overlaps still act while they finish their tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator

from procman.accounts import user_id
from procman.agent.heartbeat_format import FILE, MAX_BYTES, read
from procman.agent.verdict import format_duration
from procman.host.process import suspended
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.model import InstalledProgram, Level, Result
from procman.monitoring.checks.inputs import KeptWorker, ProjectSnapshot


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each process that drains has written its heartbeat lately; a frozen one would drain for ever."""
    for snapshot in running.programs:
        program, found = snapshot.program, False
        for worker in snapshot.draining:
            silent = _silent_seconds(program, worker)
            if silent > running.manifest.health.stale_seconds:
                found = True
                yield Result("PM117", program.name, Level.WARNING, *_problem(worker.pid, silent, program.name))
        if snapshot.draining and not found:
            yield Result("PM117", program.name, Level.OK, "")


def _silent_seconds(program: InstalledProgram, worker: KeptWorker) -> float:
    """Return the age of the heartbeat of `worker`; 0 if it has none, as on a full disk, because that shows nothing."""
    try:
        content = read_untrusted(worker.directory / FILE, frozenset({0, user_id(program.user) or 0}), MAX_BYTES + 1)
        heartbeat = read(content.decode("utf-8")) if content else {}
    except (UntrustedFile, ValueError):
        return 0.0
    return time.monotonic() - heartbeat["written"] if heartbeat.get("pid") == worker.pid else 0.0


def _problem(pid: int, silent: float, name: str) -> tuple[str, str]:
    lasts = f"process {pid}, which drains, wrote its last heartbeat {format_duration(silent)} ago"
    if suspended(pid):
        return f"{lasts}: it is suspended by a signal", f"kill -CONT {pid}"
    hint = f"procman stop --draining {name}, which kills it at the stop timeout"
    return f"{lasts}: it is frozen, or cannot write it", hint
