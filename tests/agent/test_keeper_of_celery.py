"""Overlap restarts of real workers, with a real Redis and without a process manager."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.conftest import Spawn
from tests.agent.keeping import Kept
from tests.agent.launching import install_launcher, run, wait_until
from tests.agent.test_graceful_stop import APP, OPTIONS, SEND
from tests.celery_environments import CELERY_4_4_REDIS, CELERY_REDIS, CelerySpec, environment_of
from tests.redis_server import Redis, running_redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


class Trial:
    """A kept worker with one slot for tasks; task 0 runs until it may end."""

    def __init__(self, directory: Path, spec: CelerySpec, redis: Redis, spawn: Spawn) -> None:
        environment = environment_of(spec)
        if environment is None:
            pytest.skip(spec.missing)
        redis.ask("FLUSHALL")
        self.installation = install_launcher(directory, environment.python)
        (self.installation.project / "mysite.py").write_text(APP)
        self.may_end = directory / "may-end"
        self.variables = self.installation.environment(
            "worker",
            BROKER=redis.url(),
            LATE="1",
            PROCMAN_HEARTBEAT_SECONDS="0.2",
            PROCMAN_STOP_TIMEOUT_SECONDS="4",
            PROCMAN_HANDBACK_SECONDS="2",
            PYTHONUNBUFFERED="1",
            PYTHONPATH=str(self.installation.project),
        )
        launch = {
            "format": 1,
            "argv": [*self.installation.words("-A", "mysite", "worker", *OPTIONS, "-n"), None],
            "environment": self.variables,
            "node_names": {"a": "kept@here", "b": "kept-b@here", "c": "kept-c@here"},
            "overlap_max": 2,
            "overlap_seconds": 60,
            "stop_timeout_seconds": 60,
        }
        self.crop = Kept(self.installation, spawn, launch, [])

    def started(self) -> Kept:
        self.crop.start()
        self.crop.wait_for_slots(a="consuming")
        return self.crop

    def send(self, *numbers: int) -> None:
        words = [str(self.installation.python), "-c", SEND, str(self.may_end), *map(str, numbers)]
        done = run(words, self.installation.project, self.variables)
        assert done.returncode == 0, done.stderr


@pytest.mark.celery
@pytest.mark.parametrize("spec", [CELERY_REDIS, CELERY_4_4_REDIS], ids=lambda spec: spec.version)
def test_running_task_outlives_its_stop_timeout_in_an_overlap_and_reserved_ones_run_at_once(
    tmp_path: Path, redis: Redis, spawn: Spawn, spec: CelerySpec
) -> None:
    trial = Trial(tmp_path, spec, redis, spawn)
    crop = trial.started()
    trial.send(0, 1, 2)
    crop.keeper.wait_for("started 0")
    crop.keeper.wait_for(": hold[" if "Received task" in crop.text else "Task hold[", 3)
    assert crop.overlap() == ("done", "")
    crop.keeper.wait_for("ended 2")
    assert crop.overlap() == ("done", "")
    crop.wait_for_slots(a="draining", c="consuming")
    # The process in slot b had nothing to do; that in slot a would have ended its task 2 s after TERM.
    trial.may_end.touch()
    crop.keeper.wait_for("ended 0")
    crop.wait_for_slots(c="consuming")
    assert crop.keeper.end(signal.SIGTERM) == 0
    assert [crop.text.count(f"started {number}") for number in range(3)] == [1, 1, 1]
    assert "Traceback" not in crop.text


@pytest.mark.celery
def test_stop_of_a_draining_process_hands_its_task_to_the_successor(tmp_path: Path, redis: Redis, spawn: Spawn) -> None:
    trial = Trial(tmp_path, CELERY_REDIS, redis, spawn)
    crop = trial.started()
    trial.send(0)
    crop.keeper.wait_for("started 0")
    assert crop.overlap() == ("done", "")
    crop.wait_for_slots(a="draining", b="consuming")
    crop.send(signal.SIGRTMIN)
    crop.wait_for_slots(b="consuming")
    crop.keeper.wait_for("started 0", 2)
    trial.may_end.touch()
    crop.keeper.wait_for("ended 0")
    assert crop.keeper.end(signal.SIGTERM) == 0


@pytest.mark.celery
def test_processes_of_a_killed_keeper_finish_their_tasks_beside_those_of_the_next_one(
    tmp_path: Path, redis: Redis, spawn: Spawn
) -> None:
    trial = Trial(tmp_path, CELERY_REDIS, redis, spawn)
    crop = trial.started()
    trial.send(0)
    crop.keeper.wait_for("started 0")
    first, pid = crop.keeper, crop.pid_in("a")
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    crop.start()
    crop.wait_for_slots(b="consuming")
    trial.send(1)
    crop.keeper.wait_for("ended 1")
    trial.may_end.touch()
    wait_until(lambda: "ended 0" in first.text, lambda: first.text)
    wait_until(lambda: not _is_running(pid), lambda: f"the end of process {pid}")
    assert crop.keeper.end(signal.SIGTERM) == 0


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
