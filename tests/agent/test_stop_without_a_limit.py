"""A stop that no SIGKILL ends, such as one by HUP, gives its running tasks any time; TERM limits it after all."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.agent import verdict
from procman.agent.settings import HealthSettings
from procman.agent.worker_hooks import _phase_after
from procman.agent.worker_state import WorkerState
from tests.agent.conftest import Start
from tests.agent.launching import wait_until
from tests.agent.test_graceful_stop import SEND, SHUT_DOWN, Trial
from tests.celery_environments import CELERY_REDIS
from tests.redis_server import Redis, running_redis

TIMES = {"PROCMAN_STOP_TIMEOUT_SECONDS": "2", "PROCMAN_HANDBACK_SECONDS": "1"}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.mark.celery
def test_task_that_is_acknowledged_late_is_cut_after_term_only(tmp_path: Path, redis: Redis, start: Start) -> None:
    hup, shut_down = (Trial(tmp_path / name, CELERY_REDIS, redis.url(), start, "prefork", True) for name in "ab")
    for number, trial in enumerate((hup, shut_down)):
        trial.directory.mkdir()
        trial.environment.update(TIMES, BROKER=redis.url(number))
        trial.ask(SEND, trial.may_end, 0)
    first, other = hup.worker("first"), shut_down.worker("first")
    for worker in (first, other):
        worker.wait_for("started 0")
    first.process.send_signal(signal.SIGHUP)
    shut_down.ask(SHUT_DOWN)
    for trial in (hup, shut_down):
        wait_until(lambda: trial.heartbeat()["phase"] == "draining", lambda: "the phase draining")  # noqa: B023
        since = trial.heartbeat()["phase_since"]
        wait_until(lambda: trial.heartbeat()["written"] > since + 3, lambda: "more than the stop timeout")  # noqa: B023
        assert trial.heartbeat()["busy"] == 1
        trial.may_end.touch()
    assert other.end() == 0
    assert "ended 0" in other.text
    # It starts again in the same process, and so it would at its exit after the next HUP.
    first.wait_for(" ready.", 2)
    assert "ended 0" in first.text
    hup.may_end.unlink()
    hup.ask(SEND, hup.may_end, 0)
    first.wait_for("started 0", 2)
    first.process.send_signal(signal.SIGHUP)
    wait_until(lambda: hup.heartbeat()["phase"] == "draining", lambda: "the phase draining")
    first.process.send_signal(signal.SIGTERM)
    assert first.end() == 0
    assert "ended 1 task that could not finish in time, to run again" in first.text
    assert (first.text.count(" ready."), first.text.count("ended 0")) == (2, 1)


@pytest.mark.parametrize(
    ("sig", "phase"), [("SIGTERM", "stopping"), ("SIGINT", "draining"), ("SIGQUIT", "stopping"), ("", "stopping")]
)
def test_only_signals_of_a_process_manager_limit_a_stop(sig: str, phase: str) -> None:
    assert _phase_after(sig) == phase


def test_draining_lasts_until_term_or_the_end() -> None:
    observed = WorkerState(HealthSettings("celery", "worker", "."))
    changes: list[str] = []
    observed.on_change = lambda: changes.append(observed.phase)
    observed.enter(verdict.CONSUMING)
    observed.enter(verdict.DRAINING)
    for phase in (verdict.DISCONNECTED, verdict.CONSUMING, verdict.DRAINING):
        observed.enter(phase)
    observed.end()
    assert observed.is_stopping
    assert observed.phase == verdict.DRAINING
    observed.enter(verdict.STOPPING)
    observed.enter(verdict.DRAINING)
    assert changes == [verdict.CONSUMING, verdict.DRAINING, verdict.STOPPING]
