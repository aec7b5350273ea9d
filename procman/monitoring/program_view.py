"""Collect the facts about each program: its state, its heartbeat and verdict, and whether a restart is due."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from procman.accounts import user_id
from procman.agent.heartbeat_format import FILE, MAX_BYTES, read
from procman.agent.verdict import thresholds_of, verdict
from procman.host.process import boot_id, started
from procman.install.safe_fs.tree import Tree
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state.manifest import Manifest
from procman.model import End, InstalledProgram, Kind, ProgramState
from procman.monitoring.checks.crash_loop import is_in_crash_loop
from procman.monitoring.checks.inputs import NONE, EndReport, Heartbeat, ProgramSnapshot
from procman.monitoring.kept import as_kept

if TYPE_CHECKING:
    # Only an old heartbeat needs these, and `status` must not wait for them.
    from procman.host.inactivity import Inactivity
    from procman.host.write_problem import WriteProblem

ENDED_SECONDS = 3600.0
"""How long an end is reported."""

EXIT_CANNOT_START = 78
"""As in the launcher, which procman does not import."""

PRIVATE_PIDS = "its heartbeat cannot be checked, because PrivatePIDs= in a drop-in makes it process 1 of its own"


class Moment(NamedTuple):
    """One moment by each clock."""

    monotonic: float
    wall: float
    boot: str | None
    """None if the system has no boot id."""


def now() -> Moment:
    """Return the current moment."""
    return Moment(time.monotonic(), time.time(), boot_id() or None)


def program_snapshots(
    manifest: Manifest,
    programs: Sequence[InstalledProgram],
    states: Sequence[ProgramState],
    *,
    broker_answered: bool = False,
    with_restarts: bool = True,
) -> list[ProgramSnapshot]:
    """Return the snapshots of `programs` with their `states`, in order.

    `broker_answered`: the caller has just queried the broker, and it answered, so it is not the cause of a problem.
    Without `with_restarts`, no file is inspected that programs share, and no restart is due.
    """
    moment = now()
    seen = [as_kept(manifest, *pair).state for pair in zip(programs, states, strict=True)] if with_restarts else []
    due = restarts_due(manifest, programs, seen) if with_restarts else [""] * len(programs)
    seen_before = _SeenBefore(manifest, moment)
    snapshots = []
    for program, state_of_keeper, restart_due in zip(programs, states, due, strict=True):
        state, directory, draining, keeper = as_kept(manifest, program, state_of_keeper)
        heartbeat = _read_heartbeat(directory, manifest, program, state, moment)
        if with_restarts and heartbeat.content:
            restart_due = ", ".join(filter(None, (restart_due, _changed_code(heartbeat.content))))
        snapshot = ProgramSnapshot(
            program, state, heartbeat, None, restart_due, draining=draining, keeper=keeper, run_directory=directory
        )
        if heartbeat.content:
            changed = {"queues_asked": moment.monotonic} if broker_answered else {}
            content = {**heartbeat.content, **changed}
            snapshot = _judged(snapshot, content, manifest, moment, seen_before)
        if is_in_crash_loop(snapshot):
            snapshot = snapshot._replace(last_error=_last_error(manifest, snapshot))
        lately = [end for end in state.history.unordered if end.at >= moment.wall - ENDED_SECONDS]
        if lately:
            snapshot = snapshot._replace(ended=_last_unexpected(manifest, program, lately))
        if snapshot.says.get("pool_ends"):
            snapshot = snapshot._replace(pool_ended=_last_of_pool(snapshot, moment))
        snapshots.append(snapshot)
    return snapshots


class _SeenBefore:
    """What the watcher saw of main processes at its last check, read when first needed: hardly ever."""

    def __init__(self, manifest: Manifest, moment: Moment) -> None:
        self._state = manifest.directories.state
        self._boot = moment.boot or ""

    @cached_property
    def _cases(self) -> Mapping[str, Inactivity | None]:
        from procman.monitoring.healing_history import read_healing_history

        with Tree() as tree:
            history = read_healing_history(tree, self._state, self._boot)
        return {case.program: case.inactivity for case in history.cases}

    def of(self, program: InstalledProgram) -> Inactivity | None:
        return self._cases.get(program.name)


def _judged(
    snapshot: ProgramSnapshot, content: Mapping[str, Any], manifest: Manifest, moment: Moment, seen_before: _SeenBefore
) -> ProgramSnapshot:
    program, pid = snapshot.program, snapshot.state.pid or 0
    usual = thresholds_of(manifest.health)
    thresholds = usual._replace(stall_seconds=program.stall_seconds, stop_seconds=program.stop_timeout_seconds)
    if moment.monotonic - content["written"] <= usual.stale_seconds:
        return snapshot._replace(verdict=verdict(content, moment.monotonic, thresholds))
    from procman.host.inactivity import look

    inactivity, evidence = look(seen_before.of(program), pid, moment.monotonic)
    found = verdict(content, moment.monotonic, thresholds, evidence)
    problem = None if found.remedy else _write_problem(snapshot, manifest, moment)
    if problem:
        heartbeat = snapshot.heartbeat._replace(write_problem=problem)
        return snapshot._replace(heartbeat=heartbeat, inactivity=inactivity)
    return snapshot._replace(verdict=found, inactivity=inactivity)


def _last_unexpected(manifest: Manifest, program: InstalledProgram, ends: Sequence[End]) -> EndReport | None:
    from procman.monitoring.ends import last_unexpected

    return last_unexpected(manifest, program, ends)


def _last_of_pool(snapshot: ProgramSnapshot, moment: Moment) -> EndReport | None:
    from procman.monitoring.ends import pool_reports

    reports = pool_reports(snapshot.says, moment.wall - ENDED_SECONDS)
    return reports[-1] if reports else None


def _last_error(manifest: Manifest, snapshot: ProgramSnapshot) -> str:
    from procman.agent.process_end import EXIT_STATUS

    how = snapshot.state.history.ends[-1].how if snapshot.state.history.ends else ""
    if not how.startswith(EXIT_STATUS):
        return ""  # killed from outside: its log says nothing about that
    from procman.monitoring.last_error import last_error

    return last_error(manifest, snapshot.program, cannot_start=how == f"{EXIT_STATUS}{EXIT_CANNOT_START}")


def _write_problem(snapshot: ProgramSnapshot, manifest: Manifest, moment: Moment) -> WriteProblem | None:
    from procman.host.write_problem import WriteProblem, write_problem

    directory = snapshot.run_directory or manifest.directories.run(snapshot.program.name)
    problem = write_problem(directory, snapshot.program.user, snapshot.state.pid or 0)
    if problem is None and _is_touched(directory / FILE, moment, manifest.health.stale_seconds):
        return WriteProblem("its disk may be full", f"Free disk space: df -h {directory}")
    return problem


def read_heartbeat(manifest: Manifest, program: InstalledProgram, state: ProgramState, moment: Moment) -> Heartbeat:
    """Return the heartbeat of `program`. Its file is untrusted, and the pid in it is only compared or shown (S3)."""
    seen = as_kept(manifest, program, state)
    return _read_heartbeat(seen.directory, manifest, program, seen.state, moment)


def _read_heartbeat(
    directory: Path, manifest: Manifest, program: InstalledProgram, state: ProgramState, moment: Moment
) -> Heartbeat:
    if state.pid is None or not program.launcher or program.kind is Kind.COMMAND:
        return NONE
    path = directory / FILE
    try:
        found = read_untrusted(path, owners(program.user), MAX_BYTES + 1)
        content = None if found is None else read(found.decode("utf-8"))
    except UntrustedFile as error:
        return Heartbeat(None, f"its heartbeat is ignored: {error}")
    except ValueError as error:
        return Heartbeat(None, f"its heartbeat {path} is corrupt: {error}")
    if content is None or not _is_of_this_boot(content, path, state, moment):
        return NONE
    if content["pid"] != state.pid:
        if content["pid"] == 1:
            is_fresh = moment.monotonic - content["written"] <= manifest.health.stale_seconds
            remedy = f"Remove it: systemctl edit {program.name}"
            return Heartbeat(None, PRIVATE_PIDS, remedy=remedy) if is_fresh else NONE
        return Heartbeat(None, earlier=content["pid"]) if _writer_is_alive(content, path, moment) else NONE
    return Heartbeat(content)


def _writer_is_alive(content: Mapping[str, Any], path: Path, moment: Moment) -> bool:
    """Return whether the process that wrote the heartbeat at `path` still exists, even if it is frozen since.

    It has the same owner, and started before; any other process has only been given the same pid.
    """
    pid = content["pid"]
    try:
        is_owner = Path("/proc", str(pid)).stat().st_uid == path.lstat().st_uid
    except OSError:
        return False
    began = started(pid) if is_owner else None
    return began is not None and began <= moment.wall - (moment.monotonic - content["written"])


def _is_of_this_boot(content: Mapping[str, Any], path: Path, state: ProgramState, moment: Moment) -> bool:
    if content["boot_id"] in (moment.boot, None):
        return True
    # In a container, a unit with its own /proc sees another boot id than a shell. A file that was written after the
    # start of the process is of the same boot. It may have been written after `moment`, too.
    try:
        changed = path.lstat().st_mtime
    except OSError:
        return False
    return state.since is not None and changed >= state.since and content["written"] <= time.monotonic()


@cache
def owners(user: str | None) -> frozenset[int]:
    """Return the uids that may own a file of a program that runs as `user`; None: as the user who installed it."""
    return frozenset({0, user_id(user) or 0})


def _is_touched(path: Path, moment: Moment, stale: float) -> bool:
    """Return whether a program keeps changing the time of a file whose content it cannot write."""
    try:
        return abs(moment.wall - path.lstat().st_mtime) <= stale
    except OSError:
        return False


def restarts_due(manifest: Manifest, programs: Sequence[InstalledProgram], states: Sequence[ProgramState]) -> list[str]:
    """Return for each program, in order, why a restart is due; empty if none is."""
    changed = _changed_behind_programs(manifest)
    return [_restart_due(program, state, changed) for program, state in zip(programs, states, strict=True)]


def _restart_due(program: InstalledProgram, state: ProgramState, changed: Sequence[tuple[float, str, set[str]]]) -> str:
    if state.pid is None or state.since is None:
        return ""
    # Setting the clock does not change the times of files. A file that is newer by only one of the two clocks existed
    # at the start; a file from the future proves nothing.
    started, now = max(state.since, state.clock_then or 0.0), time.time()
    # supervisord reports the start in whole seconds.
    late = [what for at, what, names in changed if program.name in names and started < int(at) <= now]
    # The launcher has many files, which an upgrade of procman replaces together.
    return ", ".join(dict.fromkeys(f"{what} is newer" for what in late))


def _changed_code(heartbeat: Mapping[str, Any]) -> str:
    """Return whether the program has loaded modules of the project whose files have changed since."""
    name, others = heartbeat["changed_module"], (heartbeat["changed_modules"] or 0) - 1
    if others < 0:
        return ""
    also = f" and {others} more" if others else ""
    return f"the project's code is newer (module {name}{also})" if name else "the project's code is newer"


def _changed_behind_programs(manifest: Manifest) -> list[tuple[float, str, set[str]]]:
    """Return (time of change, name, programs) of the files whose change restarts no program (R5)."""
    library = manifest.directories.library
    places = [
        (file.path, "the launcher" if file.path.parent == library else file.path.name, set(file.programs))
        for file in manifest.files
        if not file.restarts and file.programs and not file.section
    ]
    for file, _, programs in manifest.environment_files():
        if file:
            places.append((file, "the environment file", {program.name for program in programs if program.launcher}))
    found = []
    for path, what, names in places:
        try:
            found.append((path.stat().st_mtime, what, names))
        except OSError:
            continue  # missing or not visible; the comparison with the generation reports missing files
    return found
