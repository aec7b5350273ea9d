"""Real workers and beats under the launcher, on every supported Celery."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from procman.agent import task_record
from procman.agent.broker_record import BROKER_FILE
from procman.agent.task_record import TaskRecord
from procman.probes.broker import LOOK_SOURCES
from procman.probes.runner import read_answer
from tests.agent.conftest import Start
from tests.agent.launching import Installation, install_launcher, run, wait_until
from tests.celery_environments import CeleryEnvironment

pytestmark = pytest.mark.celery

# Built like CATMAID: the app is the package `mysite`, which has a module named celery. A worker sends itself one task.
APP = """
import json, os, sys, time
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
    worker_concurrency=1,
    beat_schedule={"tick": {"task": "mysite.touch", "schedule": 0.1}},
)
print("app imported", json.dumps({"path": sys.path[0], "argv": sys.argv}), flush=True)


@worker_ready.connect
def send(**arguments):
    for name in os.environ.get("TASKS", "wait_for").split():
        app.send_task("mysite." + name, [os.environ["TASK_WAITS_FOR"]], task_id=name + "-1")


@app.task(name="mysite.wait_late", acks_late=True)
@app.task(name="mysite.wait_for")
def wait_for(path):
    print("task started", flush=True)
    while not os.path.exists(path):
        time.sleep(0.05)
    print("task done", flush=True)


@app.task(name="mysite.end")
def end(path):
    print("task ended", flush=True)


@app.task(name="mysite.fail")
def fail(path):
    raise ValueError("task failed")
"""
SHOW_RECORD_AT_EACH_ACKNOWLEDGEMENT = """
from kombu.message import Message

acknowledge = Message.ack


def ack(self, *arguments, **more):
    format = sys.modules["procman_agent.task_record"]
    with open(os.path.join(os.environ["PROCMAN_RUN_DIRECTORY"], format.FILE), "rb") as file:
        recorded = [task.id for task in format.read(file.read()).tasks]
    print("acknowledging %s: %s" % (self.headers["id"], self.headers["id"] in recorded), flush=True)
    return acknowledge(self, *arguments, **more)


