"""A problem that another one explains is left out, so that the first line names the cause."""

from __future__ import annotations

import pytest

from procman.agent.task_record import RunningTask
from procman.model import End, Level, Result, RunHistory, State
from procman.monitoring.checks.causes import without_effects
from procman.monitoring.checks.inputs import EndReport
from tests.monitoring.checks.records import heartbeat, snapshot
from tests.monitoring.checks.records import state as reported_state

WAITS = Result("PM109", "demo-celery", Level.WARNING, "process 7 of an earlier run is still running")
NO_POOL = Result("PM104", "demo-celery", Level.WARNING, "it has no pool process")
FINE = Result("PM109", "demo-celery", Level.OK, "")


@pytest.mark.parametrize(
    ("content", "results", "left"),
    [
        (None, (NO_POOL, WAITS), ("PM109",)),
        (None, (NO_POOL, FINE), ("PM104", "PM109")),
        # It runs, so its pool is lacking for another reason.
        (heartbeat(), (NO_POOL, WAITS), ("PM104", "PM109")),
    ],
    ids=["it waits for an earlier process", "no earlier process", "it has a heartbeat"],
)
def test_missing_pool_is_not_reported_while_an_earlier_process_is_waited_for(
    content: dict[str, object] | None, results: tuple[Result, ...], left: tuple[str, ...]
) -> None:
    assert tuple(each.code for each in without_effects(snapshot(content), results)) == left


def test_crash_loop_is_one_problem_and_keeps_its_numbers() -> None:
    end = End(1.0, "exit status 1")
    crashing = snapshot(
        None,
        state=reported_state(State.BACKOFF, None, history=RunHistory(restarts=4, failures=4, ends=(end,))),
        ended=EndReport(end),
    )
    loop = Result("PM101", "demo-celery", Level.CRITICAL, "crash loop")
    again = Result("PM103", "demo-celery", Level.WARNING, "it was restarted 4 times", "procman logs", {"restarts": 4.0})
    ended = Result("PM111", "demo-celery", Level.WARNING, "its main process ended")
    full = Result("PM206", "demo-celery", Level.WARNING, "its heartbeat cannot be written")
    results = without_effects(crashing, (loop, again, NO_POOL, ended, full))
    assert [each.code for each in results if each.level is not Level.OK] == ["PM101", "PM206"]
    assert results[1].values == {"restarts": 4.0}
    with_task = crashing._replace(ended=EndReport(end, "", (RunningTask("7c46", "shop.slow", 0.0, 0.0),), 1))
    assert ended in without_effects(with_task, (loop, ended))
