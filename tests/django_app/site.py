"""The demo with its web server: procman's supervisord runs worker and beat on RabbitMQ, and Django serves the admin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.request import ProxyHandler, build_opener
from uuid import uuid4

import psutil

from tests.celery_environments import CeleryEnvironment
from tests.product import Product
from tests.redis_server import free_port

from .environments import DJANGO_APP
from .journeys import ACCOUNTS, COUNT, LOG, PROCESS, SEND

STARTING_SECONDS = 90.0

ATTACK = '<script>document.title="attacked"</script><img src=x onerror="document.title=1">'

ATTACKING = f"""

@shared_task(name={ATTACK!r})
def attack(number, seconds):
    hold(number, seconds)
"""
"""A task of the project with a script as its name."""

PROGRAMS = """
[health]
heartbeat_seconds = 1

[worker.celery]
queues = ["{queue}"]
concurrency = 2
prefetch_multiplier = 1
hostname = "{node}"

[beat]
"""


class DemoSite:
    """A project of procman with a broker, and the server of its admin; `close` ends the programs."""

    def __init__(self, environment: CeleryEnvironment, broker: str) -> None:
        name = uuid4().hex[:8]
        self.queue, self.node = f"queue-{name}", f"web-{name}@{gethostname()}"
        self.worker, self.beat, self.unacknowledged = "catmaid-celery", "catmaid-celery-beat", "unknown"
        self.first = 0
        self.product = Product(environment)
        with (self.product.code / "counting/tasks.py").open("a") as tasks:
            tasks.write(ATTACKING)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/admin/"
        self._environment = {
            **self.product.environment,
            "PYTHONPATH": f"{self.product.code}:{DJANGO_APP}",
            "DJANGO_SETTINGS_MODULE": "mysite.web",
            "CELERY_BROKER_URL": broker,
            "DEMO_DATA_DIRECTORY": str(self.product.data),
        }
        programs = PROGRAMS.format(queue=self.queue, node=self.node)
        self.product.configure(programs, environment=f'CELERY_BROKER_URL = "{broker}"')

    def close(self) -> None:
        self.product.close()

    def install(self) -> None:
        """Install and start the programs, and create the database with an administrator and a viewer."""
        self.product.procman("install", "--wait", "90")
        self.manage("migrate", "--verbosity", "0")
        self.manage("shell", "-c", ACCOUNTS)

    def manage(self, *words: str) -> str:
        return self._python(str(self.product.code / "manage.py"), *words)

    def admin_log(self) -> list[tuple[str, str, str]]:
        return [
            (user, target, text) for user, target, text in json.loads(self.manage("shell", "-c", LOG).splitlines()[-1])
        ]

    def send(self, task: str, *arguments: object) -> str:
        return self._python("-c", SEND, json.dumps([task, arguments, self.queue])).strip()

    def messages_and_consumers(self) -> tuple[int, int]:
        messages, consumers = json.loads(self._python("-c", COUNT, self.queue))
        return messages, consumers

    def process_of(self, task: str) -> int:
        return int(self._python("-c", PROCESS, task, self.node))

    def is_alive(self, pid: int) -> bool:
        return psutil.pid_exists(pid)

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def counted(self, name: str) -> Any:
        return self.product.counted(name)

    def events(self) -> list[dict[str, Any]]:
        printed = self.product.procman("events", "--json", self.worker).stdout
        return [json.loads(line) for line in printed.splitlines()]

    @contextmanager
    def served(self) -> Iterator[None]:
        """Run the web server."""
        log = (self.product.directory / "web.log").open("w")
        command: list[str | Path] = [
            self.product.virtualenv / "bin/python",
            self.product.code / "manage.py",
            "runserver",
            "--noreload",
        ]
        with (
            log,
            subprocess.Popen(
                [*command, f"127.0.0.1:{self.port}"],
                env=self._environment,
                cwd=self.product.code,
                stdout=log,
                stderr=log,
            ) as server,
        ):
            try:
                self._wait_until_it_answers(server)
                yield
            finally:
                server.kill()

    def _wait_until_it_answers(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + STARTING_SECONDS
        open_ = build_opener(ProxyHandler({})).open
        while True:
            try:
                with open_(self.address, timeout=STARTING_SECONDS):
                    return
            except OSError:
                assert server.poll() is None, (self.product.directory / "web.log").read_text()
                assert time.monotonic() < deadline, "the web server does not answer"
                time.sleep(0.1)

    def _python(self, *words: str) -> str:
        done = subprocess.run(
            [self.product.virtualenv / "bin/python", *words],
            env=self._environment,
            cwd=self.product.code,
            capture_output=True,
            text=True,
            timeout=STARTING_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
