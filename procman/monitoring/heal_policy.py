"""What is to be done about what was found: a pure function from history and observations to new history and orders.

A healing is a signal to the main process, never a stop by the process manager: it restarts what ends, and nobody's
wish to have a program stopped is ever touched (R11). Warm first: TERM lets running tasks finish. Only what cannot hear
that, because its main process is frozen, is killed after as many failed looks again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from procman.agent.verdict import CONSUMING, DISCONNECTED, FORCE, STOPPING, TICKING, WARM
from procman.install.state.event_log import Event
from procman.model import HealthSettings, InstalledProgram, Kind, Level, ProgramState, Result, State
from procman.monitoring.checks.quick import most_severe

HOUR_SECONDS = 3600.0

RETRY_LOOKS = 10
"""Of so many looks at a program that the process manager has given up, the last has it tried again."""

PATIENT_LOOKS = 2
"""So many times `failures` a program has that says itself what is wrong: it is to stop by itself first."""

CRITICAL_LOOKS = 2
"""A program that is just being restarted may look critical once."""

MEMORY = "memory"
"""In the place of a code: it uses more than `memory_restart_mib`."""

RESTARTED = "restarted"
"""A step: there is a new process, which has yet to become well."""

SETTLED = (None, CONSUMING, TICKING, DISCONNECTED)
"""Phases that last; what is seen in the others is on its way to one of these."""

GIVEN_UP = (State.FATAL, State.EXITED)


class Order(Enum):
    """What is to be done to a program."""

    DUMP = "dump"
    """Have it write down what it is doing: Celery does at SIGUSR1."""
    STOP = "stop"
    """Stop warm, to be started again by the process manager."""
    KILL = "kill"
    START = "start"


@dataclass(frozen=True)
class Observation:
    """What one look has shown of a program."""

    program: InstalledProgram
    state: ProgramState
    process: str
    """Which main process it was; another text for another process, empty for none."""
    results: tuple[Result, ...]
    remedy: str = ""
    """What its heartbeat says would help."""
    code: str = ""
    """What that is about."""
    phase: str | None = None
    """As the heartbeat of this very process says; None where there is none."""
    busy: bool = False
    tasks: tuple[str, ...] = ()
    held: bool = False
    healed_inside: tuple[float, ...] = ()
    """When it has stopped itself for its health, in seconds of the monotonic clock."""

    @property
    def worst(self) -> Result | None:
        """The first of the worst results."""
        return most_severe(self.results) if self.results else None


@dataclass(frozen=True)
class Case:
    """What is remembered of a program from one look to the next."""

    program: str
    process: str = ""
    code: str = ""
    """What the last looks found that a restart would help."""
    failures: int = 0
    """How many looks in a row found it."""
    step: str = ""
    """How far healing has come: `stop`, `kill` or `start` was ordered, or `restarted`; empty: nothing is under way."""
    restarts: tuple[float, ...] = ()
    """When a restart was ordered within the last hour, in seconds of the monotonic clock."""
    gave_up: bool = False
    seen: str = ""
    """The worst level and code of the last look."""
    looks: int = 0
    """How many looks in a row have seen that."""
    told: str = ""
    """What was told of last; empty: that all is well."""


@dataclass(frozen=True)
class HealingHistory:
    """What is remembered of a project; of another boot it is worth nothing, for the monotonic clock began anew."""

    boot_id: str
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What comes of one look at a program."""

    case: Case
    orders: tuple[Order, ...] = ()
    """To be carried out in this order."""
    events: tuple[Event, ...] = ()


def decide(case: Case, observation: Observation, settings: HealthSettings, now: float, wall: float) -> Decision:
    """Return what is to be done about OBSERVATION, and what is to be remembered for the next look.

    NOW is the monotonic clock, which counts the hour; WALL, in seconds since the epoch, is for the events alone.
    """
    case, told = _tell(_of_this_process(case, observation, now), observation, settings, wall)
    decided = _heal(case, observation, settings, now, wall)
    return replace(decided, events=(*told, *decided.events))


def _of_this_process(case: Case, observation: Observation, now: float) -> Case:
    recent = tuple(moment for moment in case.restarts if 0 <= now - moment < HOUR_SECONDS)
    case = replace(case, restarts=recent)
    if not observation.process or observation.process == case.process:
        return case
    return replace(case, process=observation.process, code="", failures=0, step=RESTARTED if case.step else "")


# Telling -------------------------------------------------------------------------------------------------------------


def _tell(case: Case, observation: Observation, settings: HealthSettings, wall: float) -> tuple[Case, list[Event]]:
    """Return the event of what was found, or of its end, once: a state that passes by is not worth one."""
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
        # A healing has an end of its own to tell.
        is_recovery = case.told and not case.step
        formerly = result._replace(code=case.told.partition(" ")[2])
        return replace(case, told=""), [_event(observation, "recovered", formerly, wall)] if is_recovery else []
    enough = min(CRITICAL_LOOKS, settings.failures) if result.level is Level.CRITICAL else settings.failures
    if looks < enough or case.told == seen:
        return case, []
    return replace(case, told=seen), [_event(observation, "found", result, wall)]


def _is_on_its_way(case: Case, observation: Observation, wall: float) -> bool:
    """Say whether it starts or stops as it was told, by healing or by somebody, and has the time for that left."""
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
        by="healer",
    )


# Healing -------------------------------------------------------------------------------------------------------------


