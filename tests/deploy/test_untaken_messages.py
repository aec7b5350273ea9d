"""How long an install waits for a new worker to take one of the messages that wait."""

from __future__ import annotations

import time
from typing import Any

import pytest

from procman.deploy.untaken_messages import COUNTING_SECONDS, takes_nothing_yet
from tests.monitoring.checks.records import heartbeat, snapshot

WAITING = {"finished": 0, "queues": [{"name": "celery", "messages": 3, "consumers": 1, "since": None}]}


def idle_since(seconds: float) -> dict[str, Any]:
    return {**WAITING, "idle_with_messages_since": time.monotonic() - seconds}


@pytest.mark.parametrize(
    ("changed", "is_unknown"),
    [
        ({"finished": 0}, False),
        (idle_since(0), True),
        (idle_since(299), True),
        # By then it is PM301.
        (idle_since(310), False),
        ({**idle_since(0), "finished": 1}, False),
        ({**idle_since(0), "busy": 1}, False),
        ({**idle_since(0), "reserved": 4}, False),
        ({**idle_since(0), "phase": "disconnected"}, False),
    ],
    ids=["no messages", "just now", "for long", "too long", "one finished", "one runs", "received", "disconnected"],
)
def test_wait_ends_when_no_message_waits_one_is_taken_or_none_is_for_too_long(
    changed: dict[str, Any], is_unknown: bool
) -> None:
    assert takes_nothing_yet(snapshot(heartbeat(**changed)), 0) is is_unknown


def test_worker_that_has_not_asked_its_broker_is_waited_for_briefly() -> None:
    silent = snapshot(heartbeat(finished=0, queues_asked=None))
    assert takes_nothing_yet(silent, 0)
    assert not takes_nothing_yet(silent, COUNTING_SECONDS)
    assert not takes_nothing_yet(snapshot(), 0)
