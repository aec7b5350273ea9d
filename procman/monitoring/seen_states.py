"""Derive the states of programs from heartbeats and /proc, for a user whom the process manager does not answer.

A program is RUNNING only if a process of its user is seen to be it; all else stays unknown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from procman.accounts import user_id
from procman.agent.heartbeat_format import FILE, MAX_BYTES, read
from procman.agent.slots import KEEPER_LOCK, LOCK
from procman.agent.verdict import IMPORTING, STARTING, STOPPING
from procman.host.file_locks import Holders, holder_of, lock_holders
from procman.host.process import started, user_of
from procman.host.process_table import look_at
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, Kind, ProgramState, State
from procman.monitoring.kept import kept_by
from procman.monitoring.program_view import now, owners

UNSEEN = "no process of it can be seen"


def as_seen(
    manifest: Manifest, programs: Sequence[InstalledProgram], states: Sequence[ProgramState]
) -> list[ProgramState]:
    """Return `states`, those of `programs`, with the processes that this user sees."""
    holders = lock_holders()
    return [
        _as_seen(manifest, program, state, holders) if state.answers_only else state
        for program, state in zip(programs, states, strict=True)
    ]


def _as_seen(manifest: Manifest, program: InstalledProgram, state: ProgramState, holders: Holders) -> ProgramState:
    keeper = _keeper(manifest, program, holders)
    kept = kept_by(manifest, program, keeper)
    directory = kept.current.directory if kept and kept.current else manifest.directories.run(program.name)
    heartbeat = _heartbeat(directory, program) if _has_heartbeat(program) else {}
    for pid in (keeper,) if keeper else _candidates(manifest, program, heartbeat, holders):
        since = started(pid)
        if since is not None and user_of(pid) == _user(manifest, program):
            phase = str(heartbeat["phase"]) if heartbeat and pid in (heartbeat["pid"], keeper) else None
            seen = _state(program, time.time() - since, phase)
            return state._replace(desired=True, state=seen, pid=pid, since=since, detail="")
    if _has_heartbeat(program) and not program.autostart and _run_directory_is_visible(manifest, program):
        return state._replace(desired=False, state=State.STOPPED, detail="")
    return state._replace(detail=UNSEEN)


def _user(manifest: Manifest, program: InstalledProgram) -> int | None:
    """Return the user that `program` runs as: the one who installed it, unless another is named."""
    return user_id(program.user) if program.user else manifest.directories.state.stat().st_uid


def _state(program: InstalledProgram, age: float, phase: str | None) -> State:
    """Return the state of a process: STARTING until it has lived as long as under supervisord, and until it works."""
    if phase == STOPPING:
        return State.STOPPING
    is_new = age < program.start_seconds or (_has_heartbeat(program) and phase in (None, IMPORTING, STARTING))
    return State.STARTING if is_new else State.RUNNING


def _candidates(
    manifest: Manifest, program: InstalledProgram, heartbeat: Mapping[str, Any], holders: Holders
) -> Iterator[int]:
    """Yield the processes that may be the main process of `program`; their user is not checked yet."""
    if program.kind is Kind.HEALTH:
        yield from _watchers(manifest)
    elif program.launcher:
        holder = holder_of(manifest.directories.run(program.name) / LOCK, holders)
        yield from (pid for pid in (holder, heartbeat.get("pid")) if pid)


def _has_heartbeat(program: InstalledProgram) -> bool:
    return program.launcher and program.kind in (Kind.WORKER, Kind.BEAT)


def _keeper(manifest: Manifest, program: InstalledProgram, holders: Holders) -> int | None:
    """Return the keeper of a worker that overlaps; None if there is none."""
    return holder_of(manifest.directories.run(program.name) / KEEPER_LOCK, holders) if program.overlap_max else None


def _heartbeat(directory: Path, program: InstalledProgram) -> Mapping[str, Any]:
    """Return the heartbeat that an existing process has written since the last boot; empty if there is none."""
    try:
        path = directory / FILE
        content = read_untrusted(path, owners(program.user), MAX_BYTES + 1)
        heartbeat = read(content.decode("utf-8")) if content else {}
    except (UntrustedFile, ValueError):
        return {}
    moment = now()
    if not heartbeat or heartbeat["boot_id"] not in (moment.boot, None):
        return {}
    since = started(heartbeat["pid"])
    # A later process may have the same pid. Both times are by the present clock, which may have been set.
    return heartbeat if since is not None and since <= moment.wall - (moment.monotonic - heartbeat["written"]) else {}


def _watchers(manifest: Manifest) -> Iterator[int]:
    state = str(manifest.directories.state)
    for process in look_at([], [state]).values():
        if "heal" in process.argv and "--state" in process.argv and state in process.argv:
            yield process.pid


def _run_directory_is_visible(manifest: Manifest, program: InstalledProgram) -> bool:
    return os.access(manifest.directories.run(program.name), os.R_OK | os.X_OK)
