"""Decide how to heal: a pure function from history and observations to new history and orders.

Healing sends a signal to the main process and never stops a program by the process manager, which restarts the process
that ends; a program that an administrator stopped stays stopped (R11). The first signal is TERM, which lets running
tasks finish. SIGKILL follows after as many failed checks again if the kernel shows that the main process cannot act and
that no task is at work; otherwise only after the stop timeout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from procman.agent.verdict import AT_WORK, CONSUMING, DISCONNECTED, FORCE, STOPPING, WARM
from procman.host.inactivity import Inactivity
from procman.install.state.event_log import Event
from procman.model import HealthSettings, InstalledProgram, Kind, Level, ProgramState, Result, State
from procman.monitoring.checks.quick import most_severe
from procman.monitoring.checks.registry import TITLES
from procman.monitoring.healing_history import Case, HealingHistory

HOUR_SECONDS = 3600.0

RETRY_LOOKS = 10
"""Checks after which a program that the process manager has given up is started again."""

PATIENT_LOOKS = 2
"""Multiple of `failures` for a program that judges itself: it should stop by itself first."""

CRITICAL_LOOKS = 2
"""A program that is being restarted may be critical in one check."""

MEMORY = "memory"
"""Instead of a code: the program uses more than `memory_restart_mib`."""

CANNOT_STOP_ITSELF = (MEMORY, "PM201")
"""Problems that a program does not see itself, so that it need not be given time to stop by itself."""

RESTARTED = "restarted"
"""A step: a new process runs, which is not healthy yet."""

SETTLED = (None, *AT_WORK, DISCONNECTED)
"""Phases that last; a program in another phase is on its way to one of these."""

GIVEN_UP = (State.FATAL, State.EXITED)


class Order(Enum):
    """An action on a program."""

    DUMP = "dump"
    """Log the stacks of all threads: Celery does so at SIGUSR1."""
    STOP = "stop"
    """Stop gracefully; the process manager then restarts it."""
    KILL = "kill"
    START = "start"


@dataclass(frozen=True)
class Observation:
    """The findings of one check of a program."""

    program: InstalledProgram
    state: ProgramState
    process: str
    """The identity of its main process, different for each process; empty if there is none."""
    results: tuple[Result, ...]
    remedy: str = ""
    """The remedy that its verdict names."""
    code: str = ""
    """The code of that verdict."""
    phase: str | None = None
    """The phase in the heartbeat of this process; None if there is none."""
    tasks: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()
    held: bool = False
    inactivity: Inactivity | None = None
    """What was seen of its main process, if its heartbeat is old."""
    healed_inside: tuple[float, ...] = ()
    """When it stopped itself because it was unhealthy, in seconds of the monotonic clock."""
    ended: tuple[Event, ...] = ()
    """The ends of its processes that have no event yet, which neither healing nor a completed order caused."""
    lost: tuple[Event, ...] = ()
    """The tasks that the end of a main process interrupted, which have no event yet."""
    inside: tuple[Event, ...] = ()
    """Events that it has written itself and that were not passed on yet."""

    @property
    def worst(self) -> Result | None:
        """The first of the most severe results."""
        return most_severe(self.results) if self.results else None


@dataclass(frozen=True)
class Decision:
    """The result of one check of a program."""

    case: Case
    orders: tuple[Order, ...] = ()
    """Carried out in this order."""
    events: tuple[Event, ...] = ()


def decide(case: Case, observation: Observation, settings: HealthSettings, now: float, wall: float) -> Decision:
    """Return the orders for `observation`, and the history for the next check.

    `now` is the monotonic clock, which measures the hour; `wall`, in seconds since the epoch, is for the events only.
    """
    case, told = _tell(_of_this_process(case, observation, now), observation, settings, wall)
    # A time in the future, from before the clock was set back, would keep later events from being noticed.
    case = replace(case, ended=max([min(case.ended or wall, wall), *(event.at for event in observation.ended)]))
    case = replace(case, inside=max([min(case.inside, wall), *(event.at for event in observation.inside)]))
    decided = _heal(case, observation, settings, now, wall)
    return replace(decided, events=(*observation.ended, *observation.lost, *observation.inside, *told, *decided.events))


def _of_this_process(case: Case, observation: Observation, now: float) -> Case:
    recent = tuple(moment for moment in case.restarts if 0 <= now - moment < HOUR_SECONDS)
    if case.step == Order.STOP.value:
        recent = recent or case.restarts[-1:]  # its stop timeout may be longer
    case = replace(case, restarts=recent)
    if not observation.process or observation.process == case.process:
        return case
    return replace(case, process=observation.process, code="", failures=0, step=RESTARTED if case.step else "")


# Reporting -----------------------------------------------------------------------------------------------------------


def _tell(case: Case, observation: Observation, settings: HealthSettings, wall: float) -> tuple[Case, list[Event]]:
    """Return one event for a problem, and one for its end; a problem that passes quickly gets none."""
    result = observation.worst
    if result is None or not observation.state.desired:
        return replace(case, seen="", looks=0, told=""), []
    if _is_on_its_way(case, observation, wall):
        return case, []
    seen = f"{result.level.name} {result.code}"
    looks = case.looks + 1 if seen == case.seen else 1
    case = replace(case, seen=seen, looks=looks)
    if result.level is Level.OK:
        if observation.phase not in SETTLED:
            return case, []
        # Healing reports its own end.
        is_recovery = case.told and not case.step
        over = _end_of(observation, case.told.partition(" ")[2])
        return replace(case, told=""), [_event(observation, "recovered", over, wall)] if is_recovery else []
    enough = min(CRITICAL_LOOKS, settings.failures) if result.level is Level.CRITICAL else settings.failures
    if looks < enough or case.told == seen:
        return case, []
    return replace(case, told=seen), [_event(observation, "found", result, wall)]


def _end_of(observation: Observation, code: str) -> Result:
    """Return what the check `code` finds now that its problem is over; its title if it has nothing else to report."""
    details = [each.detail for each in observation.results if each.code == code and each.level is Level.OK]
    text = next(filter(None, details), TITLES.get(code, "no problem is left"))
    return Result(code, observation.program.name or None, Level.OK, text)


def _is_on_its_way(case: Case, observation: Observation, wall: float) -> bool:
    """Return whether it is starting or stopping by command, within the time allowed for that."""
    program, state = observation.program, observation.state
    limit = {State.STARTING: program.start_seconds, State.STOPPING: program.stop_timeout_seconds}.get(state.state)
    if limit is None:
        return False
    return bool(case.step) or (state.since is not None and wall - state.since <= limit)


def _event(observation: Observation, what: str, result: Result | None, wall: float, action: str = "") -> Event:
    return Event(
        at=wall,
        program=observation.program.name,
        what=what,
        code=result.code if result else "",
        level=result.level.name if result else "",
        reason=result.detail if result else "",
        action=action,
        tasks=observation.tasks,
        task_ids=observation.task_ids,
        by="healer",
    )


# Healing -------------------------------------------------------------------------------------------------------------


def _heal(case: Case, observation: Observation, settings: HealthSettings, now: float, wall: float) -> Decision:
    case = replace(case, inactivity=observation.inactivity)
    if observation.held or not observation.state.desired or not observation.program.heal:
        return Decision(replace(case, code="", failures=0, step="", gave_up=False))
    if observation.state.state in GIVEN_UP:
        return _try_again(case, observation, wall)
    if not observation.process or not _can_be_judged(observation):
        # It is starting or stopping; the heartbeat of the previous process means nothing.
        return Decision(replace(case, code="", failures=0))
    code, remedy = _need(observation)
    if not code:
        return _end_healing(case, observation, wall)
    case = replace(case, code=code, failures=case.failures + 1 if code == case.code else 1)
    stops_itself = remedy == WARM and code not in CANNOT_STOP_ITSELF and not case.step
    if case.failures < settings.failures * (PATIENT_LOOKS if stops_itself else 1):
        return Decision(case)
    if case.step == Order.KILL.value:
        # Not even SIGKILL ends it: it waits in the kernel, for a disk for example.
        return Decision(case)
    if case.step == Order.STOP.value or _is_stopping(observation):
        return _force(case, observation, remedy, now, wall)
    return _begin(case, observation, settings, now, wall)


def _can_be_judged(observation: Observation) -> bool:
    """Return whether the state allows healing: it runs, or it does not end although it was asked to, being frozen."""
    state = observation.state.state
    return state is State.RUNNING or (state is State.STOPPING and observation.remedy == FORCE)


def _is_stopping(observation: Observation) -> bool:
    return observation.phase == STOPPING or observation.state.state is State.STOPPING


def _need(observation: Observation) -> tuple[str, str]:
    """Return the code and the remedy of a problem that a restart would solve; empty if there is none."""
    if observation.remedy:
        return observation.code, observation.remedy
    limit = observation.program.memory_restart_mib
    used = max((result.values.get("memory_bytes", 0.0) for result in observation.results), default=0.0)
    if limit is not None and used > limit * 1024**2 and observation.phase != STOPPING:
        return MEMORY, WARM
    return "", ""


def _end_healing(case: Case, observation: Observation, wall: float) -> Decision:
    """End healing, if it is in progress, once the program is healthy; no problem needs a restart."""
    case = replace(case, code="", failures=0, gave_up=False)
    if not case.step or not _is_healthy(observation):
        return Decision(case)
    event = _event(observation, "healed", None, wall, "it is healthy again")
    return Decision(replace(case, step=""), events=(event,))


def _is_healthy(observation: Observation) -> bool:
    result = observation.worst
    has_heartbeat = observation.program.launcher and observation.program.kind in (Kind.WORKER, Kind.BEAT)
    is_at_work = observation.phase in AT_WORK or not has_heartbeat
    return is_at_work and (result is None or result.level is not Level.CRITICAL)


def _begin(case: Case, observation: Observation, settings: HealthSettings, now: float, wall: float) -> Decision:
    inside = [moment for moment in observation.healed_inside if 0 <= now - moment < HOUR_SECONDS]
    if len(case.restarts) + len(inside) >= settings.restarts_per_hour:
        action = f"none: restarts_per_hour ({settings.restarts_per_hour}) is reached"
        event = _healing_event(observation, case, "gave-up", action, wall)
        return Decision(replace(case, gave_up=True), events=() if case.gave_up else (event,))
    case = replace(case, step=Order.STOP.value, failures=0, restarts=(*case.restarts, now), gave_up=False)
    # SIGUSR1 kills a beat, and a worker that is not ready.
    can_dump = observation.program.kind is Kind.WORKER and observation.phase in (CONSUMING, DISCONNECTED)
    dump = (Order.DUMP,) if can_dump and case.code != MEMORY else ()
    action = f"sent {_stop_signal(observation)} for a graceful restart"
    event = _healing_event(observation, case, "healing", action, wall)
    return Decision(case, (*dump, Order.STOP), (event,))


def _stop_signal(observation: Observation) -> str:
    return f"SIG{observation.program.stop_signal}"


def _force(case: Case, observation: Observation, remedy: str, now: float, wall: float) -> Decision:
    """Kill a program that does not stop, if it provably cannot, or once its stop timeout is over."""
    waited = now - case.restarts[-1] if case.restarts and case.step == Order.STOP.value else 0.0
    is_late = case.code != MEMORY and waited > observation.program.stop_timeout_seconds
    if remedy != FORCE and not is_late:
        return Decision(case)
    case = replace(case, step=Order.KILL.value, failures=0)
    why = "its stop did not end" if _is_stopping(observation) else f"it did not react to {_stop_signal(observation)}"
    event = _healing_event(observation, case, "healing", f"sent SIGKILL: {why}", wall)
    return Decision(case, (Order.KILL,), (event,))


def _try_again(case: Case, observation: Observation, wall: float) -> Decision:
    failures = case.failures + 1 if case.code == observation.state.state.value else 1
    case = replace(case, code=observation.state.state.value, failures=failures)
    if failures < RETRY_LOOKS:
        return Decision(case)
    event = _healing_event(observation, case, "healing", "started it again, and will at every tenth check", wall)
    is_first = case.step != Order.START.value
    case = replace(case, failures=0, step=Order.START.value)
    return Decision(case, (Order.START,), (event,) if is_first else ())


def _healing_event(observation: Observation, case: Case, what: str, action: str, wall: float) -> Event:
    result = next((each for each in observation.results if each.code == case.code), observation.worst)
    event = _event(observation, what, result, wall, action)
    if case.code == MEMORY:
        limit = observation.program.memory_restart_mib
        return replace(event, code="", reason=f"it uses more memory than memory_restart_mib ({limit} MiB)")
    return event


def decide_all(
    history: HealingHistory, observations: Sequence[Observation], settings: HealthSettings, now: float, wall: float
) -> tuple[HealingHistory, Mapping[str, Decision]]:
    """Return the new history, and the decision for each program; a program that is not observed is forgotten."""
    known = {case.program: case for case in history.cases}
    decided = {
        observation.program.name: decide(
            known.get(observation.program.name, Case(observation.program.name)), observation, settings, now, wall
        )
        for observation in observations
    }
    return replace(history, cases=tuple(each.case for each in decided.values())), decided
