"""The app of the trials on a booted host, its brokers, and the store of its tasks, which procman does not know."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.contracts import trials
from tests.contracts.trials.ground import Store

from .catmaid import PIP, SECRET, VIRTUALENV
from .machine import Host
from .packages import wheelhouse

CODE, DATA = "/opt/deploys", "/srv/deploys"
PORT = 6381
URLS = {"rabbitmq": f"amqp://catmaid:{SECRET}@localhost:5672//", "redis": f"redis://127.0.0.1:{PORT}/0"}
REDIS = ("redis==6.4.0", "packaging==26.3")


def copy_trials(host: Host, code: str, data: str) -> None:
    """Copy the app of the trials and its broker's script to the directory `code`, and create its store `data`."""
    here = Path(trials.__file__).parent
    for source, name in (("app.py", "trial_app.py"), ("broker.py", "trial_broker.py")):
        target = host.path(f"{code}/{name}")
        target.parent.mkdir(exist_ok=True)
        shutil.copy(here / source, target)
    host.run(f"install -d -o www-data {data}")


def install_redis_client(host: Host) -> None:
    """Install Redis for Python into the project's virtualenv."""
    wheels = wheelhouse(REDIS, suite=host.suite)
    pip = [PIP, "--python", f"{VIRTUALENV}/bin/python", "--quiet", "--disable-pip-version-check", "install"]
    host.run([*pip, "--no-index", "--find-links", str(wheels), *REDIS], timeout=180)


class Trials:
    """The app on `host`; its environment files have the addresses of both brokers."""

    def __init__(self, host: Host) -> None:
        self.host = host
        copy_trials(host, CODE, DATA)
        variables = "".join(f"TRIAL_{name.upper()}={url}\n" for name, url in URLS.items())
        host.write(self.environment_file("systemd"), variables, mode=0o600)
        host.write(self.environment_file("supervisor"), variables, mode=0o640, owner="root:www-data")

    @staticmethod
    def environment_file(backend: str) -> str:
        """Return the environment file: under supervisord, the programs themselves read it."""
        return f"/etc/deploys-{backend}.env"

    @property
    def store(self) -> Store:
        return Store(self.host.path(DATA))

    def start_redis(self) -> None:
        """Install Redis for Python and run a Redis."""
        install_redis_client(self.host)
        redis = f"/usr/bin/redis-server --port {PORT} --bind 127.0.0.1 --save '' --dir /tmp"
        self.host.run(f"systemd-run --quiet --unit=deploys-redis --service-type=exec {redis}")

    @staticmethod
    def message(task_id: str, queue: str, broker: str, task: str, *arguments: float) -> dict[str, object]:
        """Return a message for trial_broker.py."""
        more: dict[str, object] = {"arguments": arguments, "options": {}}
        return {"id": task_id, "task": task, "broker": URLS[broker], "queue": queue, **more}

    def send(self, messages: Sequence[dict[str, object]]) -> None:
        self.host.run(self._words("send"), input=json.dumps(messages))

    @contextmanager
    def trickle(self, messages: Sequence[dict[str, object]], pause: float) -> Iterator[subprocess.Popen[str]]:
        """Send `messages` with pauses of so many seconds, noting when; ends at the end."""
        with self._running("trickle", {"messages": messages, "pause": pause}) as process:
            yield process

    @contextmanager
    def sampled(self, queues: Sequence[str], seconds: float) -> Iterator[subprocess.Popen[str]]:
        """Sample the consumers of `queues` of RabbitMQ until the end."""
        with self._running("sample", {"url": URLS["rabbitmq"], "queues": queues, "seconds": seconds}) as process:
            yield process
            assert process.poll() is None, "the sampler has ended"

    def _words(self, command: str) -> list[str]:
        variables = [f"TRIAL_DATA={DATA}", f"TRIAL_BROKER={URLS['rabbitmq']}", f"PYTHONPATH={CODE}"]
        return ["env", *variables, f"{VIRTUALENV}/bin/python", "-m", "trial_broker", command]

    @contextmanager
    def _running(self, command: str, asked: object) -> Iterator[subprocess.Popen[str]]:
        words = self.host.entering(self._words(command))
        with subprocess.Popen(words, stdin=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stdin
            process.stdin.write(json.dumps(asked))
            process.stdin.close()
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)  # nsenter would leave the command running
