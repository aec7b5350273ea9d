"""Real faults of real programs under an embedded supervisord: those that are detected and healed, and the others.

All faults happen at once, each to its own program. Tests wait for the expected reactions; unexpected ones are checked
last, after far more time than healing takes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from procman.model import HealthSettings
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery, pytest.mark.xdist_group("faults")]

EXERCISE = Path(__file__).parents[1] / "host/exercise"

STALE, STALL, INTERVAL, FAILURES = 15, 6, 1, 3

RESTARTS_PER_HOUR = HealthSettings().restarts_per_hour

PATIENCE = 8.0 * STALE
"""Several times the duration of any healing with these settings, for a busy machine."""

LONG = 3 * STALL + FAILURES * INTERVAL
"""The duration of a task that is three times as long as any limit."""

WORKERS = ("frozen", "cancelled", "held", "stopped", "busy", "working", "solo", "pool", "dying", "mute")

STOP = 3

MORE = {
    "solo": 'pool = "solo"',
    # A graceful stop waits for the pool, which never ends.
    "pool": f"stop_timeout_seconds = {STOP}",
    "working": 'extra_arguments = ["--include=exercise.until_freed"]',
    "dying": f'stop_timeout_seconds = {STOP}\nextra_arguments = ["--include=exercise.ailing_children"]',
}

PROGRAMS = "".join(f'[worker.{name}]\nqueues = ["{name}"]\nconcurrency = 1\n{MORE.get(name, "")}\n' for name in WORKERS)

HEALTH = f"""
[beat]
stop_timeout_seconds = {STOP}
scheduler = "exercise.ailing_beat:AilingPersistentScheduler"
max_interval_seconds = 1
[health]
procman = "{Path(sys.executable).with_name("procman")}"
heartbeat_seconds = 1
stale_seconds = {STALE}
stall_seconds = {STALL}
interval_seconds = {INTERVAL}
failures = {FAILURES}
"""


@dataclass
class Faulty:
    """The product with its faults, and the pids of its programs before them."""

    product: Product
    pids: dict[str, int] = field(default_factory=dict)
    second_beat: subprocess.Popen[bytes] | None = None
    before: dict[str, int] = field(default_factory=dict)
    """The numbers of events before a fault: on a very busy machine, there may be some about the start."""

    @property
    def freed(self) -> Path:
        """Return the file that ends the task of the worker `working`."""
        return self.product.directory / "freed"

    def heartbeat(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run_directory(key) / "heartbeat.json").read_text())
        return found

    def pid(self, key: str) -> int | None:
        found: int | None = self.product.status()[f"catmaid-{key}"]["pid"]
        return found

    def is_new(self, key: str) -> bool:
        program = self.product.status()[f"catmaid-{key}"]
        is_up = program["state"] == "RUNNING" and program["health"]["level"] == "OK"
        return bool(is_up and program["pid"] != self.pids[key])

    def events(self, key: str) -> list[dict[str, Any]]:
        lines = self.product.procman("events", "--json", "-n", "1000", f"catmaid-{key}").stdout
        return [json.loads(line) for line in lines.splitlines()][self.before.get(key, 0) :]

    def reported(self, key: str) -> list[tuple[str, str]]:
        """Return the kinds of the events of a program, each with its code."""
        return [(event["what"], event["code"]) for event in self.events(key)]

    def reported_inside(self, key: str, code: str) -> list[str]:
        """Return the kinds of the events with `code` that the program itself recorded."""
        return [event["what"] for event in self.events(key) if (event["by"], event["code"]) == ("inside", code)]

    def results(self, key: str) -> dict[str, dict[str, Any]]:
        """Return the results of `procman health` for a program, by code."""
        document = json.loads(self.product.procman("health", "--json", f"catmaid-{key}", check=False).stdout)
        [program] = document["programs"]
        return {result["code"]: result for result in program["results"]}

    def level(self, key: str, code: str) -> str:
        return str(self.results(key).get(code, {}).get("level"))

    def run_directory(self, key: str) -> Path:
        return self.product.directory / f"s/procman/catmaid/run/catmaid-{key}"

    def ail(self, name: str) -> Path:
        """Cause the fault `name` of tests/host/exercise, until the returned file is removed."""
        file = self.product.data / name
        file.touch()
        return file

    def nagios(self, key: str) -> tuple[int, str]:
        """Return the status and the output of the Nagios check of a program."""
        done = self.product.procman("health", "--format", "nagios", f"catmaid-{key}", check=False)
        return done.returncode, done.stdout

    def celery(self, *words: str) -> str:
        """Run celery in the project's directory."""
        environment = {**self.product.environment, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
        command = [str(self.product.virtualenv / "bin/celery"), "-A", "mysite", *words]
        done = subprocess.run(
            command, env=environment, cwd=self.product.code, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def faulty() -> Iterator[Faulty]:
    """Return the product, installed and healthy, with all faults at once."""
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    faulty = Faulty(product)
    try:
        shutil.copytree(EXERCISE, product.directory / "more/exercise")
        product.configure(PROGRAMS + HEALTH, project=f'python_path = ["{product.directory}/more"]\n')
        product.procman("install", "--wait", "60")
        faulty.pids = {name.removeprefix("catmaid-"): each["pid"] for name, each in product.status().items()}
        _cause(faulty)
        yield faulty
    finally:
        if faulty.second_beat:
            faulty.second_beat.kill()
            faulty.second_beat.wait()
        product.close()


def _both_cancel(faulty: Faulty, nodes: str, queue: str) -> bool:
    return faulty.celery("control", "-d", nodes, "cancel_consumer", queue).count("no longer consuming") == 2


def _cause(faulty: Faulty) -> None:
    product, pids = faulty.product, faulty.pids
    assert faulty.nagios("held")[0] == 0
    product.procman("hold", "held", "--for", "1h", "--reason", "to be drained")
    product.procman("stop", "stopped")
    nodes = ",".join(f"catmaid-{name}@{os.uname().nodename}" for name in ("cancelled", "held"))
    for name in ("cancelled", "held"):
        # Of one that answers later than celery waits, it is not known whether it still takes the messages below.
        eventually(partial(_both_cancel, faulty, nodes, name), "both answer", PATIENCE)
    product.send("echo", 100, queue="cancelled")
    product.send("echo", 200, queue="held", times=10)
    product.send("hold", 1, LONG, queue="busy")
    product.send("echo", 2, queue="busy", times=3)
    product.send("hold", 5, LONG, queue="solo")
    for child in psutil.Process(pids["pool"]).children():
        child.send_signal(signal.SIGSTOP)
    product.send("echo", 10, queue="pool", times=2)
    faulty.ail("catmaid-dying-is-dying")
    for child in psutil.Process(pids["dying"]).children():
        child.kill()
    # This broker loses some with each kill.
    product.send("echo", 300, queue="dying", times=40)
    # A directory of this name keeps the heartbeat from being replaced, as a full disk does.
    mute = faulty.run_directory("mute")
    (mute / "heartbeat.json.new").mkdir()
    # On a very busy machine, late heartbeats may already have caused a restart.
    for name in ("frozen", "working", "celery-beat"):
        pids[name] = faulty.pid(name) or pids[name]
    faulty.celery("call", "until_freed.hold", "--args", json.dumps([6, str(faulty.freed)]), "--queue", "working")
    eventually(lambda: product.counted("started")[6] == 1, "its task runs", PATIENCE)
    eventually(lambda: faulty.heartbeat("working")["busy"] == 1, "its heartbeat has the task", PATIENCE)
    faulty.before["working"] = len(faulty.events("working"))
    for name in ("frozen", "working"):
        os.kill(pids[name], signal.SIGSTOP)
    os.kill(pids["celery-beat"], signal.SIGSTOP)


def test_frozen_worker_gets_term_then_kill_and_runs_again(faulty: Faulty) -> None:
    eventually(lambda: faulty.is_new("frozen"), "a new process works", PATIENCE)
    assert not psutil.pid_exists(faulty.pids["frozen"])
    eventually(lambda: ("healed", "") in faulty.reported("frozen"), "the healing is over", PATIENCE)
    # On a busy machine, there may be events about its start.
    events = [each for each in faulty.reported("frozen") if each[1] == "PM201"]
    assert events[:3] == [("found", "PM201"), ("healing", "PM201"), ("healing", "PM201")]


def test_frozen_worker_with_a_running_task_gets_term_only_and_restarts_once_it_can(faulty: Faulty) -> None:
    eventually(lambda: ("healing", "PM201") in faulty.reported("working"), "it gets SIGTERM", PATIENCE)
    [event] = [each for each in faulty.events("working") if each["what"] == "healing"]
    assert event["action"] == "sent SIGTERM for a graceful restart"
    assert event["reason"].endswith("it is frozen, but its pool processes may be running tasks")
    faulty.freed.touch()
    eventually(lambda: faulty.product.counted("finished")[6] == 1, "its task has finished", PATIENCE)
    time.sleep(2 * FAILURES * INTERVAL)
    assert faulty.pid("working") == faulty.pids["working"]
    os.kill(faulty.pids["working"], signal.SIGCONT)
    eventually(lambda: faulty.is_new("working"), "it stops gracefully, and a new process works", PATIENCE)
    assert faulty.product.counted("finished")[6] == 1


def test_frozen_beat_is_killed_and_one_beat_runs_again(faulty: Faulty) -> None:
    eventually(lambda: faulty.is_new("celery-beat"), "a new process works", PATIENCE)
    assert not psutil.pid_exists(faulty.pids["celery-beat"])
    assert len(faulty.product.main_processes("beat")) == 1


def test_beat_with_a_blocked_main_thread_is_detected_by_its_ticks_and_killed(faulty: Faulty) -> None:
    """It still writes heartbeats, but does not react to signals."""
    eventually(lambda: faulty.is_new("celery-beat"), "the frozen one was replaced", PATIENCE)
    faulty.pids["celery-beat"] = faulty.pid("celery-beat") or 0
    faulty.before["celery-beat"] = len(faulty.events("celery-beat"))
    deaf = faulty.ail("beat-is-deaf")
    # It stays critical for a few seconds only, which `health` can miss; the event remains.
    eventually(lambda: ("found", "PM401") in faulty.reported("celery-beat"), "it is found", 2 * STALE + PATIENCE)
    deaf.unlink()
    eventually(lambda: faulty.is_new("celery-beat"), "a new process ticks", PATIENCE)
    [found, healing, *_] = [each for each in faulty.events("celery-beat") if each["code"] == "PM401"]
    assert (found["what"], found["level"], healing["what"]) == ("found", "CRITICAL", "healing")
    assert len(faulty.product.main_processes("beat")) == 1


def test_worker_that_consumes_nothing_while_messages_wait_is_restarted_and_consumes_them(faulty: Faulty) -> None:
    eventually(lambda: faulty.is_new("cancelled"), "a new process works", PATIENCE)
    eventually(lambda: faulty.product.counted("finished")[100] == 1, "the message is taken", PATIENCE)
    assert ("healing", "PM301") in faulty.reported("cancelled")


def test_nagios_reports_status_2_and_the_cause_for_a_held_worker_that_consumes_nothing(faulty: Faulty) -> None:
    eventually(lambda: faulty.nagios("held")[0] == 2, "it is found", PATIENCE)
    _, line = faulty.nagios("held")
    assert line.startswith("CATMAID CRITICAL - catmaid-held: messages have been waiting for ")
    assert "(10 in held), but it has a free slot and consumes nothing (held by " in line
    assert "so it is not healed) (PM301)" in line


def test_held_worker_is_reported_but_not_restarted_until_it_is_released(faulty: Faulty) -> None:
    eventually(lambda: ("found", "PM301") in faulty.reported("held"), "it is found", PATIENCE)
    eventually(lambda: faulty.is_new("cancelled"), "one that is not held was restarted", PATIENCE)
    assert faulty.pid("held") == faulty.pids["held"]
    assert faulty.level("held", "PM301") == "CRITICAL"
    held = faulty.product.status()["catmaid-held"]["held"]
    assert (held["reason"], held["until"] - held["since"]) == ("to be drained", pytest.approx(3600))
    text = faulty.product.procman("status", check=False).stdout
    assert "catmaid-held: held by " in text
    assert "(to be drained)\n  procman release catmaid-held\n" in text
    faulty.product.procman("release", "held")
    eventually(lambda: faulty.is_new("held"), "it is restarted once it is released", PATIENCE)
    ten = range(200, 210)
    eventually(lambda: all(faulty.product.counted("finished")[each] == 1 for each in ten), "it takes all ten", PATIENCE)
    assert faulty.nagios("held")[0] == 0
    orders = [what for what, _ in faulty.reported("held") if what in ("held", "released", "healing")]
    assert orders == ["held", "released", "healing"]


def test_frozen_pool_is_detected_by_waiting_messages(faulty: Faulty) -> None:
    eventually(lambda: faulty.is_new("pool"), "a new process works", PATIENCE)
    faulty.product.send("echo", 12, queue="pool")
    eventually(lambda: faulty.product.counted("finished")[12] == 1, "it takes messages again", PATIENCE)
    assert ("healing", "PM302") in faulty.reported("pool")


def test_pool_whose_processes_exit_is_restarted_up_to_the_limit_and_then_only_reported(faulty: Faulty) -> None:
    # Each time, it is detected, does not stop, and is killed.
    cycle = STALL + 2 * FAILURES * INTERVAL + STOP + STALE + PATIENCE / 2
    eventually(
        lambda: "gave-up" in faulty.reported_inside("dying", "PM302"),
        "it is restarted no more",
        RESTARTS_PER_HOUR * cycle,
    )
    # The watcher records its kills in between, and that it has given up as well.
    assert faulty.reported_inside("dying", "PM302") == ["healing"] * RESTARTS_PER_HOUR + ["gave-up"]
    assert faulty.nagios("dying")[0] == 2
    pid = faulty.pid("dying")
    (faulty.product.data / "catmaid-dying-is-dying").unlink()
    faulty.product.send("echo", 399, queue="dying")
    eventually(lambda: faulty.product.counted("finished")[399] == 1, "it takes messages once it can", PATIENCE)
    # Its many restarts are still reported.
    eventually(lambda: faulty.level("dying", "PM200") == "OK", "it is healthy again without a restart", PATIENCE)
    assert faulty.pid("dying") == pid


def test_busy_worker_is_not_restarted_however_long_its_task_takes(faulty: Faulty) -> None:
    eventually(lambda: faulty.product.counted("finished")[4] == 1, "it has done all of its tasks", PATIENCE)
    assert faulty.product.counted("finished")[1] == 1
    assert "healing" not in dict(faulty.reported("busy"))
    assert faulty.pid("busy") == faulty.pids["busy"]


def test_solo_worker_in_a_long_task_is_not_restarted(faulty: Faulty) -> None:
    eventually(lambda: faulty.product.counted("finished")[5] == 1, "it has done its task", PATIENCE)
    assert faulty.pid("solo") == faulty.pids["solo"]
    assert "healing" not in dict(faulty.reported("solo"))


@pytest.mark.parametrize("kind", ["missing", "corrupt", "link", "pipe", "of another process"])
def test_invalid_heartbeat_does_not_cause_a_restart(faulty: Faulty, kind: str) -> None:
    path = faulty.run_directory("mute") / "heartbeat.json"
    if path.exists() or path.is_symlink():
        path.unlink()
    match kind:
        case "corrupt":
            path.write_text("{")
        case "link":
            path.symlink_to(faulty.run_directory("solo") / "heartbeat.json")
        case "pipe":
            os.mkfifo(path)
        case "of another process":
            path.write_bytes((faulty.run_directory("solo") / "heartbeat.json").read_bytes())
    eventually(lambda: faulty.level("mute", "PM205") == "WARNING", "it is a warning", PATIENCE)
    assert faulty.pid("mute") == faulty.pids["mute"]


def test_unwritable_heartbeat_is_a_warning_and_does_not_cause_a_restart(faulty: Faulty) -> None:
    path = faulty.run_directory("mute") / "heartbeat.json"
    old = json.loads((faulty.run_directory("solo") / "heartbeat.json").read_text())
    old.update(pid=faulty.pids["mute"], written=old["written"] - 10 * STALE)
    path.unlink(missing_ok=True)
    path.write_text(json.dumps(old))
    eventually(lambda: faulty.level("mute", "PM206") == "WARNING", "it is a warning", PATIENCE)
    assert faulty.pid("mute") == faulty.pids["mute"]
    (faulty.run_directory("mute") / "heartbeat.json.new").rmdir()
    eventually(lambda: faulty.level("mute", "PM200") == "OK", "it is healthy again without a restart", PATIENCE)
    assert faulty.pid("mute") == faulty.pids["mute"]


def test_second_beat_started_by_hand_is_reported_and_not_killed(faulty: Faulty) -> None:
    schedule = str(faulty.product.directory / "by-hand")
    faulty.second_beat = faulty.product.celery("beat", "--schedule", schedule, "--pidfile=")
    eventually(lambda: faulty.level("celery-beat", "PM110") == "CRITICAL", "it is found", PATIENCE)
    assert str(faulty.second_beat.pid) in faulty.results("celery-beat")["PM110"]["detail"]
    time.sleep(INTERVAL * (FAILURES + 1))
    assert faulty.second_beat.poll() is None


def test_program_that_was_stopped_on_purpose_stays_stopped(faulty: Faulty) -> None:
    program = faulty.product.status()["catmaid-stopped"]
    assert (program["state"], program["wanted"]) == ("STOPPED", False)
    events = [what for what, _ in faulty.reported("stopped")]
    assert ("stopped" in events, "healing" in events) == (True, False)
