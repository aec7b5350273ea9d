"""PM304 and PM501 to PM504, from what a connection to the broker found and from what the heartbeats tell."""

from __future__ import annotations

from typing import Any

import pytest

from procman.model import HealthSettings, Level
from procman.monitoring.checks.broker import (
    check_alarms,
    check_credentials,
    check_default_credentials,
    check_queues,
    check_reachable,
    is_here,
)
from procman.probes.broker import REMEDIES, BrokerFacts, QueueFacts
from tests.monitoring.checks.records import heartbeat, running, snapshot, told

URL = "amqp://me:***@broker.example//"


def facts(**changed: Any) -> BrokerFacts:
    fields = {"reachable": True, "trouble": "", "detail": "", "url": URL, "transport": "amqp", "host": "broker.example"}
    return BrokerFacts(**{**fields, **changed})


@pytest.mark.parametrize(
    ("found", "level", "detail"),
    [
        (facts(), Level.OK, f"the broker at {URL} answers"),
        (
            facts(reachable=False, trouble="refused", detail="Connection refused"),
            Level.CRITICAL,
            f"the broker at {URL} cannot be used: it is not there (Connection refused)",
        ),
        (
            facts(reachable=False, trouble="dns", detail="Name or service not known"),
            Level.CRITICAL,
            f"the broker at {URL} cannot be used: its host's name is not known (Name or service not known)",
        ),
        # That is PM502.
        (facts(reachable=False, trouble="password"), Level.OK, f"the broker at {URL} answers"),
        (
            facts(reachable=None, trouble="import", detail="the app cannot be loaded (KeyError)"),
            Level.UNKNOWN,
            "the broker could not be asked: the app cannot be loaded (KeyError)",
        ),
    ],
)
def test_what_the_probe_found_is_told(found: BrokerFacts, level: Level, detail: str) -> None:
    [result] = check_reachable(running(broker=found))
    assert (result.level, result.detail, result.program) == (level, detail, None)
    assert result.hint == (REMEDIES[found.trouble] if level else "")


def test_a_probe_that_was_not_possible_is_unknown() -> None:
    assert told(check_reachable(running(broker_problem="only root can run something as www-data"))) == (
        Level.UNKNOWN,
        "the broker could not be asked: only root can run something as www-data",
    )


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        (["consuming", "disconnected"], [(Level.OK, "workers are connected to it")]),
        (["disconnected", "starting"], [(Level.WARNING, "no worker has a connection to the broker")]),
        (["starting"], []),
        ([], []),
    ],
)
def test_without_a_probe_the_workers_word_is_taken(phases: list[str], expected: list[tuple[Level, str]]) -> None:
    found = running(*(snapshot(heartbeat(phase=phase)) for phase in phases))
    assert [(each.level, each.detail) for each in check_reachable(found)] == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (facts(), [(Level.OK, "")]),
        (
            facts(reachable=False, trouble="password", detail="ACCESS_REFUSED"),
            [(Level.CRITICAL, f"the broker at {URL} refuses the user or password of the app (ACCESS_REFUSED)")],
        ),
        (
            facts(reachable=False, trouble="vhost", detail="NOT_ALLOWED"),
            [(Level.CRITICAL, f"the broker at {URL} refuses the virtual host of the app (NOT_ALLOWED)")],
        ),
        (facts(reachable=False, trouble="refused"), []),
        (None, []),
    ],
)
def test_refused_credentials_are_told_apart(found: BrokerFacts | None, expected: list[tuple[Level, str]]) -> None:
    assert [(each.level, each.detail) for each in check_credentials(running(broker=found))] == expected


@pytest.mark.parametrize(
    ("host", "default", "level"),
    [
        ("broker.example", True, Level.WARNING),
        ("broker.example", False, Level.OK),
        ("localhost", True, Level.OK),
        ("127.0.0.2", True, Level.OK),
        ("::1", True, Level.OK),
        ("10.0.0.1", True, Level.WARNING),
    ],
)
def test_guest_is_welcome_on_this_host_alone(host: str, default: bool, level: Level) -> None:
    found = running(broker=facts(host=host, default_credentials=default))
    assert told(check_default_credentials(found))[0] is level


def test_other_brokers_have_no_guest() -> None:
    assert list(check_default_credentials(running(broker=facts(transport="redis", default_credentials=True)))) == []


def test_a_socket_is_on_this_host() -> None:
    assert is_here("/run/redis/redis.sock")


@pytest.mark.parametrize(
    ("messages", "consumers", "level", "detail"),
    [
        (0, 1, Level.OK, ""),
        (9, None, Level.OK, ""),
        (0, 0, Level.WARNING, "the queue crop has no consumer"),
        (9, 0, Level.CRITICAL, "the queue crop has no consumer, and 9 messages wait"),
    ],
)
def test_a_queue_without_consumer_is_told(messages: int, consumers: int | None, level: Level, detail: str) -> None:
    found = running(snapshot(), broker=facts(queues=(QueueFacts("crop", messages, consumers),)))
    [result] = check_queues(found)
    assert (result.level, result.detail, result.values) == (level, detail, {"messages_crop": messages})


def test_queues_are_nobodys_where_no_worker_runs() -> None:
    assert list(check_queues(running(broker=facts(queues=(QueueFacts("crop", 9, 0),))))) == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (facts(alarms=()), [(Level.OK, "")]),
        (
            facts(alarms=("memory on rabbit@here",)),
            [(Level.CRITICAL, "RabbitMQ has raised an alarm and blocks whoever sends: memory on rabbit@here")],
        ),
        (
            facts(management_problem="HTTP status 401: it refuses the broker's user"),
            [
                (
                    Level.WARNING,
                    "http://here:15672 gave no answer: HTTP status 401: it refuses the broker's user",
                )
            ],
        ),
        (facts(reachable=False), []),
    ],
)
def test_alarms_are_told(found: BrokerFacts, expected: list[tuple[Level, str]]) -> None:
    health = HealthSettings(management_url="http://here:15672")
    assert [(each.level, each.detail) for each in check_alarms(running(broker=found, health=health))] == expected
    assert list(check_alarms(running(broker=found))) == []
