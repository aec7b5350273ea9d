"""PM505 and PM506: messages that nothing takes are reported, and those that a worker will take are not."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from procman.model import Level, Result, State
from procman.monitoring.checks.broker_look import BrokerLook, next_look, with_programs
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.checks.waiting import check_unconsumed, check_untaken
from procman.probes.broker_facts import BrokerFacts, QueueFacts
from tests.monitoring.checks.records import heartbeat, program, running, snapshot, state

NOW, WALL = float(int(time.monotonic())), time.time()  # whole seconds, whose differences are exact
LONG_AGO = 1000.0


def queue(name: str = "big", messages: int | None = 30, consumers: int | None = 0, **more: Any) -> QueueFacts:
    return QueueFacts(name, messages, consumers, **{"programs": ("demo-big",), **more})


def broker(*queues: QueueFacts, transport: str = "amqp") -> BrokerFacts:
    return BrokerFacts(True, "", "", url="amqp://broker", transport=transport, queues=queues)


def look(*queues: QueueFacts, waited: float = 0.0, transport: str = "amqp") -> BrokerLook:
    """Return a look at `queues`, which have looked the same for `waited` seconds."""
    found = None
    for at in sorted({NOW - waited, *(NOW - step for step in range(0, int(waited), 60)), NOW}):
        found = next_look(found, BrokerLook("boot", at, WALL, (broker(*queues, transport=transport),)))
    assert found
    return found


def worker(
    kind: State = State.STOPPED, since: float | None = LONG_AGO, name: str = "demo-big", **beat: Any
) -> ProgramSnapshot:
    entered = None if since is None else WALL - since
    has_process = kind in (State.RUNNING, State.STARTING, State.STOPPING)
    found = (state(kind) if has_process else state(kind, since=entered, desired=False))._replace(name=name)
    return snapshot(heartbeat(**beat) if has_process else None, program=program(name=name), state=found)


def found(results: Any) -> list[tuple[str, str]]:
    warnings = [result for result in results if result.level is Level.WARNING]
    return [(result.detail, result.hint) for result in warnings]


def unconsumed(seen: BrokerLook | None, *programs: ProgramSnapshot, **changed: Any) -> list[tuple[str, str]]:
    return found(check_unconsumed(running(*programs, look=seen, **changed)))


def test_queue_whose_only_worker_is_stopped_is_reported_with_the_command_that_starts_it() -> None:
    assert unconsumed(look(queue()), worker()) == [
        ("30 messages wait in queue big, and its only worker demo-big is stopped", "procman start demo-big")
    ]


def test_queue_whose_workers_are_all_stopped_is_reported_once() -> None:
    of_two = queue(messages=1, programs=("demo-big", "demo-huge"))
    assert unconsumed(look(of_two), worker(), worker(State.FATAL, name="demo-huge")) == [
        (
            "1 message waits in queue big, and its workers demo-big, demo-huge do not run",
            "procman start demo-big demo-huge",
        )
    ]


def test_queue_is_not_reported_as_well_while_the_process_manager_is_not_running() -> None:
    stopped = worker()
    gone = stopped._replace(state=stopped.state._replace(manager_problem="supervisord is not running"))
    assert unconsumed(look(queue()), gone) == []


def test_redis_is_judged_by_the_projects_own_workers() -> None:
    seen = look(queue(consumers=None), transport="redis")
    [(detail, _)] = unconsumed(seen, worker())
    assert detail.endswith("is stopped (this broker does not report consumers on other hosts)")
    assert unconsumed(seen, worker(State.RUNNING)) == []


def test_queue_that_no_worker_consumes_is_reported_once_that_lasts() -> None:
    lost = queue("nobody", programs=())
    assert unconsumed(look(lost)) == []
    [(detail, hint)] = unconsumed(look(lost, waited=120))
    assert detail == "30 messages wait in queue nobody, none taken for 2m, and no worker consumes it"
    assert "Add nobody to `queues`" in hint
    # A person who asks for a query gets an answer at once.
    assert unconsumed(look(lost), broker=broker(lost)) != []


def test_queue_without_a_worker_here_is_reported_of_redis_only_if_nothing_takes_its_messages() -> None:
    lost = queue("nobody", consumers=None, programs=())
    assert unconsumed(look(lost, waited=200, transport="redis")) == []
    assert len(unconsumed(look(lost, waited=301, transport="redis"))) == 1


@pytest.mark.parametrize(
    ("seen", "programs"),
    [
        pytest.param(look(queue(messages=0)), [worker()], id="empty queue"),
        pytest.param(look(queue(messages=None)), [worker()], id="queue that does not exist"),
        pytest.param(look(queue(consumers=1)), [worker()], id="consumer on another host"),
        pytest.param(look(queue()), [worker(State.RUNNING)], id="worker runs"),
        pytest.param(look(queue()), [worker(State.STARTING)], id="worker starts"),
        pytest.param(look(queue()), [worker(State.STOPPING)], id="worker restarts"),
        pytest.param(look(queue()), [worker(State.BACKOFF)], id="worker is started again"),
        pytest.param(look(queue()), [worker(since=3.0)], id="worker has just stopped"),
        pytest.param(None, [worker()], id="nothing was asked"),
    ],
)
def test_queue_that_a_worker_consumes_or_soon_will_is_fine(
    seen: BrokerLook | None, programs: list[ProgramSnapshot]
) -> None:
    assert unconsumed(seen, *programs) == []


def test_single_programs_are_not_judged_by_the_queues_of_others() -> None:
    assert unconsumed(look(queue()), worker(), is_whole=False) == []


def test_every_number_is_a_value() -> None:
    seen = look(queue(messages=3, consumers=1, unacknowledged=2), queue("small", 0, None))
    [result] = check_unconsumed(running(worker(State.RUNNING), look=seen))
    assert result.values == {
        "messages_big": 3.0,
        "consumers_big": 1.0,
        "unacknowledged_big": 2.0,
        "messages_small": 0.0,
    }


# PM506 ---------------------------------------------------------------------------------------------------------------


def untaken(seen: BrokerLook, *programs: ProgramSnapshot) -> list[Result]:
    return [each for each in check_untaken(running(*programs, look=seen)) if each.level is Level.WARNING]


def idle(**changed: Any) -> ProgramSnapshot:
    return worker(State.RUNNING, **{"busy": 0, "reserved": 0, "progress": NOW - LONG_AGO, **changed})


def test_messages_that_an_idle_worker_does_not_take_are_reported() -> None:
    [result] = untaken(look(queue(consumers=1), waited=420), idle())
    assert result.detail == "30 messages wait in queue big, none taken for 7m, although it has a consumer"
    assert result.hint == "procman logs demo-big"


def test_messages_that_a_consumer_elsewhere_does_not_take_are_reported_if_it_holds_none() -> None:
    frozen = queue(consumers=1, unacknowledged=0)
    assert len(untaken(look(frozen, waited=301), worker())) == 1
    for busy in (replace(frozen, unacknowledged=4), replace(frozen, unacknowledged=None)):
        assert untaken(look(busy, waited=301), worker()) == []


@pytest.mark.parametrize(
    ("seen", "program"),
    [
        pytest.param(look(queue(consumers=1), waited=240), idle(), id="not for long"),
        pytest.param(look(queue(consumers=1), waited=301), idle(busy=1), id="busy"),
        pytest.param(look(queue(consumers=1), waited=301), idle(reserved=4), id="holds messages"),
        pytest.param(look(queue(consumers=1), waited=301), idle(progress=NOW), id="takes from another queue"),
        pytest.param(look(queue(consumers=1), waited=301), idle(phase="disconnected"), id="disconnected"),
        pytest.param(
            look(queue(consumers=1), waited=301),
            idle(idle_with_messages_since=NOW - LONG_AGO),
            id="reported by its heartbeat",
        ),
        pytest.param(look(queue(), waited=301), idle(), id="no consumer"),
        pytest.param(look(queue(consumers=None), waited=301, transport="redis"), worker(), id="redis without a worker"),
    ],
)
def test_messages_that_wait_for_a_good_reason_or_are_reported_already_are_fine(
    seen: BrokerLook, program: ProgramSnapshot
) -> None:
    assert untaken(seen, program) == []


# The memory ----------------------------------------------------------------------------------------------------------


def since(*numbers: tuple[int, int | None], seconds: float = 60.0) -> float:
    """Return for how long nothing was taken after looks with `numbers`, (messages, unacknowledged), each minute."""
    found = None
    for number, (messages, unacknowledged) in enumerate(numbers):
        at = NOW + number * seconds
        seen = broker(queue(messages=messages, unacknowledged=unacknowledged))
        found = next_look(found, BrokerLook("boot", at, WALL, (seen,)))
    assert found
    return found.at - found.waiting[0].untaken_since


def test_time_counts_from_the_first_look_with_messages() -> None:
    assert since((0, None), (5, None), (5, None), (8, None)) == 120


def test_fewer_messages_and_other_unacknowledged_ones_are_a_sign_of_work() -> None:
    assert since((5, 0), (4, 0), (4, 0)) == 60
    assert since((5, 0), (5, 1), (5, 1)) == 60


def test_time_between_two_distant_looks_does_not_count() -> None:
    assert since((5, 0), (5, 0), seconds=600) == 0


def test_look_of_another_boot_does_not_count() -> None:
    before = BrokerLook("former", NOW - 60, WALL, (broker(queue()),))
    after = next_look(next_look(None, before), BrokerLook("boot", NOW, WALL, (broker(queue()),)))
    assert after.waiting[0].untaken_since == NOW


def test_queues_of_procman_toml_precede_those_that_a_program_had_at_its_last_start() -> None:
    facts = broker(queue("old"), queue("new", programs=()), queue("app", programs=("demo-celery",)))
    [known] = with_programs([facts], {"demo-big": ("new",), "demo-celery": ()})
    assert [(each.name, each.programs) for each in known.queues] == [
        ("old", ()),
        ("new", ("demo-big",)),
        ("app", ("demo-celery",)),
    ]
