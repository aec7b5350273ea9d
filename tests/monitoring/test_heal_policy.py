"""What is done about what was found, look by look: a table of stories, and the rules that no story may break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from procman.model import HealthSettings, InstalledProgram, Kind, Level, ProgramState, Result, State
from procman.monitoring.heal_policy import MEMORY, Case, HealingHistory, Observation, Order, decide, decide_all

NAME = "catmaid-celery"
PROGRAM = InstalledProgram(NAME, "worker.celery", Kind.WORKER, True, 600, 10, True, None, None)
SETTINGS = HealthSettings(failures=3, restarts_per_hour=3, interval_seconds=30)
RUNNING = ProgramState(NAME, desired=True, state=State.RUNNING, pid=100)
GOOD = Result("PM200", NAME, Level.OK, "it is consuming")

WELL = Observation(PROGRAM, RUNNING, "100", (GOOD,), phase="consuming")
FROZEN = replace(
    WELL, results=(Result("PM201", NAME, Level.CRITICAL, "frozen"),), remedy="force", code="PM201", tasks=("a.b",)
)
STUCK = replace(WELL, results=(Result("PM301", NAME, Level.CRITICAL, "idle"),), remedy="warm", code="PM301")
DISCONNECTED = replace(WELL, results=(Result("PM203", NAME, Level.WARNING, "away"),), phase="disconnected")
UNTELLING = replace(WELL, results=(Result("PM202", NAME, Level.UNKNOWN, "solo"),))
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
    """What came of a series of looks, 30 seconds apart."""

    case: Case
    orders: list[list[Order]]
    events: list[str]
    actions: list[str]


def tell(observations: Sequence[Observation], settings: HealthSettings = SETTINGS, case: Case | None = None) -> Story:
    story = Story(case or Case(NAME), [], [], [])
    for number, observation in enumerate(observations):
        decided = decide(story.case, observation, settings, 1000 + 30.0 * number, 5000 + 30.0 * number)
        story.case = decided.case
        story.orders.append(list(decided.orders))
        story.events += [event.what for event in decided.events]
        story.actions += [event.action for event in decided.events if event.action]
    return story


def given(observations: Sequence[Observation], settings: HealthSettings = SETTINGS) -> list[tuple[int, Order]]:
    """Return what was ordered, each with the number of the look it came at."""
    orders = tell(observations, settings).orders
    return [(number, order) for number, ordered in enumerate(orders, 1) for order in ordered]


DUMPED_AND_STOPPED = [(3, Order.DUMP), (3, Order.STOP)]


@pytest.mark.parametrize(
    ("observations", "orders"),
    [
        pytest.param([WELL] * 20, [], id="a sound one is left alone"),
        pytest.param([FROZEN] * 2, [], id="two failures are not three"),
        pytest.param([FROZEN, FROZEN, WELL] * 5, [], id="failures count in a row only"),
        pytest.param([FROZEN, FROZEN, STUCK] * 5, [], id="failures of one kind count together only"),
        pytest.param([FROZEN] * 5, DUMPED_AND_STOPPED, id="warm first"),
        pytest.param([FROZEN] * 12, [*DUMPED_AND_STOPPED, (6, Order.KILL)], id="then by force, once"),
        pytest.param([STUCK] * 5, [], id="one that can speak has time to stop by itself"),
        pytest.param([STUCK] * 8, [(6, Order.DUMP), (6, Order.STOP)], id="and is stopped if it does not"),
        pytest.param([STUCK] * 9, [(6, Order.DUMP), (6, Order.STOP), (9, Order.KILL)], id="and killed if it is deaf"),
        pytest.param(
            [*[STUCK] * 6, *[STOPPING] * 50], [(6, Order.DUMP), (6, Order.STOP)], id="a warm stop may take long"
        ),
        pytest.param(
            [*[STUCK] * 6, STOPPING, *[HUNG_STOP] * 3],
            [(6, Order.DUMP), (6, Order.STOP), (10, Order.KILL)],
            id="but not longer than the stop timeout",
        ),
        pytest.param([HUNG_STOP] * 9, [(3, Order.KILL)], id="nor may one that it began by itself"),
        pytest.param(
            [replace(STUCK, busy=True)] * 20,
            [(6, Order.DUMP), (6, Order.STOP)],
            id="a busy one that is deaf is not killed",
        ),
        pytest.param([BEAT] * 6, [(6, Order.STOP)], id="a beat would die of the dump"),
        pytest.param([replace(FROZEN, phase="importing")] * 3, [(3, Order.STOP)], id="so would an importing worker"),
        pytest.param([replace(FROZEN, phase=None)] * 3, [(3, Order.STOP)], id="and one that says nothing"),
        pytest.param([DISCONNECTED] * 50, [], id="a broker that is down is no failure"),
        pytest.param([UNTELLING] * 50, [], id="what cannot be told is no failure"),
        pytest.param([replace(FROZEN, held=True)] * 50, [], id="a held one is left alone"),
        pytest.param([replace(FROZEN, program=replace(PROGRAM, heal=False))] * 50, [], id="heal = false is left alone"),
        pytest.param(
            [replace(FROZEN, state=RUNNING._replace(desired=False, state=State.STOPPED))] * 50,
            [],
            id="what was stopped on purpose is left alone",
        ),
        pytest.param([replace(FROZEN, state=RUNNING._replace(state=State.STOPPING))] * 50, [], id="nor one that stops"),
        pytest.param(
            [replace(FROZEN, state=RUNNING._replace(state=State.STARTING))] * 50, [], id="nor one that starts"
        ),
        pytest.param([replace(FROZEN, state=RUNNING._replace(state=State.UNKNOWN))] * 50, [], id="nor an unknown one"),
        pytest.param(
            [FATAL] * 25, [(10, Order.START), (20, Order.START)], id="what was given up is tried again, slowly"
        ),
        pytest.param([replace(FATAL, held=True)] * 25, [], id="but not if it is held"),
        pytest.param(
            [replace(FATAL, state=FATAL.state._replace(desired=False))] * 25, [], id="nor if somebody stopped it"
        ),
        pytest.param([LARGE] * 12, [(3, Order.STOP)], id="too much memory: warm, never by force"),
        pytest.param([replace(LARGE, busy=True)] * 3, [(3, Order.STOP)], id="also a busy one, which ends its tasks"),
        pytest.param([*[LARGE] * 3, *[replace(LARGE, phase="stopping")] * 9], [(3, Order.STOP)], id="told once"),
        pytest.param([replace(LARGE, phase="stopping")] * 9, [], id="and not at all where it stops already"),
        pytest.param([replace(BEAT, phase="consuming")] * 6, [(6, Order.STOP)], id="whatever a beat says of itself"),
    ],
)
def test_orders(observations: Sequence[Observation], orders: list[tuple[int, Order]]) -> None:
    assert given(observations) == orders


def test_a_new_process_begins_with_a_clean_sheet() -> None:
    frozen_again = [replace(FROZEN, process=str(pid)) for pid in range(101, 110)]
    assert given(frozen_again) == []
    other = replace(FROZEN, process="200")
    assert given([*[FROZEN] * 3, *[other] * 4])[2:] == [(6, Order.DUMP), (6, Order.STOP)]


def test_never_more_restarts_than_allowed_within_the_hour() -> None:
    observations = [replace(FROZEN, process=str(look // 3)) for look in range(60)]
    story = tell(observations)
    assert sum(Order.STOP in orders for orders in story.orders) == SETTINGS.restarts_per_hour
    assert story.events.count("gave-up") == 1


def test_after_an_hour_it_is_tried_again() -> None:
    observations = [replace(FROZEN, process=str(look // 3)) for look in range(150)]
    stopped = [number for number, orders in enumerate(tell(observations).orders) if Order.STOP in orders]
    assert stopped == [2, 5, 8, 122, 125, 128]


def test_what_the_program_did_by_itself_counts_too() -> None:
    assert given([replace(FROZEN, healed_inside=(500.0, 600.0))] * 3) == DUMPED_AND_STOPPED
    assert given([replace(FROZEN, healed_inside=(500.0, 600.0, 700.0))] * 9) == []
    long_ago = (-2600.0, -2599.0, -2598.0)
    assert given([replace(FROZEN, healed_inside=long_ago)] * 3) == DUMPED_AND_STOPPED


def test_claims_of_restarts_in_the_future_count_for_nothing() -> None:
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


def test_story_of_a_healing_is_told_once_each() -> None:
    after = replace(WELL, process="200")
    importing = replace(after, phase="importing", results=(Result("PM203", NAME, Level.OK, "importing"),))
    story = tell([WELL, *[FROZEN] * 6, importing, importing, after, after])
    assert story.events == ["found", "healing", "healing", "healed"]
    assert story.actions == [
        "told it to stop warm and be started again",
        "killed it: it did not hear that it is to stop",
        "it is well again",
    ]
    assert story.case.step == ""


def test_what_is_found_is_told_once_and_so_is_its_end() -> None:
    story = tell([*[DISCONNECTED] * 40, *[WELL] * 3, *[DISCONNECTED] * 40])
    assert story.events == ["found", "recovered", "found"]


def test_end_is_told_with_the_code_of_the_beginning_and_not_before_it_is_at_work_again() -> None:
    case = Case(NAME, process="100", told="CRITICAL PM301")
    assert tell([STOPPING, replace(WELL, phase="importing")], case=case).events == []
    decided = decide(case, WELL, SETTINGS, 0.0, 0.0)
    assert [(event.what, event.code, event.level) for event in decided.events] == [("recovered", "PM301", "OK")]


def test_restart_that_was_ordered_is_not_reported_as_an_observation() -> None:
    def during(state: State) -> Observation:
        result = Result("PM101", NAME, Level.WARNING, state.value)
        return replace(WELL, state=RUNNING._replace(state=state), results=(result,), phase=None)

    way = [*[FROZEN] * 3, *[during(State.STOPPING)] * 9, *[during(State.STARTING)] * 9, replace(WELL, process="200")]
    assert tell(way).events == ["found", "healing", "healed"]
    assert tell([*[FROZEN] * 3, *[during(State.BACKOFF)] * 9]).events == ["found", "healing", "found"]
    assert tell([during(State.STOPPING)] * 9).events == ["found"]


@pytest.mark.parametrize(("state", "seconds"), [(State.STARTING, 10), (State.STOPPING, 600)])
def test_start_or_stop_that_somebody_ordered_is_told_only_if_it_takes_longer_than_it_may(
    state: State, seconds: int
) -> None:
    result = Result("PM101", NAME, Level.WARNING, state.value)
    during = replace(WELL, state=RUNNING._replace(state=state, since=5000.0), results=(result,), phase=None)
    case, events = Case(NAME), []
    for wall in range(5000, 5000 + seconds + 7, 2):
        decided = decide(case, during, SETTINGS, 0.0, float(wall))
        case = decided.case
        events += [(event.what, event.at) for event in decided.events]
    assert events == [("found", 5000.0 + seconds + 6)]


def test_what_passes_by_is_not_told() -> None:
    assert tell([DISCONNECTED, DISCONNECTED, WELL, FROZEN, WELL, UNTELLING, WELL]).events == []


def test_held_and_unhealed_programs_are_still_told_of() -> None:
    assert tell([replace(FROZEN, held=True)] * 9).events == ["found"]
    assert tell([replace(FROZEN, program=replace(PROGRAM, heal=False))] * 9).events == ["found"]


def test_nothing_is_told_of_a_program_that_was_stopped_on_purpose() -> None:
    assert tell([replace(FATAL, state=FATAL.state._replace(desired=False))] * 9).events == []


def test_event_says_which_tasks_were_running() -> None:
    decided = decide(Case(NAME, process="100", code="PM201", failures=2), FROZEN, SETTINGS, 0.0, 5000.0)
    [event] = [event for event in decided.events if event.what == "healing"]
    assert (event.at, event.program, event.code, event.reason, event.tasks) == (
        5000.0,
        NAME,
        "PM201",
        "frozen",
        ("a.b",),
    )


def test_too_much_memory_is_told_in_words() -> None:
    decided = decide(Case(NAME, process="100", code=MEMORY, failures=2), LARGE, SETTINGS, 0.0, 0.0)
    assert [event.reason for event in decided.events] == ["it uses more than memory_restart_mib (100 MiB)"]


def test_program_that_is_gone_is_forgotten() -> None:
    cases = (Case("catmaid-gone", failures=2), Case(NAME, process="100", code="PM201", failures=1))
    after, decided = decide_all(HealingHistory("boot", cases), [FROZEN], SETTINGS, 0.0, 0.0)
    assert [case.program for case in after.cases] == [NAME]
    assert after.cases[0].failures == 2
    assert decided[NAME].orders == ()
