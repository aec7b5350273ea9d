"""How long an install waits for a new worker to take one of the messages that wait."""

from __future__ import annotations

import time
from typing import Any

import pytest

from procman.deploy.untaken_messages import COUNTING_SECONDS, takes_nothing_yet
from tests.monitoring.checks.records import heartbeat, snapshot

WAITING = {"finished": 0, "queues": [{"name": "celery", "messages": 3, "consumers": 1, "since": None}]}


@pytest.mark.parametrize(
    ("idle_seconds", "changed", "is_unknown"),
    [
        (None, {"queues": []}, False),
        (0, {}, True),
        (240, {}, True),
        # By then it is PM301.
        (310, {}, False),
        (0, {"finished": 1}, False),
        (0, {"busy": 1}, False),
        (0, {"reserved": 4}, False),
        (0, {"phase": "disconnected"}, False),
    ],
    ids=["no messages", "just now", "for long", "too long", "one finished", "one runs", "received", "disconnected"],
)
def test_wait_ends_when_no_message_waits_one_is_taken_or_none_is_for_too_long(
    idle_seconds: float | None, changed: dict[str, Any], is_unknown: bool
) -> None:
    since = None if idle_seconds is None else time.monotonic() - idle_seconds
    idle = heartbeat(**{**WAITING, "idle_with_messages_since": since, **changed})
    assert takes_nothing_yet(snapshot(idle), 0) is is_unknown


def test_worker_that_has_not_asked_its_broker_is_waited_for_briefly() -> None:
    silent = snapshot(heartbeat(finished=0, queues_asked=None))
    assert takes_nothing_yet(silent, 0)
    assert not takes_nothing_yet(silent, COUNTING_SECONDS)
    assert not takes_nothing_yet(snapshot(), 0)
