"""A task that waits in the pipe of a pool process, behind a running one, never runs in two places."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.agent.conftest import Start
from tests.agent.heartbeats import WORKER, Followed
from tests.agent.launching import Installation, Launched, install_launcher, run, wait_until
from tests.celery_environments import CELERY_4_4_REDIS, environment_of
from tests.redis_server import running_redis

APP = """
import os, time
from celery import Celery, signals

app = Celery("mysite", broker=os.environ["BROKER"])
app.conf.worker_prefetch_multiplier = 8


@app.task(name="early")
def early():
    print("early runs in", os.getpid(), flush=True)
    time.sleep(60)


@app.task(name="late", acks_late=True)
def late():
    print("late runs in", os.getpid(), flush=True)


@app.task(name="stick")
def stick():
    pass


@signals.task_received.connect
def occupy(request, **_):
    if request.name == "stick" and os.environ["STICKS"]:
        print("stuck", flush=True)
        time.sleep(60)
"""
SEND = "import sys, mysite; [mysite.app.send_task(name) for name in sys.argv[1:]]"
LATE = 6
TIMES = {"PROCMAN_STOP_TIMEOUT_SECONDS": "20", "PROCMAN_HANDBACK_SECONDS": "10"}


def worker(directory: Path, start: Start, broker: str, *words: str, sticks: str) -> Followed:
    environment = environment_of(CELERY_4_4_REDIS)
    if environment is None:
        pytest.skip(CELERY_4_4_REDIS.missing)
    installation = install_launcher(directory, environment.python)
    (installation.project / "mysite.py").write_text(APP)
    more = {"BROKER": broker, "STICKS": sticks, "PYTHONUNBUFFERED": "1", "PROCMAN_HEARTBEAT_SECONDS": "0.5", **TIMES}
    node = ("-n", f"{directory.name}-{os.getpid()}@pipe", "-c", "2")
    launched = start(installation, "worker", *WORKER, *node, *words, **more)
    launched.wait_for(" ready.")
    return Followed(launched, installation.run_directory)


def send(directory: Path, python: str, broker: str, *names: str) -> None:
    installation = Installation(directory, Path(python))
    environment = installation.environment("worker", BROKER=broker, STICKS="")
    assert run([python, "-c", SEND, *names], installation.project, environment).returncode == 0


def pool_process(launched: Launched) -> int:
    words = launched.text.partition("early runs in")[2].split()
    return int(next(word for word in words if word.isdigit()))


@pytest.mark.celery
def test_task_behind_a_running_one_is_returned_and_its_process_ends(tmp_path: Path, start: Start) -> None:
    with running_redis(tmp_path) as redis:
        first = worker(tmp_path / "first", start, redis.url(), "-O", "default", sticks="yes")
        python = str(first.launched.process.args[0])  # type: ignore[index]
        # Celery gives each process a task in turn: one waits behind the first, and the rest until it has ended.
        send(tmp_path / "first", python, redis.url(), "early", *["late"] * LATE)
        first.wait_for(lambda found: found["busy"] == 1 and found["reserved"] > 0, "a task waits behind another")
        ran = first.launched.text.count("late runs in")
        assert ran < LATE
        send(tmp_path / "first", python, redis.url(), "stick")
        first.launched.wait_for("stuck")
        first.launched.process.send_signal(signal.SIGTERM)
        wait_until(lambda: any(event["tasks"] for event in first.events()), lambda: first.launched.text)
        second = worker(tmp_path / "second", start, redis.url(), sticks="")
        second.launched.wait_for("late runs in", LATE - ran)
    process = pool_process(first.launched)
    assert not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    assert first.launched.text.count("late runs in") == ran
    [cut] = [event for event in first.events() if event["tasks"]]
    assert (cut["what"], cut["tasks"]) == ("cut", ["early"])
