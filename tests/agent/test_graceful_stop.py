"""What a stopping worker returns, and how it waits for its running tasks, with a real Redis and real workers."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from procman.agent import graceful_stop, heartbeat_format
from procman.agent.reserved_messages import Arrivals
from procman.agent.stop_requests import StopRequests
from tests.agent.conftest import Start
from tests.agent.launching import Installation, Launched, install_launcher, run, wait_until
from tests.celery_environments import CELERY_4_4_REDIS, CELERY_REDIS, CelerySpec, environment_of
from tests.redis_server import Redis, running_redis

APP = """
import os, time
from celery import Celery

app = Celery("mysite", broker=os.environ["BROKER"])
app.conf.update(worker_prefetch_multiplier=4, task_acks_late=os.environ.get("LATE") == "1")


@app.task(name="hold")
def hold(number, path):
    print("started %d" % number, flush=True)
    while path and not os.path.exists(path):
        time.sleep(0.02)
    print("ended %d" % number, flush=True)
"""
SEND = """
import sys, mysite
for number in map(int, sys.argv[2:]):
    more = {"task_id": "later", "countdown": 3600} if number == 9 else {}
    mysite.app.send_task("hold", [number, sys.argv[1] if number == 0 else ""], **more)
"""
SHUT_DOWN = "import mysite; mysite.app.control.shutdown(destination=['first@here'])"
OPTIONS = ("-l", "info", "--without-mingle", "--without-gossip", "--without-heartbeat", "-c", "1")
RESERVED = (1, 2, 3)
BOTH = [CELERY_REDIS, CELERY_4_4_REDIS]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


class Trial:
    """Two workers of one queue: the first runs task 0 until it may end and holds the others when it is stopped."""

    def __init__(self, directory: Path, spec: CelerySpec, broker: str, start: Start, pool: str, late: bool) -> None:
        environment = environment_of(spec)
        if environment is None:
            pytest.skip(spec.missing)
        self.python, self._start, self._pool = environment.python, start, pool
        self.may_end = directory / "may-end"
        self.directory = directory
        self.late = late
        self.environment = {
            "BROKER": broker,
            "LATE": "1" if late else "0",
            "PROCMAN_HEARTBEAT_SECONDS": "0.2",
            "PYTHONUNBUFFERED": "1",
        }

    def worker(self, name: str) -> Launched:
        installation = self.installation(name)
        words = ("-A", "mysite", "worker", *OPTIONS, "-P", self._pool, "-n", f"{name}@here")
        worker = self._start(installation, "worker", *words, **self.environment)
        worker.wait_for(" ready.")
        return worker

    def installation(self, name: str) -> Installation:
        if (self.directory / name).exists():
            return Installation(self.directory / name, self.python)
        installation = install_launcher(self.directory / name, self.python)
        (installation.project / "mysite.py").write_text(APP)
        return installation

    def ask(self, code: str, *arguments: object) -> None:
        installation = self.installation("first")
        done = run(
            [str(self.python), "-c", code, *map(str, arguments)],
            installation.project,
            installation.environment("worker", **self.environment),
        )
        assert done.returncode == 0, done.stderr

    def heartbeat(self) -> dict[str, Any]:
        path = self.installation("first").run_directory / heartbeat_format.FILE
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def loaded(self) -> tuple[Launched, Launched]:
        """Return two workers, of which the first runs a task and has reserved all the others."""
        first = self.worker("first")
        self.ask(SEND, self.may_end, 0, *RESERVED, 9)
        first.wait_for("started 0")
        # It may hold four messages; that of the running task is one of them if it is acknowledged late.
        first.wait_for(": hold[" if "Received task" in first.text else "Task hold[", 4 if self.late else 5)
        return first, self.worker("second")


@pytest.mark.celery
@pytest.mark.parametrize("spec", BOTH, ids=lambda spec: spec.version)
@pytest.mark.parametrize(
    ("pool", "late", "how"),
    [("prefork", False, "TERM"), ("prefork", True, "remote control"), ("threads", True, "TERM")],
)
def test_reserved_messages_run_elsewhere_at_once_and_the_running_task_runs_once(
    tmp_path: Path, redis: Redis, start: Start, spec: CelerySpec, pool: str, late: bool, how: str
) -> None:
    redis.ask("FLUSHALL")
    trial = Trial(tmp_path, spec, redis.url(), start, pool, late)
    first, second = trial.loaded()
    if how == "TERM":
        first.process.send_signal(signal.SIGTERM)
    else:
        trial.ask(SHUT_DOWN)
    for number in RESERVED:
        second.wait_for(f"ended {number}")
    second.wait_for("hold[later]")
    phase = "stopping" if how == "TERM" else "draining"
    wait_until(lambda: trial.heartbeat()["phase"] == phase, lambda: f"the phase {phase}")
    wait_until(lambda: trial.heartbeat()["reserved"] == 0, lambda: "no reserved message")
    assert trial.heartbeat()["busy"] == 1
    before = trial.heartbeat()["loop"]
    wait_until(lambda: trial.heartbeat()["loop"] > before, lambda: "a turn of the event loop")
    assert first.process.poll() is None
    trial.may_end.touch()
    first.wait_for("ended 0")
    first.end()
    both = first.text + second.text
    assert [both.count(f"started {number}") for number in (0, *RESERVED, 9)] == [1, 1, 1, 1, 0]
    assert "Traceback" not in first.text


@pytest.mark.celery
@pytest.mark.parametrize("spec", BOTH, ids=lambda spec: spec.version)
def test_early_task_of_the_solo_pool_is_acknowledged_when_it_starts(
    tmp_path: Path, redis: Redis, start: Start, spec: CelerySpec
) -> None:
    redis.ask("FLUSHALL")
    trial = Trial(tmp_path, spec, redis.url(), start, "solo", late=False)
    first = trial.worker("first")
    trial.ask(SEND, trial.may_end, 0)
    first.wait_for("started 0")
    assert redis.ask("HLEN", "unacked") == ":0"


@pytest.mark.celery
def test_task_of_the_solo_pool_is_not_aborted_by_a_stop(tmp_path: Path, redis: Redis, start: Start) -> None:
    redis.ask("FLUSHALL")
    trial = Trial(tmp_path, CELERY_4_4_REDIS, redis.url(), start, "solo", late=False)
    first = trial.worker("first")
    trial.ask(SEND, trial.may_end, 0)
    first.wait_for("started 0")
    first.process.send_signal(signal.SIGTERM)
    first.wait_for("Warm shutdown")
    trial.may_end.touch()
    first.wait_for("ended 0")
    assert first.end() == 0


# The requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "flag"), [(None, 0), (0, 0), ("Got shutdown from remote", "Got shutdown from remote")]
)
def test_shutdown_by_remote_control_only_sets_the_flag(code: Any, flag: Any) -> None:
    state = SimpleNamespace(should_stop=None)

    def shutdown(_: Any) -> None:
        raise SystemExit(code)

    StopRequests(state)._flagging(shutdown)(state)
    assert state.should_stop == flag


def test_graceful_stop_alone_never_raises_in_the_signal_handler() -> None:
    handlers = SimpleNamespace(active_thread_count=lambda: 1)
    requests = StopRequests(SimpleNamespace())
    requests._flag_instead_of_raising(handlers)
    requests._note(how="Warm")
    assert handlers.active_thread_count() == 2
    requests._note(how="Cold")
    assert handlers.active_thread_count() == 1


@pytest.mark.parametrize(
    ("should_stop", "should_terminate", "begins"),
    [(None, None, 0), (False, None, 0), (0, None, 1), (1, None, 1), (0, 1, 0)],
)
def test_only_a_graceful_stop_returns_messages_and_waits(should_stop: Any, should_terminate: Any, begins: int) -> None:
    begun: list[None] = []
    asked: list[None] = []
    state = SimpleNamespace(
        should_stop=should_stop, should_terminate=should_terminate, maybe_shutdown=lambda: asked.append(None)
    )
    graceful_stop.StateOfLoop(state, lambda: begun.append(None)).maybe_shutdown()
    assert len(begun) == begins
    assert len(asked) == 1
    # A message that arrives now is kept.
    assert graceful_stop.StateOfLoop(state).is_stopping() == (begins > 0 or should_terminate is not None)


@pytest.mark.parametrize(("driver", "returns"), [("amqp", True), ("redis", True), ("sqs", False), ("qpid", False)])
def test_messages_return_only_to_brokers_that_keep_no_copy(
    monkeypatch: pytest.MonkeyPatch, driver: str, returns: bool
) -> None:
    worker = SimpleNamespace(
        consumer=SimpleNamespace(hub=object()),
        _conninfo=SimpleNamespace(transport=SimpleNamespace(driver_type=driver)),
    )
    begun: list[None] = []
    observed: Any = SimpleNamespace(enter=lambda _: None, missing={})
    stop = graceful_stop.GracefulStop(worker, observed, SimpleNamespace(has_begun=False), Arrivals(lambda: True))
    monkeypatch.setattr(stop, "_return_and_drain", lambda: begun.append(None))
    stop.begin()
    assert bool(begun) == returns


def test_idle_worker_reads_the_answer_that_redis_owes_before_it_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = SimpleNamespace(_in_poll=object())
    consumer = SimpleNamespace(
        task_consumer=SimpleNamespace(channel=channel, cancel=lambda: None),
        connection=SimpleNamespace(),
        task_buckets={},
        timer=SimpleNamespace(schedule=SimpleNamespace(queue=[])),
        hub=None,
    )
    worker = SimpleNamespace(consumer=consumer, pool=SimpleNamespace(), semaphore=None)
    handback: Any = SimpleNamespace(is_due=lambda: False)
    rounds: list[bool] = []

    def turns(_: Any) -> Iterator[None]:
        for is_answered in (False, False, True):
            rounds.append(is_answered)
            channel._in_poll = None if is_answered else channel._in_poll
            yield

    monkeypatch.setattr(graceful_stop, "_turns", turns)
    monkeypatch.setitem(sys.modules, "celery.worker.state", SimpleNamespace(should_terminate=None))
    stop = graceful_stop.GracefulStop(worker, SimpleNamespace(), handback, Arrivals(lambda: True))  # type: ignore[arg-type]
    stop._return_and_drain()
    assert rounds == [False, False, True]
