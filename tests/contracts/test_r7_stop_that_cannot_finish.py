"""R7: a stop that cannot finish in time hands back what it can, and what was lost is in the events by task id.

One stop of many workers is carried out once; each test looks at it from one side. Times and counts are those of the
tasks' own store (tests/contracts/trials/app.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.contracts.trials.ground import BROKERS, Ground, ground
from tests.contracts.trials.stops import (
    POOLS,
    RESTARTS,
    STOP_SECONDS,
    TAKING_SECONDS,
    Outcome,
    Trial,
    Trials,
    restarted,
)
from tests.host.overlay import HostError

pytestmark = [
    pytest.mark.supervisord,
    pytest.mark.celery,
    pytest.mark.root("RabbitMQ runs in an overlay"),
    pytest.mark.xdist_group("stop that cannot finish"),
]

CUT = [Trial(pool, broker, is_late) for pool in POOLS for broker in BROKERS for is_late in (False, True)]
EARLY, LATE = [each for each in CUT if not each.is_late], [each for each in CUT if each.is_late]
FINISHING = [
    Trial(pool, broker, stop_seconds=90, ends_when_told=True) for pool in ("prefork", "threads") for broker in BROKERS
]
RESTARTED = [restarted(pool) for pool in POOLS]
STARTED_SECONDS = 10.0
"""How soon another worker runs what a worker returns at the start of its stop."""
SLACK_SECONDS = 1.5
"""How much later than its stop timeout supervisord may kill a process, on a busy machine."""


def of(trials: list[Trial]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("trial", trials, ids=lambda trial: trial.name)


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    environment = environment_of(CELERY_REDIS)
    assert environment
    try:
        with ground(environment) as made:
            yield made
    except HostError as error:
        pytest.skip(f"RabbitMQ cannot run here: {error}")


@pytest.fixture(scope="module")
def outcome(place: Ground) -> Outcome:
    return Trials(place, [*CUT, *FINISHING, *RESTARTED]).carry_out()


@pytest.fixture(scope="module")
def lost(outcome: Outcome, place: Ground) -> dict[str, dict[str, Any]]:
    """What `procman lost` lists, by task id."""
    printed = place.product.procman("lost", "--json", check=False).stdout
    return {task["id"]: task for task in json.loads(printed)["tasks"]}


@of(FINISHING)
def test_what_waits_runs_elsewhere_while_the_stop_waits_for_the_running_tasks(outcome: Outcome, trial: Trial) -> None:
    term = outcome.term(trial)
    for task_id in trial.waiting:
        [run] = outcome.runs_of(task_id)
        assert run.worker.startswith("taker")
        assert run.has_ended
        assert 0 < run.began - term < STARTED_SECONDS
    for task_id in trial.running:
        [run] = outcome.runs_of(task_id)
        assert (run.worker, run.has_ended) == (trial.name, True)


@of([each for each in (*CUT, *FINISHING) if each.pool != "solo"])
def test_reserved_messages_return_at_the_start_of_a_stop(outcome: Outcome, trial: Trial) -> None:
    term = outcome.term(trial)
    for task_id in trial.reserved:
        [taken] = outcome.taken(task_id)
        assert 0 < taken.at - term < TAKING_SECONDS, task_id


@of([each for each in CUT if each.pool == "solo"])
def test_reserved_messages_of_a_solo_pool_return_before_its_end(outcome: Outcome, trial: Trial) -> None:
    for task_id in trial.reserved:
        [taken] = outcome.taken(task_id)
        assert outcome.term(trial) < taken.at < outcome.ended[trial.name] + TAKING_SECONDS, task_id


@of([*CUT, *FINISHING])
def test_reserved_message_runs_nowhere_but_where_it_was_taken(outcome: Outcome, trial: Trial) -> None:
    runs = [run for task_id in trial.reserved for run in outcome.runs_of(task_id)]
    assert {run.worker for run in runs} <= {f"taker-{trial.broker}"}
    assert len(runs) == len({run.task_id for run in runs})


@of([*CUT, *FINISHING, *RESTARTED])
def test_task_does_not_begin_after_the_signal_to_stop(outcome: Outcome, trial: Trial) -> None:
    times = [*outcome.stops[trial.name], float("inf")]
    for stop, ready in zip(times, [*outcome.ready[trial.name][1:], float("inf")], strict=False):
        late = [run for run in outcome.runs if run.worker == trial.name and stop < run.began < ready]
        assert late == []


@of(CUT)
def test_stop_ends_in_time(outcome: Outcome, trial: Trial) -> None:
    assert outcome.ended[trial.name] - outcome.term(trial) < STOP_SECONDS + SLACK_SECONDS


@of(LATE)
def test_running_task_that_is_acknowledged_late_runs_again_after_its_end(outcome: Outcome, trial: Trial) -> None:
    for task_id in trial.running:
        [cut, again] = outcome.runs_of(task_id)
        assert (cut.worker, cut.has_ended) == (trial.name, False)
        assert (again.worker, again.has_ended) == (f"taker-{trial.broker}", True)
        [taken] = outcome.taken(task_id)
        assert cut.last < taken.at < outcome.ended[trial.name] + TAKING_SECONDS


@of(EARLY)
def test_running_task_that_was_acknowledged_early_runs_once(outcome: Outcome, trial: Trial) -> None:
    for task_id in trial.running:
        [run] = outcome.runs_of(task_id)
        assert (run.worker, run.has_ended) == (trial.name, False)
        assert outcome.taken(task_id) == []


def test_task_never_runs_in_two_places_at_once(outcome: Outcome) -> None:
    runs = sorted(outcome.runs, key=lambda run: (run.task_id, run.began))
    for first, second in pairwise(runs):
        assert first.task_id != second.task_id or first.last < second.began, first.task_id


@of(CUT)
def test_event_names_the_running_tasks_and_no_others(outcome: Outcome, trial: Trial) -> None:
    events = [each for each in outcome.events if each["program"] == f"trials-{trial.name}"]
    # A solo pool returns reserved messages at the handback, not at the start: an event counts them, and names none.
    counting = ["handed-back"] if trial.pool == "solo" and not trial.is_late else []
    assert [each["what"] for each in events if not each["task_ids"] and not each["tasks"]] == counting
    [event] = [each for each in events if each["task_ids"] or each["tasks"]]
    assert event["what"] == ("handed-back" if trial.is_late else "cut")
    assert set(event["task_ids"]) == set(trial.running)
    assert set(event["tasks"]) == {"trials.hold"}


@of([*CUT, *FINISHING])
def test_stop_prints_each_task_that_did_not_finish_and_what_becomes_of_it(outcome: Outcome, trial: Trial) -> None:
    printed = [line for line in outcome.stdout.splitlines() if line.startswith(f"trials-{trial.name}: ")]
    fate = "handed back" if trial.is_late else "gone"
    unfinished = trial.running if trial in CUT else []
    assert printed[0] == f"trials-{trial.name}: stopped"
    assert sorted(printed[1:]) == sorted(
        f"trials-{trial.name}: did not finish: trials.hold [{task_id}], {fate}" for task_id in unfinished
    )


@of(FINISHING)
def test_stop_that_finishes_hands_nothing_back(outcome: Outcome, trial: Trial) -> None:
    assert [each for each in outcome.events if each["program"] == f"trials-{trial.name}"] == []


@of(EARLY)
def test_running_task_that_was_acknowledged_early_is_lost(lost: dict[str, dict[str, Any]], trial: Trial) -> None:
    assert set(trial.running) <= set(lost)


def test_nothing_else_is_lost(outcome: Outcome, lost: dict[str, dict[str, Any]]) -> None:
    running = {task_id for trial in CUT for task_id in trial.running}
    assert set(lost) <= running


@of([*CUT, *FINISHING])
def test_message_is_in_its_queue_once_when_all_workers_have_stopped(outcome: Outcome, trial: Trial) -> None:
    # The second of the limited tasks runs in the worker that is the first to get one.
    ran = [task_id for task_id in trial.postponed if outcome.runs_of(task_id)]
    assert outcome.left[trial.name] == len(trial.postponed) - len(ran)


def test_redis_keeps_no_message_for_a_worker_that_has_stopped(outcome: Outcome) -> None:
    assert outcome.unacknowledged == 0


@of(RESTARTED)
def test_message_is_returned_once_for_each_stop(outcome: Outcome, trial: Trial) -> None:
    returned = set()
    for each in outcome.received:
        if each.worker == trial.name:
            stops = sum(1 for stop in outcome.stops[trial.name] if stop < each.at)
            assert each.returns <= stops, each
            returned.add(each.returns)
    assert returned == set(range(RESTARTS + 1))


@of(RESTARTED)
def test_task_of_a_restarted_worker_runs_once(outcome: Outcome, trial: Trial) -> None:
    for task_id in [*trial.running, *trial.waiting]:
        [run] = outcome.runs_of(task_id)
        assert run.has_ended
