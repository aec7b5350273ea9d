"""What systemd's properties say about the state of a program; pure but for the two clocks."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from procman.host.systemctl import Unit
from procman.model import InstalledProgram, ProgramState, State

STATUSES = {
    200: "its working directory cannot be entered: see the key directory in [project]",
    201: "its nice value was refused",
    203: "its program cannot be run: see the key virtualenv in [project]",
    209: "its log file cannot be opened",
    214: "its scheduling was refused",
    216: "its group does not exist: see the key group in [project]",
    217: "its user does not exist: see the key user in [project]",
    218: "its capabilities could not be dropped",
    226: "its sandbox could not be set up: a path in writable_paths, or the project's own, is missing",
    228: "its system call filter could not be set up",
    233: "its directory below /run could not be made",
    238: "its directory below /var/lib could not be made",
    240: "its directory below /var/log could not be made",
    243: "its environment_file could not be read",
    78: "the launcher could not start it",
}
"""Exit statuses of what comes before the program: systemd (systemd.exec(5), "Process Exit Codes") and the launcher."""

FIRST_OF_SYSTEMD, LAST_OF_SYSTEMD = 200, 245

EXITED = 1
"""`ExecMainCode` of a process that ended by itself (CLD_EXITED of waitid(2)); others were killed."""

AUTO_RESTART = ("auto-restart", "auto-restart-queued")


def state_of(unit: Unit) -> State:
    """Return the state of UNIT, in procman's words."""
    match unit.text("ActiveState"):
        case "active" | "reloading" | "refreshing":
            # With RemainAfterExit=, which only a drop-in can have set, there may be no process.
            return State.EXITED if unit.text("SubState") == "exited" else State.RUNNING
        case "activating":
            return State.BACKOFF if unit.text("SubState") in AUTO_RESTART else State.STARTING
        case "deactivating":
            return State.STOPPING
        case "failed":
            return State.FATAL
        case "inactive" if unit.text("LoadState") in ("loaded", "masked"):
            return State.EXITED if unit.is_known and was_started(unit) and not was_stopped(unit) else State.STOPPED
    return State.UNKNOWN


def is_desired(unit: Unit, job: str | None, *, autostart: bool) -> bool:
    """Say whether it should run; JOB is what systemd has queued for it, such as `restart`.

    Before it was first started autostart decides; systemd forgets at a reboot.
    """
    if job is not None:
        return job != "stop"
    if unit.text("LoadState") == "masked":
        return False
    match unit.text("ActiveState"):
        case "inactive" | "failed":
            return not was_stopped(unit) if was_started(unit) else autostart
        case "deactivating":
            # Without an order it ends by itself, or by the watchdog; afterwards systemd starts it again.
            return True
        case "":
            return autostart
    return True


def starts_by_itself(program: InstalledProgram) -> bool:
    """Say whether a program that systemd has never started is to run."""
    return program.autostart and not program.left_stopped


def was_started(unit: Unit) -> bool:
    """Say whether systemd has started it since the host was booted."""
    return unit.moment("InactiveExit") > 0


def was_stopped(unit: Unit) -> bool:
    """Say whether somebody's order ended it.

    With `Restart=always` nothing else does. Without, which a drop-in may ask for: an order takes the unit out of its
    active state before the process ends, an end of the process after. A timer has none.
    """
    if unit.name.endswith(".timer"):
        return True
    return unit.text("Restart") == "always" or unit.moment("ActiveExit") < unit.moment("ExecMainExit")


def could_not_be_started(unit: Unit) -> str:
    """Return why systemd could not even begin to run the program; empty if it could."""
    status = unit.number("ExecMainStatus") or 0
    if unit.number("ExecMainCode") != EXITED or not FIRST_OF_SYSTEMD <= status <= LAST_OF_SYSTEMD:
        return ""
    return f"status {status}: {STATUSES.get(status, 'systemd could not prepare it')}"


def program_state(program: InstalledProgram, unit: Unit, job: str | None) -> ProgramState:
    """Return the state of PROGRAM from what systemd says of its unit."""
    state = state_of(unit)
    details = [_detail(state, unit), *_departures(unit)]
    return ProgramState(
        name=program.name,
        desired=is_desired(unit, job, autostart=starts_by_itself(program)),
        state=state,
        pid=unit.number("MainPID") or None,
        since=since(unit),
        clock_then=unit.clock("ExecMainStart") if unit.number("MainPID") else None,
        restarts=unit.number("NRestarts"),
        detail="; ".join(detail for detail in details if detail),
    )


def since(unit: Unit) -> float | None:
    """Return when its process was started, or else when its state was entered, in seconds since the epoch."""
    moment = unit.moment("ExecMainStart") if unit.number("MainPID") else unit.moment("StateChange")
    return time.time() - (time.monotonic() - moment) if moment else None


def is_older_than_its_file(unit: Unit) -> bool:
    """Say whether its process was started before the unit file was written; systemd may run it as another says."""
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
                return "masked: `systemctl unmask` allows it again"
            return "" if was_started(unit) else "not started yet"
        case State.FATAL:
            return "killed: it did not end within its stop timeout" if unit.text("Result") == "timeout" else _end(unit)
        case State.BACKOFF | State.EXITED:
            return _end(unit)
    return ""


def _unknown(unit: Unit) -> str:
    load = unit.text("LoadState")
    if load == "not-found":
        return "systemd does not know its unit; `procman install` puts it in place"
    return f"systemd cannot read its unit ({load}): systemctl status {unit.name}"


def _end(unit: Unit) -> str:
    status, result = unit.number("ExecMainStatus") or 0, unit.text("Result")
    if result in ("watchdog", "oom-kill", "resources"):
        return {"watchdog": "it hung", "oom-kill": "out of memory", "resources": "systemd could not start it"}[result]
    if unit.number("ExecMainCode") == EXITED:
        return f"exit status {status}" + (f": {STATUSES[status]}" if status in STATUSES else "")
    try:
        return f"killed by {signal.Signals(status).name}" if status else ""
    except ValueError:
        return f"killed by signal {status}"


def _departures(unit: Unit) -> list[str]:
    """Return how what systemd has loaded departs from procman's unit file."""
    found = []
    if unit.text("ActiveState") == "active" and not unit.is_known:
        found.append("its unit file is gone")
    elif unit.text("NeedDaemonReload") == "yes":
        found.append("its unit changed on disk, and systemd has not read it: `systemctl daemon-reload`")
    ours = [path for path in unit.text("DropInPaths").split() if not _is_for_all(Path(path))]
    if ours:
        found.append(f"changed by {', '.join(ours)}")
    return found


def _is_for_all(drop_in: Path) -> bool:
    # What a distribution says for every service of the host, such as Fedora's /usr/lib/systemd/system/service.d.
    return drop_in.parent.name == "service.d" and drop_in.is_relative_to("/usr/lib")
