"""Each task of a worker that is killed is done, runs again or is listed by `procman lost` (the full form: make soak).

SOAK_SEED repeats a run's random numbers, SOAK_KILLS sets how many kills the full form carries out, and
SOAK_CELERY which version of Celery alone it tests.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.celery_environments import (
    CELERY_4_4_REDIS,
    CELERY_5_1_REDIS,
    CELERY_REDIS,
    CelerySpec,
    environment_of,
)
from tests.contracts.trials.ground import BROKERS, Ground, brokers
from tests.contracts.trials.kill_verdict import POOL_CHILD, REBOOT, WHOLE_TREE
from tests.contracts.trials.killing import WITHOUT_MEMORY, WORKER
from tests.contracts.trials.kills import Killed, Kills, Victim
from tests.contracts.trials.memory import can_run_out
from tests.contracts.trials.redis_monitor import monitored
from tests.host.overlay import HostError
from tests.rabbitmq_server import RabbitMQ
from tests.redis_server import Redis

pytestmark = [
    pytest.mark.supervisord,
    pytest.mark.celery,
    pytest.mark.root("RabbitMQ runs in an overlay"),
]

KINDS = (WORKER, POOL_CHILD, WHOLE_TREE, REBOOT)
QUIET_SECONDS = 10.0
"""How long all workers must do nothing, on a machine that other work delays."""
FEW = [Victim(broker, is_late) for broker in BROKERS for is_late in (False, True)]
ALSO = [
    *(Victim(broker, True, more="reject") for broker in BROKERS),
    *(Victim(broker, broker == "redis", pool) for broker in BROKERS for pool in ("threads", "solo")),
    Victim("rabbitmq", False, more="results"),
    Victim("redis", True, more="results"),
]
ALL = {
    CELERY_REDIS: [*FEW, *ALSO, *(Victim(broker, broker == "redis", more="retry") for broker in BROKERS)],
    CELERY_5_1_REDIS: [*FEW, *ALSO],
    CELERY_4_4_REDIS: [*FEW, *ALSO],
}
"""Task_retry_on_worker_lost is of Celery 5.7."""


def test_every_task_of_a_killed_worker_is_done_or_accounted_for() -> None:
    with places() as (rabbitmq, redis):
        killed = carried_out(CELERY_REDIS, rabbitmq, redis, FEW, 3, drawn_by(), KINDS)
    assert sum(killed.kills.values()) == 12
    assert killed.kills[REBOOT] == 4
    assert killed.violations() == []


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_task_is_accounted_for_after_many_kills() -> None:
    kinds = (*KINDS, *WITHOUT_MEMORY) if can_run_out() else KINDS
    choose = drawn_by()
    rounds = -(-int(os.environ.get("SOAK_KILLS") or 200) // sum(map(len, ALL.values())))
    wrong = {}
    with places() as (rabbitmq, redis):
        for spec, victims in ALL.items():
            if os.environ.get("SOAK_CELERY", spec.version) != spec.version:
                continue
            killed = carried_out(spec, rabbitmq, redis, victims, rounds, choose, kinds, QUIET_SECONDS)
            wrong[spec.version] = killed.violations()
    assert not any(wrong.values()), wrong


def drawn_by() -> random.Random:
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
    print(f"SOAK_SEED={seed}")
    return random.Random(seed)


@contextmanager
def places() -> Iterator[tuple[RabbitMQ, Redis]]:
    try:
        with brokers() as made:
            yield made
    except HostError as error:
        pytest.skip(f"RabbitMQ cannot run here: {error}")


def carried_out(
    spec: CelerySpec,
    rabbitmq: RabbitMQ,
    redis: Redis,
    victims: list[Victim],
    rounds: int,
    choose: random.Random,
    kinds: tuple[str, ...],
    quiet_seconds: float = 2.0,
) -> Killed:
    environment = environment_of(spec)
    assert environment, spec.missing
    place = Ground(environment, rabbitmq, redis)
    try:
        with monitored(redis) as monitor:
            kills = Kills(place, victims, choose, kinds=kinds, quiet_seconds=quiet_seconds)
            killed = kills.carry_out(rounds, monitor)
    finally:
        place.product.close()
    print(f"Celery {spec.version}: {sum(killed.kills.values())} kills {dict(killed.kills)}, {len(killed.sent)} tasks")
    print(f"listed: {dict(Counter(each.outcome for each in killed.listed))}; done: {killed.done}")
    print(f"lost between Redis and a worker: {len(killed.lost_by_redis)}")
    print(*killed.of_lost_by_redis(), sep="\n")
    for wrong in killed.violations():
        print(wrong, *killed.history_of(wrong.partition(":")[0]), sep="\n    ", flush=True)
    return killed
