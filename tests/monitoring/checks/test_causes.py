"""A problem that another one explains is left out, so that the first line names the cause."""

from __future__ import annotations

import pytest

from procman.model import Level, Result
from procman.monitoring.checks.causes import without_effects
from tests.monitoring.checks.records import heartbeat, snapshot

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
