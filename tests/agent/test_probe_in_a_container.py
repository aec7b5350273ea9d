"""The probe beside real workers and beats, each in a PID namespace of its own, as in a container."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.agent.conftest import Spawn
from tests.agent.heartbeats import CANCEL_WHEN_READY, EVENT_LOOP, SEND_WHEN_READY, SHORT, Followed, Site
from tests.agent.launching import Installation, Launched, install_launcher, wait_until
from tests.celery_environments import CELERY_5_7, CELERY_GREEN, CelerySpec, environment_of
from tests.install.people import needs_root

pytestmark = [pytest.mark.celery, needs_root]

NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

NO_BROKER = 'app.conf.update(broker_url="amqp://127.0.0.1:9", broker_transport_options={})\n'


@dataclass
class Contained(Followed):
    """A program that is process 1 of a PID namespace."""

    installation: Installation
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        return 1

    @property
    def outside(self) -> int:
        """Return its pid in this namespace."""
        parent = self.launched.process.pid
        [child] = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return int(child)

    def ask(self, question: str) -> int:
        """Run the probe inside, as an engine does, and return its exit status."""
        probe = self.installation.launcher.with_name("probe.py")
        words = ["nsenter", f"--target={self.outside}", "--pid", "--mount", str(self.installation.python), str(probe)]
        return subprocess.run([*words, question], env=self.environment, check=False, timeout=60).returncode

    def answers(self) -> str:
        """Return the answers of startup, live and ready as a word of three letters: y or n."""
        return "".join("yn"[self.ask(question)] for question in ("startup", "live", "ready"))

    def wait_for_answers(self, expected: str) -> None:
        wait_until(lambda: self.answers() == expected, lambda: f"{expected}, not {self.answers()}: {self.heartbeat()}")


Begin = Callable[..., Contained]


@pytest.fixture
def begin(tmp_path: Path, spawn: Spawn) -> Begin:
    """Return a function that starts a worker or beat whose app has `more` code, in a PID namespace."""

    def begin(kind: str, more: str = "", *arguments: str, spec: CelerySpec = CELERY_5_7, **variables: str) -> Contained:
        environment = environment_of(spec)
        assert environment is not None
        installation = install_launcher(tmp_path / kind, environment.python)
        started: dict[str, str] = {}

        def start(installation: Installation, kind: str, *arguments: str | Path, **more: str) -> Launched:
            started.update(installation.environment(kind, **more))
            return spawn([*NAMESPACE, *installation.words(*arguments)], installation.project, started)

        site = Site(installation, start)
        site.app(more)
        followed = (site.worker if kind == "worker" else site.beat)(
            *arguments, **{**SHORT, "PROCMAN_HEAL": "0"}, **variables
        )
        return Contained(followed.launched, followed.run_directory, installation, started)

    return begin


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads", "gevent", "eventlet"])
def test_worker_that_consumes_and_one_that_is_frozen(begin: Begin, pool: str) -> None:
    spec = CELERY_GREEN if pool in ("gevent", "eventlet") else CELERY_5_7
    worker = begin("worker", EVENT_LOOP if pool == "prefork" else "", f"--pool={pool}", spec=spec)
    worker.wait_until_healthy()
    assert worker.answers() == "yyy"
    os.kill(worker.outside, signal.SIGSTOP)
    worker.wait_for_answers("ynn")


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_frozen_worker_with_a_task_in_its_main_process_is_left_alone(begin: Begin, pool: str, tmp_path: Path) -> None:
    tasks = [("mysite.wait_for", [str(tmp_path / "never")])]
    worker = begin("worker", SEND_WHEN_READY.format(tasks=tasks), f"--pool={pool}")
    worker.wait_for(lambda found: found["busy"], "its task runs")
    os.kill(worker.outside, signal.SIGSTOP)
    worker.wait_for_answers("yyn")


def test_worker_that_takes_no_messages(begin: Begin, tmp_path: Path) -> None:
    worker = begin("worker", EVENT_LOOP + CANCEL_WHEN_READY.format(unless=str(tmp_path / "never")))
    worker.wait_for(lambda found: found["verdict"]["code"] == "PM301", "messages wait")
    worker.wait_for_answers("ynn")


def test_worker_whose_broker_is_away(begin: Begin) -> None:
    worker = begin("worker", NO_BROKER, "--pool=solo")
    worker.wait_for(lambda found: found["phase"] == "starting", "it tries to connect")
    assert worker.answers() == "yyn"


def test_busy_worker_that_stops(begin: Begin, tmp_path: Path) -> None:
    may_end = tmp_path / "may-end"
    worker = begin("worker", EVENT_LOOP + SEND_WHEN_READY.format(tasks=[("mysite.wait_for", [str(may_end)])] * 2))
    worker.wait_for(lambda found: found["busy"] == 2, "both slots are busy")
    assert worker.answers() == "yyy"
    os.kill(worker.outside, signal.SIGTERM)
    worker.wait_for_answers("yyn")
    may_end.touch()
    assert worker.launched.end() == 0


def test_worker_that_cannot_write_its_heartbeat(begin: Begin) -> None:
    worker = begin("worker", EVENT_LOOP)
    worker.wait_until_healthy()
    worker.keep_heartbeat_from_being_written()
    worker.wait_for_answers("yyn")


def test_beat_that_ticks_and_one_that_is_frozen(begin: Begin) -> None:
    beat = begin("beat")
    beat.wait_until_healthy()
    assert beat.answers() == "yyy"
    os.kill(beat.outside, signal.SIGSTOP)
    beat.wait_for_answers("ynn")


def test_beat_that_sends_nothing(begin: Begin, tmp_path: Path) -> None:
    stuck = tmp_path / "stuck"
    more = f"""
from celery.beat import PersistentScheduler

class Stuck(PersistentScheduler):
    def tick(self, *args, **more):
        while os.path.exists({str(stuck)!r}):
            time.sleep(0.05)
        return super().tick(*args, **more)
"""
    beat = begin("beat", more, "--scheduler=mysite:Stuck")
    beat.wait_until_healthy()
    stuck.touch()
    beat.wait_for_answers("ynn")
    stuck.unlink()
    beat.wait_for_answers("yyy")
