"""PM507, PM509, PM510, PM514 and PM515: known faults are reported, and an unknown state is neither a fault nor OK."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from procman.model import Level
from procman.monitoring.checks.broker_states import (
    check_arguments,
    check_dead_letters,
    check_delivery_limits,
    check_features,
    check_redis,
)
from procman.probes.broker_facts import BrokerFacts, QueueFacts, QueueState
from tests.monitoring.checks.records import reported, running

CHECKS = (check_delivery_limits, check_redis, check_arguments, check_dead_letters, check_features)


def facts(**changed: Any) -> BrokerFacts:
    fields = {"reachable": True, "trouble": "", "detail": "", "url": "amqp://me:***@127.0.0.1:5672/shop", **changed}
    return BrokerFacts(**fields)


def rabbitmq(version: str = "4.0.5", *, acks_late: bool = False, **state: Any) -> BrokerFacts:
    queue = QueueFacts("big.crop", 0, 1, state=QueueState(**{"is_quorum": True, **state}))
    return facts(transport="amqp", version=version, queues=(queue,), acks_late=acks_late, denied_feature="")


@pytest.mark.parametrize(
    "broker", [None, facts(), facts(reachable=False, redis_refusal="OOM x"), facts(version="4.0.5")]
)
def test_unknown_state_is_not_reported(broker: BrokerFacts | None) -> None:
    # Without queues, all of them are known.
    checks = CHECKS if broker is None or not broker.version else (check_redis, check_features)
    assert [list(check(running(broker=broker))) for check in checks] == [[]] * len(checks)


def test_queue_of_unknown_state_is_not_ok() -> None:
    broker = facts(version="4.0.5", queues=(QueueFacts("crop", 0, 1),))
    assert list(check_delivery_limits(running(broker=broker))) == []


def test_policy_names_exactly_the_queue_and_its_virtual_host() -> None:
    [found] = check_delivery_limits(running(broker=rabbitmq()))
    assert found.hint.startswith(
        "rabbitmqctl set_policy --vhost shop big.crop "
        "'^big\\.crop$' '{\"delivery-limit\": -1}' --apply-to quorum_queues; "
    )


def test_name_from_the_app_is_one_word_for_the_shell() -> None:
    name = "x'; touch /tmp/owned; '"
    queue = QueueFacts(name, 0, 1, state=QueueState(is_quorum=True, refused="odd"))
    broker = facts(transport="amqp", version="4.0.5", queues=(queue,), user=name, redis_refusal="NOPERM no")
    [policy], [deletion] = (list(check(running(broker=broker))) for check in (check_delivery_limits, check_arguments))
    assert shlex.split(policy.hint.splitlines()[0])[4] == name
    assert shlex.split(deletion.hint.partition("delete_queue ")[2])[2] == f"{name},"
    [permission] = check_redis(running(broker=broker))
    assert shlex.split(permission.hint)[7] == name


@pytest.mark.parametrize(
    ("broker", "level"),
    [
        (rabbitmq(), Level.WARNING),
        (rabbitmq("3.13.7"), Level.OK),
        (rabbitmq("10.0.0"), Level.WARNING),
        (rabbitmq(delivery_limit=-1), Level.OK),
        (rabbitmq(delays_natively=True), Level.OK),
        (rabbitmq(is_quorum=False), Level.OK),
    ],
)
def test_only_the_default_limit_of_rabbitmq_4_is_a_warning(broker: BrokerFacts, level: Level) -> None:
    assert reported(check_delivery_limits(running(broker=broker)))[0] is level


@pytest.mark.parametrize(
    ("broker", "level"),
    [
        (rabbitmq(acks_late=True), Level.WARNING),
        (rabbitmq("3.13.7", acks_late=True), Level.OK),
        (rabbitmq("3.13.7", acks_late=True, delivery_limit=5), Level.WARNING),
        (rabbitmq(acks_late=True, delivery_limit=-1), Level.OK),
        (rabbitmq(acks_late=True, has_dead_letters=True), Level.OK),
        (rabbitmq(), Level.OK),
    ],
)
def test_limit_without_dead_letters_is_a_warning_with_acks_late(broker: BrokerFacts, level: Level) -> None:
    assert reported(check_dead_letters(running(broker=broker)))[0] is level


def test_remedy_of_both_is_one_policy() -> None:
    """Only one policy applies to a queue, and an explicit limit ends the other warning."""
    [found] = check_dead_letters(running(broker=rabbitmq(acks_late=True)))
    assert (
        '{"delivery-limit": 20, "dead-letter-exchange": "", "dead-letter-routing-key": "big.crop.dead"}' in found.hint
    )


def test_other_words_of_the_server_are_shown_as_they_are() -> None:
    level, detail = reported(check_arguments(running(broker=rabbitmq(refused="PRECONDITION_FAILED - odd"))))
    assert level is Level.CRITICAL
    assert detail.startswith(
        "queue big.crop exists with other arguments than the app declares (PRECONDITION_FAILED - odd)"
    )


def test_remedy_for_a_redis_behind_a_socket_names_the_socket() -> None:
    broker = facts(url="redis+socket:///run/redis.sock", host="/run/redis.sock", redis_refusal="OOM no")
    [found] = check_redis(running(broker=broker))
    assert found.hint.startswith("redis-cli -s /run/redis.sock CONFIG SET maxmemory ")
