"""Derive the state of a program from the properties of its unit; pure, except that it reads two clocks."""

from __future__ import annotations

import time
from pathlib import Path

from procman.agent.process_end import killed_by
from procman.backends.run_history import FORCED
from procman.host.systemctl import Job, Unit
from procman.model import NO_HISTORY, End, InstalledProgram, ProgramState, RunHistory, State

STATUSES = {
    200: "cannot change to its working directory: see the key directory in [project]",
    201: "cannot set its nice value",
    203: "cannot execute its program: see the key virtualenv in [project]",
    209: "cannot open its log file",
    214: "cannot set its scheduling policy",
    216: "its group does not exist: see the key group in [project]",
    217: "its user does not exist: see the key user in [project]",
    218: "cannot drop its capabilities",
    226: "cannot set up its sandbox: a path in writable_paths or a path of the project is missing",
    228: "cannot set up its system call filter",
    233: "cannot create its directory below /run",
    238: "cannot create its directory below /var/lib",
    240: "cannot create its directory below /var/log",
    243: "cannot read its environment_file",
    78: "the launcher cannot start it",
}
"""Exit statuses before the program runs: of systemd (systemd.exec(5), "Process Exit Codes") and of the launcher."""

FIRST_OF_SYSTEMD, LAST_OF_SYSTEMD = 200, 245

EXITED = 1
"""`ExecMainCode` of a process that exited (CLD_EXITED of waitid(2)); any other code means that it was killed."""

STARTS = ("start", "restart")
"""Jobs that start a unit once every unit that it is ordered after has started."""

RESTARTED_SECONDS = 3600.0

UNKNOWN_END = "how is in the journal"

AUTO_RESTART = ("auto-restart", "auto-restart-queued")


def state_of(unit: Unit) -> State:
    """Return the state of `unit`, in procman's terms."""
    match unit.text("ActiveState"):
        case "active" | "reloading" | "refreshing":
            # With RemainAfterExit=, which only a drop-in can set, there may be no process.
            return State.EXITED if unit.text("SubState") == "exited" else State.RUNNING
        case "activating":
            return State.BACKOFF if unit.text("SubState") in AUTO_RESTART else State.STARTING
        case "deactivating":
            return State.STOPPING
        case "failed":
            return State.STOPPED if _ended_badly_in_a_stop(unit) else State.FATAL
        case "inactive" if unit.text("LoadState") in ("loaded", "masked"):
            return State.EXITED if unit.is_known and was_started(unit) and not was_stopped(unit) else State.STOPPED
    return State.UNKNOWN


def _ended_badly_in_a_stop(unit: Unit) -> bool:
    """Return whether a failed unit only ended with another status than 0 on its stop signal, as Java does with 143."""
    is_stopped = was_stopped(unit) and unit.moment("ActiveExit") < unit.moment("ExecMainExit")
    return is_stopped and unit.text("Result") in ("exit-code", "signal")


def is_desired(unit: Unit, job: Job | None, *, autostart: bool) -> bool:
    """Return whether the unit should run; `job` is its job in systemd's queue, if any.

    Before the first start after a boot, `autostart` decides.
    """
    if job is not None:
        return job.verb != "stop"
    if unit.text("LoadState") == "masked":
        return False
    match unit.text("ActiveState"):
        case "inactive" | "failed":
            return not was_stopped(unit) if was_started(unit) else autostart
        case "deactivating":
            # Without a stop job, it is exiting on its own or by the watchdog, and systemd restarts it.
            return True
        case "":
            return autostart
    return True


def starts_by_itself(program: InstalledProgram) -> bool:
    """Return whether a program that systemd has never started should run."""
    return program.autostart and not program.left_stopped


def was_started(unit: Unit) -> bool:
    """Return whether systemd has started the unit since the host was booted."""
    return unit.moment("InactiveExit") > 0


def was_stopped(unit: Unit) -> bool:
    """Return whether a unit that is inactive was stopped on purpose.

    With `Restart=always` there is no other reason. With another value, which a drop-in can set: a stop takes the unit
    out of its active state before the process exits; otherwise the process exits first. A timer has no process.
    """
    if unit.name.endswith(".timer"):
        return True
    return unit.text("Restart") == "always" or unit.moment("ActiveExit") < unit.moment("ExecMainExit")


def could_not_be_started(unit: Unit) -> str:
    """Return why systemd could not execute the program; empty if it could."""
    status = unit.number("ExecMainStatus") or 0
    if unit.number("ExecMainCode") != EXITED or not FIRST_OF_SYSTEMD <= status <= LAST_OF_SYSTEMD:
        return ""
    return f"status {status}: {STATUSES.get(status, 'systemd could not set it up')}"


