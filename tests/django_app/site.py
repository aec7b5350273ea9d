"""The demo with its web server: procman's supervisord runs worker and beat on RabbitMQ, and Django serves the admin."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gethostname
from typing import Any
from urllib.request import ProxyHandler, build_opener
from uuid import uuid4

from tests.celery_environments import CeleryEnvironment
from tests.product import Product
from tests.redis_server import free_port

from .environments import DJANGO_APP

STARTING_SECONDS = 90.0
PASSWORD = "of-no-use-outside-this-test"

PROGRAMS = """
[health]
heartbeat_seconds = 1

[worker.celery]
queues = ["{queue}"]
concurrency = 2
prefetch_multiplier = 1
hostname = "{node}@%h"

[beat]
"""

ACCOUNTS = """
from django.contrib.auth.models import Permission, User
User.objects.create_superuser("admin", password={password!r})
viewer = User.objects.create_user("viewer", password={password!r}, is_staff=True)
viewer.user_permissions.add(Permission.objects.get(codename="view_program"))
"""

LOG = """
import json
from django.contrib.admin.models import LogEntry
entries = LogEntry.objects.order_by("pk").values_list("user__username", "object_id", "change_message")
print(json.dumps([list(entry) for entry in entries]))
"""

SEND = """
import json, sys
import django
django.setup()
from mysite import celery_app
name, arguments, queue = json.loads(sys.argv[1])
print(celery_app.send_task(name, arguments, queue=queue).id)
"""

COUNT = """
import json, sys
import django
django.setup()
from mysite import celery_app
with celery_app.connection_for_read() as connection:
    answer = connection.channel().queue_declare(queue=sys.argv[1], passive=True)
print(json.dumps([answer.message_count, answer.consumer_count]))
"""

PROCESS = """
import sys
import django
django.setup()
from mysite import celery_app
[tasks] = celery_app.control.inspect(timeout=20, limit=1, destination=[sys.argv[2]]).active().values()
print([task["worker_pid"] for task in tasks if task["id"] == sys.argv[1]][0])
"""


class Site:
    """A project of procman with a broker, and the server of its admin; `close` ends the programs."""

    def __init__(self, environment: CeleryEnvironment, broker: str) -> None:
        name = uuid4().hex[:8]
        self.queue, self.node = f"queue-{name}", f"web-{name}"
        self.product = Product(environment)
        self.port = free_port()
        self._environment = {
            **self.product.environment,
            "PYTHONPATH": f"{self.product.code}:{DJANGO_APP}",
            "DJANGO_SETTINGS_MODULE": "mysite.web",
            "CELERY_BROKER_URL": broker,
            "DEMO_DATA_DIRECTORY": str(self.product.data),
        }
        programs = PROGRAMS.format(queue=self.queue, node=self.node)
        self.product.configure(programs, environment=f'CELERY_BROKER_URL = "{broker}"')

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/admin/"

    def close(self) -> None:
        self.product.close()

    def install(self) -> None:
        """Install and start the programs, and create the database with an administrator and a viewer."""
        self.product.procman("install", "--wait", "90")
        self.manage("migrate", "--verbosity", "0")
        self.manage("shell", "-c", ACCOUNTS.format(password=PASSWORD))

    def manage(self, *words: str) -> str:
        return self._python(str(self.product.code / "manage.py"), *words)

    def admin_log(self) -> list[tuple[str, str, str]]:
        """Return user, object and text of each entry of the admin log, oldest first."""
        return [
            (user, target, text) for user, target, text in json.loads(self.manage("shell", "-c", LOG).splitlines()[-1])
        ]

    def send(self, task: str, *arguments: object) -> str:
        """Send a task to the worker's queue, and return its id."""
        return self._python("-c", SEND, json.dumps([task, arguments, self.queue])).strip()

    def messages_and_consumers(self) -> tuple[int, int]:
        """Return how many messages and consumers the worker's queue has by the broker's count."""
        messages, consumers = json.loads(self._python("-c", COUNT, self.queue))
        return messages, consumers

    def process_of(self, task: str) -> int:
        """Return the process that runs a task, by the worker's answer."""
        return int(self._python("-c", PROCESS, task, f"{self.node}@{gethostname()}"))

    def events(self, program: str) -> list[dict[str, Any]]:
        """Return the events of `program` that procman prints."""
        printed = self.product.procman("events", "--json", program).stdout
        return [json.loads(line) for line in printed.splitlines()]

    @contextmanager
    def served(self) -> Iterator[None]:
        """Run the web server."""
        log = (self.product.directory / "web.log").open("w")
        command = [self.product.virtualenv / "bin/python", self.product.code / "manage.py", "runserver", "--noreload"]
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
