"""Derive the state of a program from supervisord's answers and the history in its log; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from procman.backends.supervisor.client import AnswersOnly, Info, NotRunning
from procman.backends.supervisor.configuration.main_file import NotReadable
from procman.errors import ProcmanError
from procman.host.process import started
from procman.model import NO_HISTORY, InstalledProgram, ProgramState, RunHistory, State

RUNNING_STATES = {State.RUNNING, State.STARTING, State.BACKOFF}
"""The states in which supervisord keeps a program running and accepts a stop."""

STATES = {state.value: state for state in State}

SIGNALLABLE_STATES = {State.RUNNING, State.STARTING, State.STOPPING}
"""The states in which there is a process to signal."""

RESPAWN_SECONDS = 3
"""supervisord restarts an exited program within about a second; one that stays EXITED for longer has ended for good."""


def state_of(info: Info) -> State:
    """Return the state in `info`; UNKNOWN if the name of the state is not known."""
    # A dictionary is several times as fast as a call of the class.
    return STATES.get(info["statename"], State.UNKNOWN)


def desired(info: Info, *, autostart: bool) -> bool:
    """Return whether the program should run.

    A program is in STOPPED only after a stop command or before its first start. In FATAL and EXITED it was not stopped
    on purpose.
    """
    state = state_of(info)
    if state is State.STOPPED and not info["start"]:
        return autostart
    return state not in (State.STOPPED, State.STOPPING)


def ended(info: Info) -> bool:
    """Return whether the program has ended for good: it has no process, and supervisord will not restart it."""
    state = state_of(info)
    if state is State.EXITED:
        return int(info["now"]) - int(info["stop"]) >= RESPAWN_SECONDS
    return state in (State.STOPPED, State.FATAL)


def program_states(
    programs: Iterable[InstalledProgram], infos: Iterable[Info], histories: Mapping[str, RunHistory] | None
) -> list[ProgramState]:
    """Return the state of each of `programs`, in order, from the `infos` of all processes of their supervisord."""
    by_name: dict[str, list[Info]] = {}
    for info in infos:
        by_name.setdefault(info["name"], []).append(info)
    return [_program_state(program, by_name.get(program.name, []), histories) for program in programs]


def states_without_manager(
    programs: Iterable[InstalledProgram], error: NotRunning, starts: Mapping[str, float]
) -> list[ProgramState]:
    """Return the state of each of `programs`, in order, while their supervisord does not run.

    `starts` has when those were started that ran at the end of its log.
    """
    down = ProgramState("", False, State.STOPPED, manager_problem=error.message, manager_remedy=error.hint)
    return [down._replace(name=each.name, desired=each.autostart, started=starts.get(each.name)) for each in programs]


def unknown_states(programs: Iterable[InstalledProgram], error: ProcmanError) -> list[ProgramState]:
    """Return the state of each of `programs`, in order, if their supervisord could not be asked because of `error`."""
    reason = f"{error.message}. {error.hint}" if error.hint else error.message
    unknown = ProgramState("", False, State.UNKNOWN, detail=reason, answers_only=_only(error))
    return [unknown._replace(name=each.name, desired=each.autostart) for each in programs]


def _only(error: ProcmanError) -> str:
    """Return who alone may ask supervisord, if `error` is that the caller may not; otherwise empty."""
    if isinstance(error, AnswersOnly):
        return error.user
    return "root" if isinstance(error, NotReadable) else ""


def _program_state(
    program: InstalledProgram, namesakes: Sequence[Info], histories: Mapping[str, RunHistory] | None
) -> ProgramState:
    info = next((info for info in namesakes if info["group"] == program.name), None)
    if info is None:
        elsewhere = next(iter(namesakes), None)
        # The adopted program of a group stays in supervisord's memory.
        if program.left_stopped and (elsewhere is None or ended(elsewhere)):
            return ProgramState(
                program.name, False, State.STOPPED, detail="not loaded, because it was stopped on purpose"
            )
        detail = "supervisord has not loaded it: run `procman start`"
        if elsewhere:
            detail = f"defined as {elsewhere['group']}:{program.name} by a section that procman does not manage"
        asked_for = desired(elsewhere, autostart=program.autostart) if elsewhere else program.autostart
        return ProgramState(program.name, asked_for, State.UNKNOWN, detail=detail)
    history = (histories or {}).get(program.name, NO_HISTORY)
    return ProgramState(
        name=program.name,
        # Its supervisord was started without it, and knows only its autostart.
        desired=desired(info, autostart=program.autostart and not program.left_stopped),
        state=state_of(info),
        pid=info["pid"] or None,
        since=_since(info),
        clock_then=float(info["start"]) if info["pid"] else None,
        restarts=None if histories is None else history.restarts,
        detail=_detail(info),
        history=history,
        started=float(info["start"]) or None,
    )


def _since(info: Info) -> float | None:
    with_process = state_of(info) in SIGNALLABLE_STATES
    moment = info["start"] if with_process else max(info["start"], info["stop"])
    # If the clock was set back, supervisord's start time may be in the future: use the process's own.
    own = started(info["pid"]) if with_process else None
    return float(min(moment, info["now"], moment if own is None else own)) or None


def _detail(info: Info) -> str:
    state = state_of(info)
    if state in (State.BACKOFF, State.FATAL):
        return info["spawnerr"] or "supervisord gives no reason"
    if state is State.EXITED:
        return f"exit status {info['exitstatus']}" if info["exitstatus"] >= 0 else "killed by a signal"
    if state is State.STOPPED:
        return "" if info["start"] else "not started yet"
    return ""
