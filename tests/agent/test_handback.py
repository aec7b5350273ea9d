"""The last step of a stop that cannot finish in time, with real brokers: every message returns, and no task runs twice
at once."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from procman.agent import handback, handback_pool, own_events, verdict
from procman.agent.broker_record import BROKER_FILE
from procman.agent.handback import Handback
from procman.agent.handback_events import Running, about
from procman.agent.settings import HealthSettings
from procman.agent.task_recorder import TaskRecorder
from procman.agent.worker_state import WorkerState
from tests.agent.conftest import Spawn, Start
from tests.agent.heartbeats import WORKER, Followed
from tests.agent.launching import Installation, install_launcher, wait_until
from tests.celery_environments import CELERY_REDIS, environment_of
from tests.host.overlay import HostError
from tests.rabbitmq_server import running_rabbitmq
from tests.redis_server import running_redis

APP = """
import os, time
from celery import Celery

app = Celery("mysite", broker=os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    task_reject_on_worker_lost=False,
)


def write(path):
    again = os.path.exists(path)
    end = time.monotonic() + (0 if again else 600)
    with open(path, "a", buffering=1) as file:
        while True:
            file.write("%d %.3f\\n" % (os.getpid(), time.monotonic()))
            if time.monotonic() >= end:
                return
            time.sleep(0.05)


@app.task(name="mysite.late", acks_late=True)
def late(path):
    write(path)


@app.task(name="mysite.early")
def early(path):
    write(path)
"""

TIMEOUT, HANDBACK = 12.0, 6.0
DUE = TIMEOUT - HANDBACK
SLOTS, TASKS = 2, 5
IMPORT_SECONDS = 60.0
"""How long a dozen workers may take to start at the same time."""
TIMES = {
    "PROCMAN_STOP_TIMEOUT_SECONDS": str(TIMEOUT),
    "PROCMAN_HANDBACK_SECONDS": str(HANDBACK),
    "PROCMAN_HEARTBEAT_SECONDS": "5",
}


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The URLs of a Redis and a RabbitMQ."""
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        try:
            with running_rabbitmq() as rabbitmq:
                yield {"redis": redis.url(), "rabbitmq": rabbitmq.url}
        except HostError as error:
            pytest.skip(str(error))


@dataclass(eq=False)
class Trial:
    """A worker with more tasks than it can run, and what its tasks write."""

    name: str
    pool: str
    kind: str
    installation: Installation
    worker: Followed
    environment: dict[str, str]
    files: tuple[Path, ...]

    def lines(self, file: Path) -> list[tuple[int, float]]:
        try:
            found = [line.split() for line in file.read_text().splitlines()]
        except FileNotFoundError:
            return []
        return [(int(pid), float(at)) for pid, at in found]

    @property
    def text(self) -> str:
        return self.worker.launched.text

    def started(self) -> set[Path]:
        return {file for file in self.files if file.exists()}

    def runs(self, file: Path) -> list[list[float]]:
        """Return the times of each run of a task; overlapping runs of two processes are more than two."""
        runs: list[tuple[int, list[float]]] = []
        for pid, at in self.lines(file):
            if not runs or runs[-1][0] != pid:
                runs.append((pid, []))
            runs[-1][1].append(at)
        return [times for _, times in runs]


SEND = """
import sys
from mysite import app
for path in sys.argv[2:]:
    print(app.send_task(sys.argv[1], [path]).id)
"""


def begin(directory: Path, start: Start, url: str, broker: str, pool: str, kind: str, **more: str) -> Trial:
    environment = environment_of(CELERY_REDIS)
    assert environment is not None
    name = f"{broker}-{pool}-{kind}"
    installation = install_launcher(directory / name, environment.python)
    (installation.project / "mysite.py").write_text(APP)
    variables = {"BROKER_URL": url, "QUEUE": name, "PYTHONUNBUFFERED": "1", **TIMES, **more}
    words = ("-n", f"handback-{name}-{os.getpid()}@%h", f"--pool={pool}", "-c", f"{SLOTS}")
    worker = Followed(start(installation, "worker", *WORKER, *words, **variables), installation.run_directory)
    files = tuple(directory / name / f"task-{number}" for number in range(TASKS))
    return Trial(name, pool, kind, installation, worker, variables, files)