def _heal(case: Case, observation: Observation, settings: HealthSettings, now: float, wall: float) -> Decision:
    if observation.held or not observation.state.desired or not observation.program.heal:
        return Decision(replace(case, code="", failures=0, step="", gave_up=False))
    if observation.state.state in GIVEN_UP:
        return _try_again(case, observation, wall)
    if observation.state.state is not State.RUNNING or not observation.process:
        # It is on its way; a heartbeat of the process before says nothing.
        return Decision(replace(case, code="", failures=0))
    code, remedy = _need(observation)
    if not code:
        return _sound(case, observation, wall)
    case = replace(case, code=code, failures=case.failures + 1 if code == case.code else 1)
    speaks = remedy == WARM and code != MEMORY and not case.step
    if case.failures < settings.failures * (PATIENT_LOOKS if speaks else 1):
        return Decision(case)
    if case.step == Order.STOP.value or (case.step != Order.KILL.value and observation.phase == STOPPING):
        return _force(case, observation, remedy, wall)
    if case.step == Order.KILL.value:
        # Not even the kernel ends it: it waits for a disk or the like.
        return Decision(case)
    return _begin(case, observation, settings, now, wall)


def _need(observation: Observation) -> tuple[str, str]:
    """Return the code and the remedy of what a restart would help; empty if nothing would."""
    if observation.remedy:
        return observation.code, observation.remedy
    limit = observation.program.memory_restart_mib
    used = max((result.values.get("memory_bytes", 0.0) for result in observation.results), default=0.0)
    if limit is not None and used > limit * 1024**2 and observation.phase != STOPPING:
        return MEMORY, WARM
    return "", ""


def _sound(case: Case, observation: Observation, wall: float) -> Decision:
    """Nothing is wrong that a restart would help; that ends a healing once the program is well."""
    case = replace(case, code="", failures=0, gave_up=False)
    if not case.step or not _is_well(observation):
        return Decision(case)
    return Decision(replace(case, step=""), events=(_event(observation, "healed", None, wall, "it is well again"),))


def _is_well(observation: Observation) -> bool:
    result = observation.worst
    speaks = observation.program.launcher and observation.program.kind in (Kind.WORKER, Kind.BEAT)
    is_at_work = observation.phase in (CONSUMING, TICKING) or not speaks
    return is_at_work and (result is None or result.level is not Level.CRITICAL)


def _begin(case: Case, observation: Observation, settings: HealthSettings, now: float, wall: float) -> Decision:
    inside = [moment for moment in observation.healed_inside if 0 <= now - moment < HOUR_SECONDS]
    if len(case.restarts) + len(inside) >= settings.restarts_per_hour:
        event = _healing_event(
            observation, case, "gave-up", "none: it was restarted often enough within the hour", wall
        )
        return Decision(replace(case, gave_up=True), events=() if case.gave_up else (event,))
    case = replace(case, step=Order.STOP.value, failures=0, restarts=(*case.restarts, now), gave_up=False)
    # SIGUSR1 kills a beat, and a worker that is not ready.
    can_dump = observation.program.kind is Kind.WORKER and observation.phase in (CONSUMING, DISCONNECTED)
    dump = (Order.DUMP,) if can_dump and case.code != MEMORY else ()
    event = _healing_event(observation, case, "healing", "told it to stop warm and be started again", wall)
    return Decision(case, (*dump, Order.STOP), (event,))


def _force(case: Case, observation: Observation, remedy: str, wall: float) -> Decision:
    """It was told to stop and goes on: kill it, unless that could take a task that it runs in its time."""
    if case.code == MEMORY or (remedy != FORCE and observation.busy):
        return Decision(case)
    case = replace(case, step=Order.KILL.value, failures=0)
    why = "its stop did not end" if observation.phase == STOPPING else "it did not hear that it is to stop"
    event = _healing_event(observation, case, "healing", f"killed it: {why}", wall)
    return Decision(case, (Order.KILL,), (event,))


def _try_again(case: Case, observation: Observation, wall: float) -> Decision:
    failures = case.failures + 1 if case.code == observation.state.state.value else 1
    case = replace(case, code=observation.state.state.value, failures=failures)
    if failures < RETRY_LOOKS:
        return Decision(case)
    event = _healing_event(observation, case, "healing", "started it again, as at every tenth look from now on", wall)
    is_first = case.step != Order.START.value
    case = replace(case, failures=0, step=Order.START.value)
    return Decision(case, (Order.START,), (event,) if is_first else ())


def _healing_event(observation: Observation, case: Case, what: str, action: str, wall: float) -> Event:
    result = next((each for each in observation.results if each.code == case.code), observation.worst)
    event = _event(observation, what, result, wall, action)
    if case.code == MEMORY:
        limit = observation.program.memory_restart_mib
        return replace(event, code="", reason=f"it uses more than memory_restart_mib ({limit} MiB)")
    return event


def decide_all(
    history: HealingHistory, observations: Sequence[Observation], settings: HealthSettings, now: float, wall: float
) -> tuple[HealingHistory, Mapping[str, Decision]]:
    """Return what to remember, and what is to be done, by program; a program that is gone is forgotten."""
    known = {case.program: case for case in history.cases}
    decided = {
        observation.program.name: decide(
            known.get(observation.program.name, Case(observation.program.name)), observation, settings, now, wall
        )
        for observation in observations
    }
    return replace(history, cases=tuple(each.case for each in decided.values())), decided
