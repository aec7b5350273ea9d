"""A solo worker that is stopped starts none of the messages that RabbitMQ has already sent it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.conftest import Start
from tests.agent.test_graceful_stop import RESERVED, SEND, Trial
from tests.celery_environments import CELERY_SPECS, CelerySpec
from tests.host.overlay import HostError
from tests.rabbitmq_server import RabbitMQ, running_rabbitmq

pytestmark = [
    pytest.mark.celery,
    pytest.mark.root("RabbitMQ runs in an overlay"),
    pytest.mark.xdist_group("solo stop"),
]


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    try:
        with running_rabbitmq() as rabbitmq:
            yield rabbitmq
    except HostError as error:
        pytest.skip(f"RabbitMQ cannot run here: {error}")


@pytest.mark.parametrize("spec", CELERY_SPECS, ids=lambda spec: spec.version)
@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
def test_what_has_arrived_is_not_started_but_returned(
    tmp_path: Path, rabbitmq: RabbitMQ, start: Start, spec: CelerySpec, late: bool
) -> None:
    trial = Trial(tmp_path, spec, rabbitmq.url, start, "solo", late)
    trial.ask(SEND, trial.may_end, 0, *RESERVED)
    first = trial.worker("first")
    first.wait_for("started 0")
    first.process.send_signal(signal.SIGTERM)
    first.wait_for("Warm shutdown")
    trial.may_end.touch()
    assert first.end() == 0
    assert first.text.count("started") == first.text.count("ended 0") == 1
    assert "returned to the broker: 3 reserved messages" in first.text
    second = trial.worker("second")
    for number in RESERVED:
        second.wait_for(f"ended {number}")
    assert second.text.count("started") == 3
    second.process.send_signal(signal.SIGTERM)
    second.end()
