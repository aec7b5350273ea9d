"""The ground of the trials: one project with its own supervisord, RabbitMQ and Redis, and the store of its tasks."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.celery_environments import CeleryEnvironment
from tests.product import Product
from tests.rabbitmq_server import RabbitMQ, running_rabbitmq
from tests.redis_server import Redis, running_redis

HERE = Path(__file__).parent
BROKERS = ("rabbitmq", "redis")


@dataclass(frozen=True)
class Message:
    """A message for one of the app's tasks."""

    id: str
    task: str
    broker: str
    queue: str
    arguments: tuple[object, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run of a task; the times are those of the monotonic clock."""

    task_id: str
    worker: str
    pid: int
    began: float
    last: float
    """The last stamp."""
    has_ended: bool


@dataclass(frozen=True)
class Received:
    """A message that a worker got."""

    task_id: str
    worker: str
    at: float
    returns: int
    """How often it was returned, as a quorum queue counts."""


class Store:
    """What the tasks wrote below the directory `data`."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def runs(self) -> list[Run]:
        """Return all runs, those that began first first."""
        return self.runs_of("*")

    def runs_of(self, task_id: str) -> list[Run]:
        """Return the runs of one task, those that began first first."""
        found = [_run(path) for path in self.data.glob(f"runs/{task_id}/*")]
        return sorted(found, key=lambda run: run.began)

    def has_ended(self, task_id: str) -> bool:
        """Return whether a run of this task has come to its end."""
        return any(run.has_ended for run in self.runs_of(task_id))

    def received(self) -> list[Received]:
        """Return each message that a worker got, oldest first."""
        return [
            Received(each["id"], each["worker"], each["at"], each["returns"] or 0) for each in self._lines("received")
        ]

    def times(self, name: str) -> dict[str, list[float]]:
        """Return when each worker got a signal to stop (`stopping`) or began to consume (`ready`)."""
        found: dict[str, list[float]] = {}
        for each in self._lines(name):
            found.setdefault(each["worker"], []).append(each["at"])
        return found

    def sent(self) -> dict[str, float]:
        """Return when each message was sent, of those that were sent with pauses."""
        return {each["id"]: each["at"] for each in self._lines("sent")}

    def sampled(self, queue: str) -> list[tuple[float, int]]:
        """Return when a queue of RabbitMQ was asked about, and the number of its consumers."""
        lines = self._lines("consumers")
        return [(each["at"], each["consumers"][queue]) for each in lines if queue in each["consumers"]]

    def tell(self) -> None:
        """Tell the tasks that wait for it to end."""
        (self.data / "told").touch()

    def work(self) -> list[str]:
        """Return what the tasks `trials.work` noted, and the test with `note_work`, in that order."""
        path = self.data / "work"
        return path.read_text().splitlines() if path.exists() else []

    def note_work(self, line: str) -> None:
        """Append a line, whole like those of the tasks."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "work").open("a") as file:
            file.write(f"{line}\n")

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        path = self.data / name
        return map(json.loads, path.read_text().splitlines() if path.exists() else ())


class Ground:
    """A product whose app is that of the trials, with both brokers."""

    def __init__(self, environment: CeleryEnvironment, rabbitmq: RabbitMQ | None, redis: Redis) -> None:
        self.product = Product(environment)
        self.redis = redis
        self.urls = {**({"rabbitmq": rabbitmq.url} if rabbitmq else {}), "redis": redis.url()}
        self.store = Store(self.product.directory / "trials")
        shutil.copy(HERE / "app.py", self.product.code / "trial_app.py")
        shutil.copy(HERE / "broker.py", self.product.code / "trial_broker.py")

    def configure(self, workers: Iterable[str], *, name: str = "trials") -> None:
        """Write procman.toml with the tables of `workers`."""
        self.product.configuration.write_text(
            f"""
[project]
name = "{name}"
app = "trial_app"
directory = "{self.product.code}"
virtualenv = "{self.product.virtualenv}"
scope = "user"

[environment]
DEMO_DATA_DIRECTORY = "{self.product.data}"
TRIAL_DATA = "{self.store.data}"

[health]
heal = false
heartbeat_seconds = 1

[defaults.program]
start_seconds = 0

[defaults.worker]
without_gossip = true
without_mingle = true
without_heartbeat = true

{"".join(workers)}

[supervisor]
mode = "embedded"
"""
        )

    def environment(self, worker: str, broker: str, **variables: str) -> str:
        """Return the table that gives a worker its name, its broker and more variables."""
        values = {"TRIAL_WORKER": worker, "TRIAL_BROKER": self.urls[broker], **variables}
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in values.items()]
        return "".join([f"[worker.{worker}.environment]\n", *lines])

    def send(self, messages: Sequence[Message]) -> None:
        """Send `messages` in their order."""
        self._ask("send", self._asked(messages), {each.queue for each in messages})

    @contextmanager
    def trickle(self, messages: Sequence[Message], pause: float) -> Iterator[subprocess.Popen[str]]:
        """Send `messages` with pauses of so many seconds, noting when, in a process that is ended at the end."""
        asked = {"messages": self._asked(messages), "pause": pause}
        words, environment = self._command("trickle", {each.queue for each in messages})
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, text=True, env=environment, cwd=self.product.code
        ) as process:
            assert process.stdin
            process.stdin.write(json.dumps(asked))
            process.stdin.close()
            try:
                yield process
            finally:
                process.terminate()

    def waiting(self, queues: Mapping[str, str]) -> dict[str, int]:
        """Return how many messages each of `queues`, whose values are their brokers, has that no worker holds."""
        asked = {queue: self.urls[broker] for queue, broker in queues.items()}
        counted: dict[str, int] = json.loads(self._ask("count", asked, queues))
        return counted

    def unacknowledged(self) -> int:
        """Return how many messages Redis keeps for workers that hold them."""
        return int(self.redis.ask("HLEN", "unacked").lstrip(":"))

    def restore(self, visibility_seconds: float) -> None:
        """Put back what workers of Redis have held for longer than `visibility_seconds`, as one that connects does."""
        self._ask("restore", [self.urls["redis"]], (), TRIAL_VISIBILITY=str(visibility_seconds))

    def _asked(self, messages: Sequence[Message]) -> list[dict[str, object]]:
        return [{**vars(each), "broker": self.urls[each.broker]} for each in messages]

    def _command(
        self, command: str, queues: Iterable[str], variables: Mapping[str, str] | None = None
    ) -> tuple[list[str], dict[str, str]]:
        environment = {
            **self.product.environment,
            **(variables or {}),
            "TRIAL_DATA": str(self.store.data),
            "PYTHONPATH": str(self.product.code),
        }
        environment.update(TRIAL_BROKER=self.urls["redis"], TRIAL_QUEUES=" ".join(queues))
        return [str(self.product.virtualenv / "bin/python"), "-m", "trial_broker", command], environment

    def _ask(self, command: str, asked: object, queues: Iterable[str], **variables: str) -> str:
        words, environment = self._command(command, queues, variables)
        done = subprocess.run(
            words,
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self.product.code,
            check=True,
            timeout=60,
        )
        return done.stdout

    def events(self, *what: str) -> list[dict[str, Any]]:
        """Return the events of these kinds."""
        printed = self.product.procman("events", "--json", "-n", "100000").stdout.splitlines()
        return [event for event in map(json.loads, printed) if event["what"] in what]


def _run(path: Path) -> Run:
    worker, pid, began = path.name.split(",")
    lines = path.read_text().split()
    stamps = [float(line) for line in lines if line != "end"]
    return Run(path.parent.name, worker, int(pid), float(began), max([float(began), *stamps]), "end" in lines)


class Ends:
    """Notices when processes end."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self.at: dict[str, float] = {}
        self._left = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> dict[str, float]:
        """Return when each process ended, by name."""
        self._thread.join(seconds)
        assert not self._left, f"{sorted(self._left)} have not ended within {seconds:g} s"
        return self.at

    def _watch(self) -> None:
        while self._left:
            for name, process in list(self._left.items()):
                if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                    self.at[name] = time.monotonic()
                    del self._left[name]
            time.sleep(0.05)


@contextmanager
def brokers() -> Iterator[tuple[RabbitMQ, Redis]]:
    """Run both brokers. Raises HostError if this machine cannot."""
    with ExitStack() as undo:
        redis = undo.enter_context(running_redis(Path(undo.enter_context(tempfile.TemporaryDirectory()))))
        yield undo.enter_context(running_rabbitmq()), redis


@contextmanager
def ground_of_redis(environment: CeleryEnvironment) -> Iterator[Ground]:
    """Provide a project with Redis alone, which needs no root, and end everything at the end."""
    with tempfile.TemporaryDirectory() as directory, running_redis(Path(directory)) as redis:
        made = Ground(environment, None, redis)
        try:
            yield made
        finally:
            made.product.close()


@contextmanager
def ground(environment: CeleryEnvironment) -> Iterator[Ground]:
    """Provide a project with both brokers, and end everything at the end."""
    with brokers() as (rabbitmq, redis):
        made = Ground(environment, rabbitmq, redis)
        try:
            yield made
        finally:
            made.product.close()