def send(trial: Trial, spawn: Spawn) -> None:
    words = [str(trial.installation.python), "-c", SEND, f"mysite.{trial.kind}", *map(str, trial.files)]
    environment = {**trial.installation.environment("worker"), **trial.environment}
    assert spawn(words, trial.installation.project, environment).end() == 0


def take_over(trial: Trial, start: Start) -> Followed:
    """Start another worker of the same queue."""
    installation = install_launcher(trial.installation.directory / "other", trial.installation.python)
    (installation.project / "mysite.py").write_text(APP)
    words = ("-n", f"other-{trial.name}-{os.getpid()}@%h", "--pool=threads", "-c", "8")
    return Followed(start(installation, "worker", *WORKER, *words, **trial.environment), installation.run_directory)


# The ways in which a message returns; each late task ends differently.
CASES = (
    ("redis", "prefork", "late"),  # by kombu, after the pool process was killed
    ("rabbitmq", "prefork", "late"),
    ("redis", "solo", "late"),  # by the script that the worker becomes
    ("rabbitmq", "threads", "late"),  # by the end of the process
    ("redis", "solo", "early"),  # by the script as a child
    ("rabbitmq", "solo", "early"),  # by a socket that is shut down
)


@pytest.mark.celery
def test_a_stop_that_cannot_finish_hands_back_each_message_and_runs_no_task_twice_at_once(
    tmp_path: Path, start: Start, spawn: Spawn, brokers: dict[str, str]
) -> None:
    trials = [begin(tmp_path, start, brokers[case[0]], *case) for case in CASES]
    for trial in trials:
        trial.worker.wait_for(lambda found: found["phase"] == "consuming", "it consumes")
        send(trial, spawn)
    for trial in trials:
        slots = 1 if trial.pool == "solo" else SLOTS
        wait_until(lambda: len(trial.started()) == slots, lambda: f"tasks:\n{trial.text}")  # noqa: B023
    first = {trial: trial.started() for trial in trials}
    stopped = time.monotonic()
    for trial in trials:
        trial.worker.launched.process.send_signal(signal.SIGTERM)
    for trial in trials:
        take_over(trial, start)
    for trial in trials:
        rest = set(trial.files) - first[trial]
        again = first[trial] if trial.kind == "late" else set()
        wait_until(lambda: all(trial.runs(file) for file in rest), lambda: f"the rest:\n{trial.text}")  # noqa: B023
        wait_until(lambda: all(len(trial.runs(file)) > 1 for file in again), lambda: f"again:\n{trial.text}")  # noqa: B023
        assert time.monotonic() < stopped + DUE + 5 + IMPORT_SECONDS
        if trial.kind == "late":
            assert trial.worker.launched.end() == 0
        # The process manager would not kill it sooner.
        wait_until(lambda: any(event["tasks"] for event in trial.worker.events()), lambda: trial.text)  # noqa: B023
        trial.worker.launched.process.kill()
    # A message that returned a second time would have run by now.
    time.sleep(1)
    for trial in trials:
        is_late = trial.kind == "late"
        counts = {file: len(trial.runs(file)) for file in trial.files}
        assert counts == {file: 2 if is_late and file in first[trial] else 1 for file in trial.files}, trial.text
        events = [(event["what"], event["tasks"]) for event in trial.worker.events() if event["tasks"]]
        names = [f"mysite.{trial.kind}"] * len(first[trial])
        # A worker that becomes the script records before what it is about to return.
        what = ["handed-back"] if is_late else ["cut"]
        what = ["handing-back", *what] if trial.name == "redis-solo-late" else what
        assert events == [(each, names) for each in what], trial.text


