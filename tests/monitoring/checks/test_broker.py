"""PM304 and PM501 to PM504, from a connection to the broker and from the heartbeats."""

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
)
from procman.probes.broker_facts import BrokerFacts, QueueFacts, is_here
from tests.monitoring.checks.records import heartbeat, reported, running, snapshot

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
            f"cannot connect to the broker at {URL}: nothing listens there (Connection refused)",
        ),
        (
            facts(reachable=False, trouble="dns", detail="Name or service not known"),
            Level.CRITICAL,
            f"cannot connect to the broker at {URL}: the host name cannot be resolved (Name or service not known)",
        ),
        # kombu cannot show the URL without the transport.
        (
            facts(reachable=False, trouble="module", detail="no module named redis", url=""),
            Level.CRITICAL,
            "cannot connect to the broker: its client library is missing (no module named redis)",
        ),
        (
            facts(reachable=False, trouble="plain"),
            Level.CRITICAL,
            f"cannot connect to the broker at {URL}: it expects no TLS on this port",
        ),
        # That is PM502.
        (facts(reachable=False, trouble="password"), Level.OK, f"the broker at {URL} answers"),
        (
            facts(reachable=None, trouble="import", detail="the app cannot be loaded (KeyError)"),
            Level.UNKNOWN,
            "cannot query the broker: the app cannot be loaded (KeyError)",
        ),
    ],
)
def test_result_of_the_probe_is_reported(found: BrokerFacts, level: Level, detail: str) -> None:
    [result] = check_reachable(running(broker=found))
    assert (result.level, result.detail, result.program) == (level, detail, None)
    assert result.hint == (found.remedy if level else "")


def test_failed_query_is_unknown() -> None:
    assert reported(check_reachable(running(broker_problem="only root can run a program as www-data"))) == (
        Level.UNKNOWN,
        "cannot query the broker: only root can run a program as www-data",
    )


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        (["consuming", "disconnected"], [(Level.OK, "workers are connected to the broker")]),
        (["disconnected", "starting"], [(Level.WARNING, "no worker is connected to the broker")]),
        (["starting"], []),
        ([], []),
    ],
)
def test_without_a_probe_the_heartbeats_of_the_workers_decide(
    phases: list[str], expected: list[tuple[Level, str]]
) -> None:
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
def test_refused_account_and_refused_virtual_host_are_distinguished(
    found: BrokerFacts | None, expected: list[tuple[Level, str]]
) -> None:
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
def test_guest_account_is_a_warning_on_another_host(host: str, default: bool, level: Level) -> None:
    found = running(broker=facts(host=host, default_credentials=default))
    assert reported(check_default_credentials(found))[0] is level


def test_other_transports_have_no_guest_account() -> None:
    assert list(check_default_credentials(running(broker=facts(transport="redis", default_credentials=True)))) == []


def test_socket_is_on_this_host() -> None:
    assert is_here("/run/redis/redis.sock")


@pytest.mark.parametrize(
    ("messages", "consumers", "level", "detail"),
    [
        (0, 1, Level.OK, ""),
        (9, None, Level.OK, ""),
        (0, 0, Level.WARNING, "no worker consumes queue crop"),
        (1, 0, Level.CRITICAL, "no worker consumes queue crop; 1 message is waiting"),
        (9, 0, Level.CRITICAL, "no worker consumes queue crop; 9 messages are waiting"),
    ],
)
def test_queue_without_a_consumer_is_reported(messages: int, consumers: int | None, level: Level, detail: str) -> None:
    found = running(snapshot(), broker=facts(queues=(QueueFacts("crop", messages, consumers),)))
    [result] = check_queues(found)
    assert (result.level, result.detail, result.values) == (level, detail, {"messages_crop": messages})


def test_queues_are_not_checked_without_a_running_worker() -> None:
    assert list(check_queues(running(broker=facts(queues=(QueueFacts("crop", 9, 0),))))) == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (facts(alarms=()), [(Level.OK, "")]),
        (
            facts(alarms=("memory on rabbit@here",)),
            [(Level.CRITICAL, "RabbitMQ has raised an alarm and blocks every publisher: memory on rabbit@here")],
        ),
        (
            facts(management_problem="HTTP status 401: the broker's user may not read the alarms"),
            [
                (
                    Level.WARNING,
                    (
                        "cannot query RabbitMQ's management interface at http://here:15672: "
                        "HTTP status 401: the broker's user may not read the alarms"
                    ),
                )
            ],
        ),
        (facts(reachable=False), []),
    ],
)
def test_alarms_are_reported(found: BrokerFacts, expected: list[tuple[Level, str]]) -> None:
    health = HealthSettings(management_url="http://here:15672")
    assert [(each.level, each.detail) for each in check_alarms(running(broker=found, health=health))] == expected
    assert list(check_alarms(running(broker=found))) == []


def test_queue_is_judged_by_the_workers_that_should_consume_it_by_now() -> None:
    found = facts(
        queues=(QueueFacts("crop", 3, 0, None, ("demo-celery",)), QueueFacts("big", 3, 0, None, ("demo-big",)))
    )
    [result] = check_queues(running(snapshot(heartbeat()), broker=found))
    assert (result.level, result.detail) == (Level.CRITICAL, "no worker consumes queue crop; 3 messages are waiting")
    for phase in ("importing", "starting", "disconnected"):
        assert list(check_queues(running(snapshot(heartbeat(phase=phase)), broker=found))) == []
