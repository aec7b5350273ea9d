"""Real workers and beats whose heartbeats are read, on a broker that is a directory."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procman.agent import task_record
from procman.agent.heartbeat_format import read
from procman.agent.task_record import RunningTask
from tests.agent.conftest import Start
from tests.agent.launching import Installation, Launched, wait_until

APP = """
import os, time
from celery import Celery
from celery.signals import worker_ready

BROKER = os.environ["BROKER_DIRECTORY"]
app = Celery("mysite")
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={
        "data_folder_in": BROKER,
        "data_folder_out": BROKER,
        "control_folder": os.path.join(BROKER, "control"),
        "polling_interval": 0.05,
    },
    worker_concurrency=2,
    beat_schedule={"tick": {"task": "mysite.touch", "schedule": 0.2}},
)


@app.task(name="mysite.wait_for")
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.05)


@app.task(name="mysite.touch")
def touch():
    pass


@app.task(name="mysite.block")
def block(path):
    '''Let no other greenlet run.'''
    while not os.path.exists(path):
        pass
"""
SHORT = {
    "PROCMAN_HEARTBEAT_SECONDS": "0.2",
    "PROCMAN_STALE_SECONDS": "2",
    "PROCMAN_STALL_SECONDS": "1",
    "PROCMAN_INTERVAL_SECONDS": "0.2",
    "PROCMAN_FAILURES": "2",
}
WORKER = ("-A", "mysite", "worker", "-l", "info", "--without-mingle", "--without-gossip", "--without-heartbeat")
BEAT = ("-A", "mysite", "beat", "-l", "info", "--pidfile=")


@dataclass
class Followed:
    """A started program and its heartbeat file."""

    launched: Launched
    run_directory: Path

    @property
    def pid(self) -> int:
        return self.launched.process.pid

    def heartbeat(self) -> dict[str, Any]:
        return read((self.run_directory / "heartbeat.json").read_text())

    def recorded_tasks(self) -> tuple[RunningTask, ...]:
        """Return the tasks in its record, also after its end."""
        return task_record.read((self.run_directory / task_record.FILE).read_bytes()).tasks

    def wait_for(self, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait for a heartbeat of this process for which `holds` is true, and return it."""
        last: dict[str, Any] = {}

        def found() -> bool:
            assert self.launched.process.poll() is None, f"it exited; its output was:\n{self.launched.text}"
            try:
                last.update(self.heartbeat())
            except FileNotFoundError:
                return False
            return last["pid"] == self.pid and bool(holds(last))

        wait_until(found, lambda: f"{what}:\n{json.dumps(last, indent=1)}\n{self.launched.text}")
        return last

    def wait_until_healthy(self) -> dict[str, Any]:
        return self.wait_for(lambda found: found["verdict"]["code"] == "PM200", "it is healthy")

    def keep_heartbeat_from_being_written(self) -> Path:
        """Put a directory in the way of the heartbeat's next file, until the returned path is removed."""
        path = self.run_directory / "heartbeat.json.new"
        while not path.is_dir():
            try:
                path.mkdir()
            except FileExistsError:
                continue  # it is just being written
        return path

    def events(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in (self.run_directory / "events.jsonl").read_text().splitlines()]
        except FileNotFoundError:
            return []


@dataclass
class Site:
    """A project whose app is `APP` plus further code, and the way to start its programs."""

    installation: Installation
    start_one: Start

    def app(self, more: str = "") -> None:
        (self.installation.project / "mysite.py").write_text(APP + more)

    def start(self, kind: str, *arguments: str | Path, **more: str) -> Followed:
        broker = self.installation.directory / "broker"
        (broker / "control").mkdir(parents=True, exist_ok=True)
        environment = {"BROKER_DIRECTORY": str(broker), "PYTHONUNBUFFERED": "1", **SHORT, **more}
        return Followed(
            self.start_one(self.installation, kind, *arguments, **environment), self.installation.run_directory
        )

    def worker(self, *arguments: str, **more: str) -> Followed:
        return self.start("worker", *WORKER, *arguments, **more)

    def beat(self, *arguments: str, **more: str) -> Followed:
        return self.start("beat", *BEAT, "-s", self.installation.directory / "schedule", *arguments, **more)


SEND_WHEN_READY = """
@worker_ready.connect
def send(**arguments):
    for name, words in {tasks!r}:
        app.send_task(name, words)
"""

CANCEL_WHEN_READY = """
@worker_ready.connect
def cancel(sender=None, **arguments):
    if not os.path.exists({unless!r}):
        sender.cancel_task_queue("celery")
        app.send_task("mysite.touch", [])
"""
"""Does what `celery control cancel_consumer celery` does, which needs a broker that broadcasts."""


EVENT_LOOP = '''
import socket
from kombu.transport import TRANSPORT_ALIASES, filesystem


class Asynchronous(filesystem.Transport):
    """A directory that Celery polls in its event loop, so that its pool is that of AMQP and Redis."""

    implements = filesystem.Transport.implements.extend(asynchronous=True)

    def register_with_event_loop(self, connection, loop):
        loop.call_repeatedly(0.05, self.poll, connection)

    def poll(self, connection):
        try:
            while True:
                self.drain_events(connection, timeout=0)
        except socket.timeout:
            pass


TRANSPORT_ALIASES["asynchronous"] = "mysite:Asynchronous"
app.conf.broker_url = "asynchronous://"
app.conf.broker_transport_options = dict(app.conf.broker_transport_options, polling_interval=None)
'''


RECEIVE_SECONDS = 120.0
"""The time limit for each expected notification."""


@dataclass
class Notified:
    """The notifications that a process manager receives, in order."""

    address: str
    receiver: socket.socket

    def receive(self, desired: str) -> list[str]:
        """Return everything that is received up to and including `desired`."""
        received: list[str] = []
        # Watchdog messages never end, so a time limit for each message would never be reached.
        deadline = time.monotonic() + RECEIVE_SECONDS
        while desired not in received:
            assert time.monotonic() < deadline, f"waited for {desired}, and received {received}"
            try:
                received += self.receiver.recv(65536).decode().splitlines()
            except TimeoutError as error:
                raise AssertionError(f"waited for {desired}, and received {received}") from error
        return received


@contextmanager
def notified(directory: Path) -> Iterator[Notified]:
    """Listen on a socket as systemd does."""
    address = str(directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        # pytest's path may be too long for a socket.
        here = os.open(directory, os.O_RDONLY)
        try:
            receiver.bind(f"/proc/self/fd/{here}/notify")
        finally:
            os.close(here)
        receiver.settimeout(RECEIVE_SECONDS)
        yield Notified(address, receiver)