@pytest.mark.celery
def test_nothing_is_handed_back_with_handback_seconds_0(
    tmp_path: Path, start: Start, spawn: Spawn, brokers: dict[str, str]
) -> None:
    trial = begin(tmp_path, start, brokers["redis"], "redis", "prefork", "late", PROCMAN_HANDBACK_SECONDS="0")
    trial.worker.wait_for(lambda found: found["phase"] == "consuming", "it consumes")
    send(trial, spawn)
    wait_until(lambda: len(trial.started()) == SLOTS, lambda: f"tasks:\n{trial.text}")
    trial.worker.launched.process.send_signal(signal.SIGTERM)
    trial.worker.wait_for(
        lambda found: found["phase"] == "stopping" and found["written"] - found["phase_since"] > TIMEOUT,
        "it has been stopping for long",
    )
    assert trial.worker.events() == []


@pytest.mark.parametrize(
    ("stop", "handback", "delay"), [(600.0, 10.0, 590.0), (8.0, 10.0, 4.0), (600.0, 0.0, None)], ids=str
)
def test_it_is_due_that_long_after_the_stop_began(stop: float, handback: float, delay: float | None) -> None:
    settings = HealthSettings("celery", "worker", ".", stop_timeout_seconds=stop, handback_seconds=handback)
    observed = WorkerState(settings)
    found = Handback(settings, observed, TaskRecorder(settings, 0.0), print)
    assert (found.seconds_left(), found.is_due()) == (None, False)
    observed.enter(verdict.STOPPING)
    observed.phase_since -= 595
    left = found.seconds_left()
    assert left is None if delay is None else left == pytest.approx(delay - 595, abs=0.1)
    assert found.is_due() == (delay is not None)


def test_a_stop_timeout_that_an_install_has_raised_since_the_start_counts(tmp_path: Path) -> None:
    settings = HealthSettings(
        "celery",
        "worker",
        str(tmp_path),
        stop_timeout_seconds=30,
        handback_seconds=5,
        hold_file=str(tmp_path / "holds" / "celery.json"),
    )
    observed = WorkerState(settings)
    found = Handback(settings, observed, TaskRecorder(settings, 0.0), print)
    (tmp_path / "current").mkdir()
    manifest = {"programs": [{"name": "celery", "stop_timeout_seconds": 600}]}
    (tmp_path / "current" / "manifest.json").write_text(json.dumps(manifest))
    found.look()
    observed.enter(verdict.STOPPING)
    found.look()
    assert found.seconds_left() == pytest.approx(595, abs=1)
    # The script that takes the place of the worker has the time from the handback to SIGKILL.
    observed.phase_since -= 595
    channel = SimpleNamespace(qos=SimpleNamespace(_dirty=set(), _delivered={}))
    assert found._order(channel, [], Running([], []))["until"] - time.monotonic() == pytest.approx(4, abs=1)


RECORD = {"format": 1, "connection": {}, "queues": [], "routed": []}


def handback_of(directory: Path, driver: str) -> tuple[Handback, Any, Any]:
    """An overdue handback of a worker without a connection whose only pool process runs `mysite.work`."""
    settings = HealthSettings("celery", "worker", str(directory), stop_timeout_seconds=10, handback_seconds=5)
    observed = WorkerState(settings)
    observed.pool = "prefork"
    observed.enter(verdict.STOPPING)
    observed.phase_since -= 20
    process = SimpleNamespace(pid=0, _controlled_termination=False)
    request = SimpleNamespace(id="an-id", name="mysite.work", acknowledged=False)
    run = handback_pool.Run(SimpleNamespace(_accepted=True), request, process)
    billiard = SimpleNamespace(outbound_buffer=[], _cache={}, _pool=[])
    worker = SimpleNamespace(
        pool=SimpleNamespace(_pool=billiard),
        consumer=SimpleNamespace(task_consumer=None),
        _conninfo=SimpleNamespace(transport=SimpleNamespace(driver_type=driver)),
    )
    found = Handback(settings, observed, TaskRecorder(settings, 0.0), print)
    found.follow(worker)
    return found, run, observed


FAILED = [("handing-back", ["an-id"]), ("not-returned", ["an-id"])]


