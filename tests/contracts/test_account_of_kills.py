"""Each task of a worker that is killed is done, runs again or is listed by `procman lost` (the full form: make soak).

SOAK_SEED repeats a run's random numbers, SOAK_KILLS sets how many kills the full form carries out.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.contracts.trials.ground import BROKERS, ground
from tests.contracts.trials.kills import Killed, Kills, Victim
from tests.host.overlay import HostError

pytestmark = [
    pytest.mark.supervisord,
    pytest.mark.celery,
    pytest.mark.root("RabbitMQ runs in an overlay"),
]

FEW = [Victim(broker, is_late) for broker in BROKERS for is_late in (False, True)]
ALL = [
    *FEW,
    *(Victim(broker, True, rejects=True) for broker in BROKERS),
    *(Victim(broker, False, has_results=True) for broker in BROKERS),
]


def carried_out(victims: list[Victim], kills: int) -> Killed:
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
    print(f"SOAK_SEED={seed}")
    environment = environment_of(CELERY_REDIS)
    assert environment
    try:
        with ground(environment) as place:
            killed = Kills(place, victims, seed).carry_out(-(-kills // len(victims)))
    except HostError as error:
        pytest.skip(f"RabbitMQ cannot run here: {error}")
    print(f"kills: {dict(killed.kills)}; sent: {len(killed.sent)}")
    print(f"listed: {dict(Counter(outcome for _, outcome in killed.listed))}; done: {len(killed.store.ended)}")
    print(f"lost between Redis and a worker: {sorted(killed.never_received)}")
    print(*killed.violations(), sep="\n")
    return killed


def test_every_task_of_a_killed_worker_is_done_or_accounted_for() -> None:
    killed = carried_out(FEW, 12)
    assert sum(killed.kills.values()) == 12
    assert killed.violations() == []


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_task_is_accounted_for_after_many_kills() -> None:
    killed = carried_out(ALL, int(os.environ.get("SOAK_KILLS") or 200))
    assert killed.violations() == []
