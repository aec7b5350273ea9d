"""PM508 and PM511 to PM513 with real workers on a real Redis: reported, and silent after their remedies."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from procman.model import Level
from procman.monitoring.checks import held_messages, redelivery, shared_queues
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot
from tests.agent.conftest import Start, spawn, start
from tests.agent.heartbeats import SHORT, WORKER, Followed
from tests.agent.launching import Installation, install_launcher, wait_until
from tests.celery_environments import CELERY_REDIS, CeleryEnvironment, environment_of
from tests.monitoring.checks.records import MANIFEST, program, running, snapshot, state
from tests.redis_server import Redis, running_redis

pytestmark = pytest.mark.celery

__all__ = ("spawn", "start")
"""The fixtures of tests/agent."""

APP = """
import os, time
from celery import Celery
app = Celery("mysite", broker={url!r})

@app.task(name="mysite.wait_for")
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.05)
"""


@pytest.fixture
def celery() -> CeleryEnvironment:
    found = environment_of(CELERY_REDIS)
    assert found
    return found


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    (tmp_path / "code").mkdir()
    with running_redis(tmp_path) as redis:
        (tmp_path / "code" / "mysite.py").write_text(APP.format(url=redis.url()))
        yield redis


class Site:
    """Projects with workers, as procman installs them below one state directory."""

    def __init__(self, directory: Path, celery: CeleryEnvironment, start: Start) -> None:
        self.directory, self.celery, self.start = directory, celery, start

    def worker(self, project: str, name: str, *more: str) -> tuple[Installation, Followed]:
        """Start a worker of a project, and wait until it consumes."""
        installed = Installation(self.directory / project, self.celery.python)
        if not installed.launcher.exists():
            installed = install_launcher(self.directory / project, self.celery.python)
        run = self.directory / "state" / project / "run" / name
        run.mkdir(parents=True, exist_ok=True)
        variables = {
            **SHORT,
            "PROCMAN_PROGRAM": name,
            "PROCMAN_DIRECTORY": str(self.directory / "code"),
            "PROCMAN_RUN_DIRECTORY": str(run),
        }
        launched = self.start(installed, "worker", *WORKER, "-c", "1", "-n", f"{name}@here", *more, **variables)
        worker = Followed(launched, run)
        worker.wait_until_healthy()
        worker.wait_for(lambda says: bool(says["queues"]), "it has counted its messages")
        return installed, worker

    def seen(self, project: str, *workers: tuple[Installation, Followed]) -> ProjectSnapshot:
        """Return what health sees of a project."""
        directories = replace(MANIFEST.directories, state=self.directory / "state" / project)
        return running(*map(self._snapshot, workers), launcher=workers[0][0].launcher, directories=directories)

    def _snapshot(self, worker: tuple[Installation, Followed]) -> ProgramSnapshot:
        says = worker[1].heartbeat()
        own = program(name=says["program"], key="worker.crop", stall_seconds=1)
        return snapshot(says, program=own, state=state(pid=worker[1].pid))

    def send(self, times: int, *, until: Path, countdown: int | None = None) -> None:
        how = f"args=[{str(until)!r}], countdown={countdown}"
        code = f"import mysite\nfor _ in range({times}): mysite.wait_for.apply_async({how})"
        subprocess.run([self.celery.python, "-B", "-c", code], cwd=self.directory / "code", check=True)

    def end(self, workers: Sequence[tuple[Installation, Followed]]) -> None:
        for _, worker in workers:
            worker.launched.process.terminate()
            worker.launched.process.wait(120)


@pytest.fixture
def site(tmp_path: Path, redis: Redis, celery: CeleryEnvironment, start: Start) -> Site:
    return Site(tmp_path, celery, start)


def test_limit_above_the_visibility_timeout_is_reported_until_the_timeout_covers_it(site: Site, redis: Redis) -> None:
    worker = site.worker("shop", "shop-crop", "--time-limit=7200")
    [found] = redelivery.check(site.seen("shop", worker))
    assert (found.level, "again after 1h" in found.detail) == (Level.WARNING, True)
    site.end([worker])
    options = "app.conf.broker_transport_options = {'visibility_timeout': 7800}\n"
    assert "'visibility_timeout': 7800 in broker_transport_options" in found.hint
    (site.directory / "code" / "mysite.py").write_text(APP.format(url=redis.url()) + options)
    [found] = redelivery.check(site.seen("shop", site.worker("shop", "shop-crop", "--time-limit=7200")))
    assert found.level is Level.OK


def test_queue_of_two_projects_is_reported_until_one_has_its_own(site: Site) -> None:
    shop, mill = site.worker("shop", "shop-crop"), site.worker("mill", "mill-crop")
    [found] = shared_queues.check(site.seen("shop", shop))
    assert found.level is Level.WARNING
    assert "mill-crop of another project consumes queue celery of the same broker as shop-crop" in found.detail
    site.end([mill])
    site.worker("mill", "mill-crop", "-Q", "mill")
    [found] = shared_queues.check(site.seen("shop", shop))
    assert found.level is Level.OK


def test_worker_that_hoards_is_reported_until_it_reserves_less(site: Site) -> None:
    release = site.directory / "release"
    greedy = site.worker("shop", "shop-greedy", "--prefetch-multiplier=8")
    site.send(4, until=release)
    greedy[1].wait_for(lambda says: says["reserved"] == 3, "it has reserved them")
    idle = site.worker("shop", "shop-idle")
    wait_until(lambda: _hoards(site, greedy, idle), lambda: "it is reported")
    release.touch()
    site.end([greedy])
    release.unlink()
    modest = site.worker("shop", "shop-greedy", "--prefetch-multiplier=1")
    site.send(4, until=release)
    idle[1].wait_for(lambda says: says["busy"] == 1, "it has work too")
    assert not _hoards(site, modest, idle)
    release.touch()


def test_worker_filled_by_tasks_with_an_eta_is_reported_until_it_may_hold_more(site: Site, redis: Redis) -> None:
    code = site.directory / "code" / "mysite.py"
    code.write_text(APP.format(url=redis.url()) + "app.conf.worker_eta_task_limit = 2\n")
    worker = site.worker("shop", "shop-crop", "--prefetch-multiplier=1")
    site.send(3, until=site.directory, countdown=3600)
    wait_until(lambda: _is_full(site, worker), lambda: f"it is reported: {worker[1].heartbeat()}")
    site.end([worker])
    code.write_text(APP.format(url=redis.url()) + "app.conf.worker_eta_task_limit = 9\n")
    worker = site.worker("shop", "shop-crop", "--prefetch-multiplier=1")
    worker[1].wait_for(lambda says: says["scheduled"] == 3, "it holds all of them")
    assert not _is_full(site, worker)


def _is_full(site: Site, worker: tuple[Installation, Followed]) -> bool:
    [found] = held_messages.check_scheduled(site.seen("shop", worker))
    return found.level is Level.WARNING


def _hoards(site: Site, *workers: tuple[Installation, Followed]) -> bool:
    found = {each.program: each.level for each in held_messages.check_hoarding(site.seen("shop", *workers))}
    assert found["shop-idle"] is Level.OK
    return found["shop-greedy"] is Level.WARNING