@pytest.mark.parametrize(("driver", "recorded"), [("amqp", FAILED), ("redis", FAILED), ("sqs", [])])
def test_ended_tasks_are_recorded_as_not_returned_if_their_messages_cannot_be_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, recorded: list[tuple[str, list[str]]]
) -> None:
    found, run, observed = handback_of(tmp_path, driver)
    (tmp_path / BROKER_FILE).write_text(json.dumps(RECORD))
    monkeypatch.setitem(sys.modules, "celery.worker.state", SimpleNamespace(active_requests=SimpleNamespace(data=[])))
    monkeypatch.setitem(sys.modules, "celery.worker.request", SimpleNamespace())
    monkeypatch.setattr(handback_pool, "runs_to_end", lambda _: [run])
    monkeypatch.setattr(handback_pool, "kill", lambda _, runs: runs)
    found.look()
    path = tmp_path / own_events.FILE
    events = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    assert [(event["what"], event["task_ids"]) for event in events] == recorded
    assert ("handback" in observed.missing) == bool(recorded)


@pytest.mark.parametrize("fails", [True, False])
def test_main_thread_records_a_task_as_returned_only_if_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    found, run, _ = handback_of(tmp_path, "redis")
    state = SimpleNamespace(active_requests=SimpleNamespace(data=[]), task_ready=lambda _: None)
    monkeypatch.setitem(sys.modules, "celery.worker.state", state)
    monkeypatch.setattr(handback_pool, "end", lambda *_: [run.request])
    monkeypatch.setattr(handback, "_reader", lambda _: None)
    run.request.message = None

    def give_back(_: Any) -> None:
        if fails:
            raise ConnectionError

    monkeypatch.setattr(handback, "give_back", give_back)
    found._worker.consumer.hub = None
    found.from_main_thread(found._worker)
    [event] = map(json.loads, (tmp_path / own_events.FILE).read_text().splitlines())
    assert (event["what"], event["task_ids"]) == ("not-returned" if fails else "handed-back", ["an-id"])


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_no_task_is_ended_for_messages_that_cannot_be_returned_to_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    found, run, observed = handback_of(tmp_path, "redis")
    observed.pool = pool
    late = SimpleNamespace(data=[lambda: run.request])
    monkeypatch.setitem(sys.modules, "celery.worker.state", SimpleNamespace(active_requests=late))
    monkeypatch.setitem(sys.modules, "celery.worker.request", SimpleNamespace())
    monkeypatch.setattr(handback_pool, "runs_to_end", lambda _: [run])
    monkeypatch.setattr(handback_pool, "kill", lambda *_: pytest.fail("its process was killed"))
    found.look()
    assert observed.missing["handback"] == "LookupError"
    assert not (tmp_path / own_events.FILE).exists()


@pytest.mark.parametrize(("stop", "handback", "patience"), [(600.0, 10.0, 1.0), (2.0, 1.0, 0.25)], ids=str)
def test_main_thread_may_delay_it_by_a_part_of_the_time_that_is_left(
    stop: float, handback: float, patience: float
) -> None:
    settings = HealthSettings("celery", "worker", ".", stop_timeout_seconds=stop, handback_seconds=handback)
    observed = WorkerState(settings)
    found = Handback(settings, observed, TaskRecorder(settings, 0.0), print)
    found.follow(SimpleNamespace(_conninfo=SimpleNamespace(transport=SimpleNamespace(driver_type="amqp"))))
    begun: list[None] = []
    found._from_outside = lambda: begun.append(None)  # type: ignore[method-assign]
    observed.enter(verdict.STOPPING)
    observed.phase_since -= stop - handback
    found.look()
    assert found.next_look() == pytest.approx(patience, abs=0.1)
    assert not begun
    observed.phase_since -= patience
    found.look()
    assert begun


def test_an_event_names_no_more_tasks_than_are_read() -> None:
    class Request:
        id, name = "an-id", "mysite.work"

    requests: list[Any] = [Request()] * 41
    assert [len(event["tasks"]) for event in about("cut", "", requests)] == [20, 20, 1]
