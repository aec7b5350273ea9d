"""The orders of healing, check by check: a table of cases, and the rules that hold in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from procman.install.state.event_log import Event
from procman.model import HealthSettings, InstalledProgram, Kind, Level, ProgramState, Result, State
from procman.monitoring.heal_policy import MEMORY, Observation, Order, decide, decide_all
from procman.monitoring.healing_history import Case, HealingHistory

NAME = "catmaid-celery"
PROGRAM = InstalledProgram(NAME, "worker.celery", Kind.WORKER, True, 600, 10, True, None, None)
SETTINGS = HealthSettings(failures=3, restarts_per_hour=3, interval_seconds=30)
RUNNING = ProgramState(NAME, desired=True, state=State.RUNNING, pid=100)
GOOD = Result("PM200", NAME, Level.OK, "it is consuming")

WELL = Observation(PROGRAM, RUNNING, "100", (GOOD,), phase="consuming")
FROZEN = replace(
    WELL, results=(Result("PM201", NAME, Level.CRITICAL, "frozen"),), remedy="force", code="PM201", tasks=("a.b",)
)
FROZEN_WITH_TASKS = replace(FROZEN, remedy="warm")
OLD_HEARTBEAT = replace(FROZEN, remedy="", code="")
STUCK = replace(WELL, results=(Result("PM301", NAME, Level.CRITICAL, "idle"),), remedy="warm", code="PM301")
DISCONNECTED = replace(WELL, results=(Result("PM203", NAME, Level.WARNING, "away"),), phase="disconnected")
UNDECIDED = replace(WELL, results=(Result("PM202", NAME, Level.UNKNOWN, "solo"),))
STOPPING = replace(WELL, phase="stopping")
HUNG_STOP = replace(STOPPING, remedy="force", code="PM203", results=(Result("PM203", NAME, Level.CRITICAL, "hangs"),))
FATAL = replace(
    WELL,
    state=RUNNING._replace(state=State.FATAL, pid=None),
    process="",
    phase=None,
    results=(Result("PM101", NAME, Level.CRITICAL, "fatal"),),
)
LARGE = replace(
    WELL,
    program=replace(PROGRAM, memory_restart_mib=100),
    results=(Result("PM101", NAME, Level.OK, "", values={"memory_bytes": 101 * 1024**2}),),
)
BEAT = replace(
    FROZEN, program=replace(PROGRAM, kind=Kind.BEAT), code="PM401", remedy="warm", phase="ticking", process="100"
)


@dataclass
class Story:
    """The result of a series of checks, 30 seconds apart."""

    case: Case
    orders: list[list[Order]]
    events: list[str]
    actions: list[str]


def play(observations: Sequence[Observation], settings: HealthSettings = SETTINGS, case: Case | None = None) -> Story:
    story = Story(case or Case(NAME), [], [], [])
    for number, observation in enumerate(observations):
        decided = decide(story.case, observation, settings, 1000 + 30.0 * number, 5000 + 30.0 * number)
        story.case = decided.case
        story.orders.append(list(decided.orders))
        story.events += [event.what for event in decided.events]
        story.actions += [event.action for event in decided.events if event.action]
    return story


def given(observations: Sequence[Observation], settings: HealthSettings = SETTINGS) -> list[tuple[int, Order]]:
    """Return the orders, each with the number of its check."""
    orders = play(observations, settings).orders
    return [(number, order) for number, ordered in enumerate(orders, 1) for order in ordered]


DUMPED_AND_STOPPED = [(3, Order.DUMP), (3, Order.STOP)]


@pytest.mark.parametrize(
    ("observations", "orders"),
    [
        pytest.param([WELL] * 20, [], id="a healthy program is left alone"),
        pytest.param([FROZEN] * 2, [], id="two failures are not three"),
        pytest.param([FROZEN, FROZEN, WELL] * 5, [], id="only failures in a row count"),
        pytest.param([FROZEN, FROZEN, STUCK] * 5, [], id="only failures of one kind are added up"),
        pytest.param([FROZEN] * 5, DUMPED_AND_STOPPED, id="graceful stop first"),
        pytest.param([FROZEN] * 12, [*DUMPED_AND_STOPPED, (6, Order.KILL)], id="then one kill"),
        pytest.param([STUCK] * 5, [], id="a program that judges itself has time to stop by itself"),
        pytest.param([STUCK] * 8, [(6, Order.DUMP), (6, Order.STOP)], id="it is stopped if it does not"),
        pytest.param(
            [STUCK] * 40,
            [(6, Order.DUMP), (6, Order.STOP), (27, Order.KILL)],
            id="if it does not react, it is killed after its stop timeout",
        ),
        pytest.param(
            [FROZEN_WITH_TASKS] * 40,
            [*DUMPED_AND_STOPPED, (24, Order.KILL)],
            id="frozen, tasks at work: it is killed after its stop timeout",
        ),
        pytest.param(
            [replace(STUCK, program=replace(PROGRAM, stop_timeout_seconds=7200))] * 260,
            [(6, Order.DUMP), (6, Order.STOP), (247, Order.KILL)],
            id="its stop timeout may be longer than the hour in which restarts are counted",
        ),
        pytest.param(
            [*[FROZEN_WITH_TASKS] * 5, *[FROZEN] * 5],
            [*DUMPED_AND_STOPPED, (6, Order.KILL)],
            id="frozen, tasks have ended: it is killed earlier",
        ),
        pytest.param([OLD_HEARTBEAT] * 50, [], id="an old heartbeat alone proves nothing"),
        pytest.param([*[FROZEN] * 4, *[OLD_HEARTBEAT] * 50], DUMPED_AND_STOPPED, id="no kill once it acts again"),
        pytest.param(
            [*[STUCK] * 6, *[STOPPING] * 50], [(6, Order.DUMP), (6, Order.STOP)], id="a graceful stop may take long"
        ),
        pytest.param(
            [*[STUCK] * 6, STOPPING, *[HUNG_STOP] * 3],
            [(6, Order.DUMP), (6, Order.STOP), (10, Order.KILL)],
            id="a stop may not take longer than the stop timeout",
        ),
        pytest.param([HUNG_STOP] * 9, [(3, Order.KILL)], id="nor may a stop that it began itself"),
        pytest.param([BEAT] * 6, [(6, Order.STOP)], id="a beat gets no dump, which would kill it"),
        pytest.param(
            [replace(FROZEN, phase="importing")] * 3, [(3, Order.STOP)], id="an importing worker gets no dump"
        ),
        pytest.param(
            [replace(FROZEN, phase=None)] * 3, [(3, Order.STOP)], id="a worker without a heartbeat gets no dump"
        ),
        pytest.param([DISCONNECTED] * 50, [], id="an unreachable broker is no failure"),
        pytest.param([UNDECIDED] * 50, [], id="unknown is no failure"),
        pytest.param([replace(FROZEN, held=True)] * 50, [], id="a held program is left alone"),
        pytest.param([replace(FROZEN, program=replace(PROGRAM, heal=False))] * 50, [], id="heal = false is left alone"),
        pytest.param(
            [replace(FROZEN, state=RUNNING._replace(desired=False, state=State.STOPPED))] * 50,
            [],
            id="a program stopped on purpose is left alone",
        ),
        pytest.param(
            [replace(FROZEN_WITH_TASKS, state=RUNNING._replace(state=State.STOPPING))] * 50,
            [],
            id="a program that is stopping is left alone",
        ),
        pytest.param(
            [replace(FROZEN, state=RUNNING._replace(state=State.STOPPING))] * 50,
            [(3, Order.KILL)],
            id="a program that is stopping and frozen without tasks is killed",
        ),
        pytest.param(
            [replace(FROZEN, state=RUNNING._replace(desired=False, state=State.STOPPING))] * 50,
            [],
            id="unless it is to stay stopped",
        ),
        pytest.param(
            [replace(FROZEN, state=RUNNING._replace(state=State.STARTING))] * 50,
            [],
            id="a program that is starting is left alone",
        ),
        pytest.param(
            [replace(FROZEN, state=RUNNING._replace(state=State.UNKNOWN))] * 50,
            [],
            id="a program in an unknown state is left alone",
        ),
        pytest.param(
            [FATAL] * 25,
            [(10, Order.START), (20, Order.START)],
            id="a program that was given up is started again, slowly",
        ),
        pytest.param([replace(FATAL, held=True)] * 25, [], id="a held program that was given up is not"),
        pytest.param(
            [replace(FATAL, state=FATAL.state._replace(desired=False))] * 25, [], id="nor is one that was stopped"
        ),
        pytest.param([LARGE] * 12, [(3, Order.STOP)], id="too much memory: a graceful stop, never a kill"),
        pytest.param(
            [*[LARGE] * 3, *[replace(LARGE, phase="stopping")] * 9],
            [(3, Order.STOP)],
            id="too much memory: stopped once",
        ),
        pytest.param([replace(LARGE, phase="stopping")] * 9, [], id="too much memory: not stopped if it is stopping"),
        pytest.param([replace(BEAT, phase="consuming")] * 6, [(6, Order.STOP)], id="a beat gets no dump in any phase"),
    ],
)
def test_orders(observations: Sequence[Observation], orders: list[tuple[int, Order]]) -> None:
    assert given(observations) == orders


def test_new_process_has_no_failures() -> None:
    frozen_again = [replace(FROZEN, process=str(pid)) for pid in range(101, 110)]
    assert given(frozen_again) == []
    other = replace(FROZEN, process="200")
    assert given([*[FROZEN] * 3, *[other] * 4])[2:] == [(6, Order.DUMP), (6, Order.STOP)]


def test_never_more_restarts_than_allowed_within_the_hour() -> None:
    observations = [replace(FROZEN, process=str(look // 3)) for look in range(60)]
    story = play(observations)
    assert sum(Order.STOP in orders for orders in story.orders) == SETTINGS.restarts_per_hour
    assert story.events.count("gave-up") == 1


def test_healing_resumes_after_an_hour() -> None:
    observations = [replace(FROZEN, process=str(look // 3)) for look in range(150)]
    stopped = [number for number, orders in enumerate(play(observations).orders) if Order.STOP in orders]
    assert stopped == [2, 5, 8, 122, 125, 128]


def test_restarts_by_the_program_itself_count() -> None:
    assert given([replace(FROZEN, healed_inside=(500.0, 600.0))] * 3) == DUMPED_AND_STOPPED
    assert given([replace(FROZEN, healed_inside=(500.0, 600.0, 700.0))] * 9) == []
    long_ago = (-2600.0, -2599.0, -2598.0)
    assert given([replace(FROZEN, healed_inside=long_ago)] * 3) == DUMPED_AND_STOPPED


def test_restarts_in_the_future_do_not_count() -> None:
    assert given([replace(FROZEN, healed_inside=(1e9, 2e9, 3e9))] * 3) == DUMPED_AND_STOPPED


def test_wall_clock_that_is_set_back_changes_nothing() -> None:
    def ordered(wall_step: float) -> list[tuple[Order, ...]]:
        case, orders = Case(NAME), []
        for look in range(12):
            decided = decide(case, FROZEN, SETTINGS, 30.0 * look, 1e9 + wall_step * look)
            case = decided.case
            orders.append(decided.orders)
        return orders

    assert ordered(30.0) == ordered(-86_400.0) == ordered(0.0)


def test_each_step_of_healing_is_one_event() -> None:
    after = replace(WELL, process="200")
    importing = replace(after, phase="importing", results=(Result("PM203", NAME, Level.OK, "importing"),))
    story = play([WELL, *[FROZEN] * 6, importing, importing, after, after])
    assert story.events == ["found", "healing", "healing", "healed"]
    assert story.actions == [
        "sent SIGTERM for a graceful restart",
        "sent SIGKILL: it did not react to SIGTERM",
        "it is healthy again",
    ]
    assert story.case.step == ""


def test_command_that_uses_too_much_memory_is_stopped_by_its_own_signal_without_a_dump() -> None:
    """USR1 means something else to it: gunicorn opens its logs again, and a script ends."""
    command = replace(LARGE.program, kind=Kind.COMMAND, key="command.web", stop_signal="INT")
    story = play([replace(LARGE, program=command, phase=None)] * 3)
    assert [order for orders in story.orders for order in orders] == [Order.STOP]
    assert "sent SIGINT for a graceful restart" in story.actions


def test_problem_and_its_end_are_one_event_each() -> None:
    story = play([*[DISCONNECTED] * 40, *[WELL] * 3, *[DISCONNECTED] * 40])
    assert story.events == ["found", "recovered", "found"]


def test_end_has_the_code_of_the_problem_and_waits_until_the_program_works() -> None:
    case = Case(NAME, process="100", told="CRITICAL PM301")
    assert play([STOPPING, replace(WELL, phase="importing")], case=case).events == []
    decided = decide(case, WELL, SETTINGS, 0.0, 0.0)
    assert [(event.what, event.code, event.level) for event in decided.events] == [("recovered", "PM301", "OK")]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param("PM301", "it is consuming", id="the text of its own check"),
        pytest.param("PM603", "The disks have enough free space", id="its title if the check has no text"),
        pytest.param("PM104", "The pool has all its processes", id="its title if the check has no result"),
        pytest.param("PM999", "no problem is left", id="a code of an earlier procman"),
    ],
)
def test_recovered_has_the_text_of_its_own_check(code: str, text: str) -> None:
    results = (Result("PM301", NAME, Level.OK, "it is consuming"), Result("PM603", None, Level.OK, ""))
    observation = replace(WELL, results=results)
    [event] = decide(Case(NAME, process="100", told=f"CRITICAL {code}"), observation, SETTINGS, 0.0, 0.0).events
    assert (event.what, event.code, event.level, event.reason) == ("recovered", code, "OK", text)


def test_beat_on_standby_is_settled_and_healthy() -> None:
    standby = replace(WELL, program=BEAT.program, phase="standby")
    healed = play([standby], case=Case(NAME, step=Order.STOP.value, told="CRITICAL PM401"))
    assert (healed.events, healed.case.step) == (["healed"], "")
    assert play([standby], case=Case(NAME, told="CRITICAL PM401")).events == ["recovered"]


def test_restart_that_was_ordered_is_not_reported_as_an_observation() -> None:
    def during(state: State) -> Observation:
        result = Result("PM101", NAME, Level.WARNING, state.value)
        return replace(WELL, state=RUNNING._replace(state=state), results=(result,), phase=None)

    way = [*[FROZEN] * 3, *[during(State.STOPPING)] * 9, *[during(State.STARTING)] * 9, replace(WELL, process="200")]
    assert play(way).events == ["found", "healing", "healed"]
    assert play([*[FROZEN] * 3, *[during(State.BACKOFF)] * 9]).events == ["found", "healing", "found"]
    assert play([during(State.STOPPING)] * 9).events == ["found"]


@pytest.mark.parametrize(("state", "seconds"), [(State.STARTING, 10), (State.STOPPING, 600)])
def test_start_or_stop_by_command_is_an_event_only_if_it_takes_too_long(state: State, seconds: int) -> None:
    result = Result("PM101", NAME, Level.WARNING, state.value)
    during = replace(WELL, state=RUNNING._replace(state=state, since=5000.0), results=(result,), phase=None)
    case, events = Case(NAME), []
    for wall in range(5000, 5000 + seconds + 7, 2):
        decided = decide(case, during, SETTINGS, 0.0, float(wall))
        case = decided.case
        events += [(event.what, event.at) for event in decided.events]
    assert events == [("found", 5000.0 + seconds + 6)]


def test_short_problem_is_no_event() -> None:
    assert play([DISCONNECTED, DISCONNECTED, WELL, FROZEN, WELL, UNDECIDED, WELL]).events == []


def test_held_and_unhealed_programs_have_events() -> None:
    assert play([replace(FROZEN, held=True)] * 9).events == ["found"]
    assert play([replace(FROZEN, program=replace(PROGRAM, heal=False))] * 9).events == ["found"]


def test_program_stopped_on_purpose_has_no_events() -> None:
    assert play([replace(FATAL, state=FATAL.state._replace(desired=False))] * 9).events == []


def test_event_names_the_running_tasks() -> None:
    decided = decide(Case(NAME, process="100", code="PM201", failures=2), FROZEN, SETTINGS, 0.0, 5000.0)
    [event] = [event for event in decided.events if event.what == "healing"]
    assert (event.at, event.program, event.code, event.reason, event.tasks) == (
        5000.0,
        NAME,
        "PM201",
        "frozen",
        ("a.b",),
    )


def test_event_for_too_much_memory_names_the_limit() -> None:
    decided = decide(Case(NAME, process="100", code=MEMORY, failures=2), LARGE, SETTINGS, 0.0, 0.0)
    assert [event.reason for event in decided.events] == ["it uses more memory than memory_restart_mib (100 MiB)"]


def test_program_that_is_not_observed_is_forgotten() -> None:
    cases = (Case("catmaid-gone", failures=2), Case(NAME, process="100", code="PM201", failures=1))
    after, decided = decide_all(HealingHistory("boot", cases), [FROZEN], SETTINGS, 0.0, 0.0)
    assert [case.program for case in after.cases] == [NAME]
    assert after.cases[0].failures == 2
    assert decided[NAME].orders == ()


def test_ends_are_events_once_and_the_first_check_reports_none_before_it() -> None:
    first = decide(Case(NAME), WELL, SETTINGS, 1000, 5000)
    assert first.case.ended == 5000
    end = Event(5010.5, NAME, "ended", "PM111", reason="killed by SIGKILL (cause unknown)")
    second = decide(first.case, replace(WELL, ended=(end,)), SETTINGS, 1030, 5030)
    assert second.events == (end,)
    assert second.case.ended == 5010.5
    assert decide(second.case, WELL, SETTINGS, 1060, 5060).case.ended == 5010.5