Message.ack = ack
"""
WORKER = ("-A", "mysite", "worker", "-l", "info", "--without-mingle", "--without-gossip", "--without-heartbeat")


@pytest.fixture
def installation(tmp_path: Path, celery_environment: CeleryEnvironment) -> Installation:
    installation = install_launcher(tmp_path, celery_environment.python)
    (installation.launcher.parent / "celery.py").write_text("raise SystemExit('not Celery')")
    package = installation.project / "mysite"
    package.mkdir()
    (package / "__init__.py").write_text("from .celery import app\n__all__ = ('app',)\n")
    (package / "celery.py").write_text(APP)
    (tmp_path / "broker" / "control").mkdir(parents=True)
    return installation


@pytest.fixture
def may_end(tmp_path: Path) -> Path:
    """Return the file that a task waits for."""
    return tmp_path / "may-end"


@pytest.fixture
def environment(tmp_path: Path, may_end: Path) -> dict[str, str]:
    return {"BROKER_DIRECTORY": f"{tmp_path}/broker", "TASK_WAITS_FOR": str(may_end), "PYTHONUNBUFFERED": "1"}


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(line) for line in listed.stdout.split()]


def test_worker_runs_in_the_launchers_own_process(
    installation: Installation, environment: dict[str, str], may_end: Path, start: Start
) -> None:
    may_end.touch()
    worker = start(installation, "worker", *WORKER, **environment)
    worker.wait_for("task done")
    imported = json.loads(worker.text.partition("app imported ")[2].splitlines()[0])
    assert imported == {"path": str(installation.project), "argv": [str(installation.launcher), *WORKER]}
    assert command_line(worker.process.pid) == installation.words(*WORKER)
    assert installation.lock.read_text() == f"{worker.process.pid}\n"


def test_next_worker_waits_for_the_running_task_of_the_previous_one(
    installation: Installation, environment: dict[str, str], may_end: Path, start: Start
) -> None:
    old = start(installation, "worker", *WORKER, **environment)
    old.wait_for("task started")
    new = start(installation, "worker", *WORKER, **environment)
    new.wait_for(f"waiting for process {old.process.pid} ")
    old.process.send_signal(signal.SIGTERM)
    old.wait_for("Warm shutdown")
    assert "app imported" not in new.text
    may_end.touch()
    assert old.end() == 0
    assert "task done" in old.text
    new.wait_for("task done")


def test_worker_after_a_killed_one_does_not_wait_for_its_children(
    installation: Installation, environment: dict[str, str], start: Start
) -> None:
    old = start(installation, "worker", *WORKER, **environment)
    old.wait_for("task started")
    [child] = children(old.process.pid)
    os.kill(child, signal.SIGSTOP)
    old.end(signal.SIGKILL)
    new = start(installation, "worker", *WORKER, **environment)
    new.wait_for("task started")


def test_record_of_a_killed_worker_names_exactly_its_running_tasks(
    installation: Installation, environment: dict[str, str], start: Start
) -> None:
    (installation.project / "mysite" / "celery.py").write_text(APP + SHOW_RECORD_AT_EACH_ACKNOWLEDGEMENT)
    # More slots than tasks that wait: Celery acknowledges nothing while it waits for a free one.
    worker = start(installation, "worker", *WORKER, "-c", "3", TASKS="end fail wait_for wait_late", **environment)
    tasks = {("wait_for-1", "mysite.wait_for", False), ("wait_late-1", "mysite.wait_late", True)}
    wait_until(lambda: tasks_in(installation, task_record.FILE) == tasks, lambda: f"two tasks in:\n{worker.text}")
    worker.wait_for("acknowledging wait_for-1: True")
    pool = children(worker.process.pid)
    worker.end(signal.SIGKILL)
    assert "acknowledging wait_late-1" not in worker.text
    record = record_in(installation, task_record.FILE)
    assert (record.pid, record.unrecorded, record.damaged) == (worker.process.pid, 0, 0)
    assert len({task.pool_pid for task in record.tasks} & set(pool)) == 2
    start(installation, "worker", *WORKER, TASKS="end", **environment).wait_for("task ended")
    assert tasks_in(installation, task_record.FILES[1]) == tasks


def record_in(installation: Installation, name: str) -> TaskRecord:
    return task_record.read((installation.run_directory / name).read_bytes())


def tasks_in(installation: Installation, name: str) -> set[tuple[str, str, bool]]:
    try:
        return {(task.id, task.name, task.acks_late) for task in record_in(installation, name).tasks}
    except FileNotFoundError:
        return set()


def test_hup_starts_the_worker_again_through_the_launcher(
    installation: Installation, environment: dict[str, str], may_end: Path, start: Start
) -> None:
    may_end.touch()
    worker = start(installation, "worker", *WORKER, **environment)
    worker.wait_for("task done")
    worker.process.send_signal(signal.SIGHUP)
    worker.wait_for("task done", times=2)
    assert worker.text.count(f'app imported {{"path": "{installation.project}"') == 2
    assert command_line(worker.process.pid) == installation.words(*WORKER)
    next_one = start(installation, "worker", *WORKER, **environment)
    next_one.wait_for(f"waiting for process {worker.process.pid} ")


def test_beat_sends_and_exits_on_term(installation: Installation, environment: dict[str, str], start: Start) -> None:
    schedule = installation.directory / "schedule"
    arguments = ("-A", "mysite", "beat", "-l", "info", "--pidfile=", "-s", schedule)
    beat = start(installation, "beat", *arguments, **environment)
    beat.wait_for("Sending due task tick")
    next_one = start(installation, "beat", *arguments, **environment)
    next_one.wait_for(f"waiting for process {beat.process.pid} ")
    assert beat.end(signal.SIGTERM) == 0
    next_one.wait_for("Sending due task tick")


@pytest.mark.parametrize("arguments", [("-A", "nosuchapp", "worker"), ("-A", "mysite", "worker", "--no-such-option")])
def test_exit_status_is_celerys_own(
    installation: Installation, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    plain_words = [str(installation.python), "-m", "celery", *arguments]
    plain = run(plain_words, installation.project, installation.environment("worker", **environment))
    assert plain.returncode not in (0, 78)
    assert installation.run("worker", *arguments, **environment).returncode == plain.returncode


def test_gevent_patches_before_the_app_is_imported(installation: Installation, environment: dict[str, str]) -> None:
    """The package is a fake gevent: only the time when Celery calls it matters."""
    package = installation.project / "gevent"
    package.mkdir()
    (package / "__init__.py").write_text("version_info = (1, 0)\n")
    (package / "signal.py").touch()
    (package / "monkey.py").write_text("def patch_all():\n    print('patched', flush=True)\n    raise SystemExit(7)\n")
    done = installation.run("worker", *WORKER, "-P", "gevent", **environment)
    assert (done.returncode, done.stdout) == (7, "patched\n")


def test_stopped_worker_leaves_a_record_by_which_its_queues_are_counted(
    installation: Installation, environment: dict[str, str], may_end: Path, start: Start
) -> None:
    may_end.touch()
    worker = start(installation, "worker", *WORKER, "-Q", "big,celery", **environment)
    worker.wait_for("task done")
    worker.end(signal.SIGTERM)
    path = installation.run_directory / BROKER_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    sending = "from mysite import app; app.send_task('mysite.wait_for', ['/'], queue='big')"
    done = run([str(installation.python), "-c", sending], installation.project, dict(environment))
    assert done.returncode == 0, done.stderr

    asked = {"files": {"catmaid-big": str(path)}, "queues": [], "seconds": 30, "management": None}
    words = [str(installation.python), "-", "catmaid", json.dumps(asked)]
    text = "\n".join(source.read_text() for source in LOOK_SOURCES)
    # The app would fail here, because its variables are not set.
    looked = subprocess.run(
        words, input=text, env={}, cwd=installation.project, capture_output=True, text=True, check=True
    )
    answer = read_answer(looked.stdout)
    assert answer, looked.stderr
    [broker] = answer["brokers"]
    assert [(queue["name"], queue["programs"]) for queue in broker["queues"]] == [
        ("big", ["catmaid-big"]),
        ("celery", ["catmaid-big"]),
    ]
    assert broker["queues"][0]["messages"] == 1