def was_restarted_lately(unit: Unit) -> bool:
    """Return whether systemd has restarted the unit by itself, and within an hour, or the unit still does not run."""
    if not unit.number("NRestarts") and state_of(unit) is not State.BACKOFF:
        return False
    has_process = bool(unit.number("MainPID"))
    return not has_process or time.monotonic() - unit.moment("ExecMainStart") < RESTARTED_SECONDS


def program_state(
    program: InstalledProgram, unit: Unit, job: Job | None, history: RunHistory | None = None
) -> ProgramState:
    """Return the state of `program` from the properties of its unit and the job that systemd has for it, if any.

    `history` is what the journal shows.
    """
    waits = job is not None and job.verb in STARTS and unit.has_ended
    state = State.STARTING if waits else state_of(unit)
    details = [_waiting(job) if waits and job else _detail(state, unit), *_departures(unit)]
    return ProgramState(
        name=program.name,
        desired=is_desired(unit, job, autostart=starts_by_itself(program)),
        state=state,
        pid=unit.number("MainPID") or None,
        since=since(unit),
        clock_then=unit.clock("ExecMainStart") if unit.number("MainPID") else None,
        # systemd does not reset its counter at a restart out of the pause before an automatic one.
        restarts=history.restarts if history and history.ordered else unit.number("NRestarts"),
        detail="; ".join(detail for detail in details if detail),
        started=_clock_of(unit.moment("InactiveExit")),
        history=history or _history_without_journal(unit),
    )


def _history_without_journal(unit: Unit) -> RunHistory:
    """Return what the properties of the unit show: when its last run ended, but not how."""
    restarts, at = unit.number("NRestarts") or 0, _clock_of(unit.moment("ActiveExit"))
    return RunHistory(restarts, ends=(End(at, UNKNOWN_END),)) if restarts and at else NO_HISTORY


def _waiting(job: Job) -> str:
    names = ", ".join(name.removesuffix(".service") for name in job.waits_for)
    return f"waiting for {names}" if names else "waiting for systemd"


def since(unit: Unit) -> float | None:
    """Return when the process started, or if there is none when the state last changed, in seconds since the epoch."""
    return _clock_of(unit.moment("ExecMainStart") if unit.number("MainPID") else unit.moment("StateChange"))


def _clock_of(moment: float) -> float | None:
    """Return a `moment` of the monotonic clock in seconds since the epoch; None for 0, which is never."""
    return time.time() - (time.monotonic() - moment) if moment else None


def is_older_than_its_file(unit: Unit) -> bool:
    """Return whether the process started before the unit file was written, perhaps from a different unit file."""
    started = since(unit)
    try:
        written = Path(unit.text("FragmentPath")).stat().st_mtime
    except OSError:
        return True
    return started is None or started < written


def _detail(state: State, unit: Unit) -> str:
    match state:
        case State.UNKNOWN:
            return _unknown(unit)
        case State.STOPPED:
            if unit.text("LoadState") == "masked":
                return "masked: to allow starts again, use `systemctl unmask`"
            return "" if was_started(unit) else "not started yet"
        case State.FATAL:
            return FORCED if unit.text("Result") == "timeout" else _end(unit)
        case State.BACKOFF | State.EXITED:
            return _end(unit)
    return ""


def _unknown(unit: Unit) -> str:
    load = unit.text("LoadState")
    if load == "not-found":
        return "systemd does not know its unit: run `procman install`"
    return f"systemd cannot read its unit ({load}): systemctl status {unit.name}"


def _end(unit: Unit) -> str:
    status, result = unit.number("ExecMainStatus") or 0, unit.text("Result")
    if result in ("watchdog", "oom-kill", "resources"):
        return {
            "watchdog": "it hung (watchdog timeout)",
            "oom-kill": "out of memory",
            "resources": "systemd could not start it",
        }[result]
    if unit.number("ExecMainCode") == EXITED:
        return f"exit status {status}" + (f": {STATUSES[status]}" if status in STATUSES else "")
    return killed_by(status) if status else ""


def _departures(unit: Unit) -> list[str]:
    """Return how the unit that systemd has loaded differs from procman's unit file."""
    found = []
    if unit.text("ActiveState") == "active" and not unit.is_known:
        found.append("its unit file was removed")
    elif unit.text("NeedDaemonReload") == "yes":
        found.append("its unit file changed, but systemd has not reloaded it: run `systemctl daemon-reload`")
    ours = [path for path in unit.text("DropInPaths").split() if not _is_for_all(Path(path))]
    if ours:
        found.append(f"changed by {', '.join(ours)}")
    return found


def _is_for_all(drop_in: Path) -> bool:
    # Set by a distribution for every service of the host, such as Fedora's /usr/lib/systemd/system/service.d.
    return drop_in.parent.name == "service.d" and drop_in.is_relative_to("/usr/lib")
