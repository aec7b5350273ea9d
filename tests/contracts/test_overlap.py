"""Overlap restarts with whole commands under a real supervisord, with RabbitMQ and Redis side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.contracts.trials.ground import BROKERS, Ground, Message, ground
from tests.host.overlay import HostError
from tests.product import eventually

pytestmark = [
    pytest.mark.supervisord,
    pytest.mark.celery,
    pytest.mark.root("RabbitMQ runs in an overlay"),
    pytest.mark.xdist_group("overlap"),
]

DEPLOYS = 3
SHORT_TASKS = int(os.environ.get("OVERLAP_TASKS", "300"))
MINUTES = float(os.environ.get("OVERLAP_MINUTES", "0"))
"""How long the long tasks take (make soak); 0: until the deploys are over."""
SAMPLE_SECONDS = 0.1
STOP_SECONDS = 8
"""Less than the long tasks take."""


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    environment = environment_of(CELERY_REDIS)
    assert environment
    try:
        with ground(environment) as made:
            yield made
    except HostError as error:
        pytest.skip(f"RabbitMQ cannot run here: {error}")


def configure(
    place: Ground, brokers: tuple[str, ...] = BROKERS, *, more: str = "", most: int = 3, **variables: str
) -> None:
    place.configure(
        f"""
[worker.{broker}]
overlap = true
overlap_max = {most}
concurrency = 2
stop_timeout_seconds = {STOP_SECONDS}
queues = ["{broker}"]
{more}
{place.environment(broker, broker, TRIAL_MORE=str(most), **variables)}
"""
        for broker in brokers
    )


def name_of(broker: str) -> str:
    return f"trials-{broker}"


def draining(place: Ground, broker: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.product.status()[name_of(broker)]["draining"]
    return found


class Consumers:
    """Counts the consumers of a queue of RabbitMQ every 100 ms, from a process of its own."""

    CODE = """
import sys, time
from kombu import Connection
with Connection(sys.argv[1]) as connection:
    while True:
        print(connection.default_channel.queue_declare(sys.argv[2], passive=True).consumer_count, flush=True)
        time.sleep(float(sys.argv[3]))
"""

    def __init__(self, place: Ground, queue: str) -> None:
        python = str(place.product.virtualenv / "bin/python")
        words = [python, "-c", self.CODE, place.urls["rabbitmq"], queue, str(SAMPLE_SECONDS)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def end(self) -> list[int]:
        self._process.terminate()
        output, _ = self._process.communicate(timeout=60)
        return [int(line) for line in output.split()]


class Sender:
    """Sends short tasks to each broker at intervals, and returns their ids."""

    def __init__(self, place: Ground, total: int) -> None:
        self._place, self._total, self.ids = place, total, []  # type: ignore[var-annotated]
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        part = self._total // 10
        for begin in range(0, self._total, part):
            messages = [
                Message(f"short-{broker}-{number}", "trials.hold", broker, broker, (0.01,))
                for broker in BROKERS
                for number in range(begin, begin + part)
            ]
            self._place.send(messages)
            self.ids += [each.id for each in messages]
            time.sleep(1)

    def wait(self) -> list[str]:
        self._thread.join()
        return self.ids


@pytest.fixture(scope="module")
def deployed(place: Ground) -> dict[str, Any]:
    """Carry out three overlap deploys, with a long task in each worker and short ones meanwhile."""
    configure(place)
    place.product.procman("install", "--wait", "90")
    task = ("trials.hold", (60 * MINUTES,)) if MINUTES else ("trials.hold_until_told", ())
    place.send([Message(f"long-{broker}", task[0], broker, broker, task[1]) for broker in BROKERS])
    eventually(lambda: len(place.store.runs()) == len(BROKERS), "the long tasks are running")
    consumers, sender, printed = Consumers(place, "rabbitmq"), Sender(place, SHORT_TASKS), []
    for _ in range(DEPLOYS):
        printed.append(place.product.procman("restart", "--overlap", "--no-check", "--at-once", "2").stdout)
        assert not [run for run in place.store.runs() if run.task_id.startswith("long") and run.has_ended]
    ids = sender.wait()
    eventually(lambda: len(place.store.runs()) >= len(ids) + len(BROKERS), "the short tasks have run")
    status = place.product.status()
    text = place.product.procman("status").stdout
    samples = consumers.end()
    place.store.tell()
    patience = 60 + 60 * MINUTES
    eventually(lambda: not any(draining(place, broker) for broker in BROKERS), "the long tasks have ended", patience)
    return {"printed": printed, "ids": ids, "status": status, "text": text, "samples": samples}


def test_restart_returns_while_the_long_task_runs(deployed: dict[str, Any]) -> None:
    for text in deployed["printed"]:
        assert text.count("restarted by an overlap") == len(BROKERS)


def test_long_task_survives_three_deploys_and_runs_once(deployed: dict[str, Any], place: Ground) -> None:
    for broker in BROKERS:
        [run] = [run for run in place.store.runs() if run.task_id == f"long-{broker}"]
        assert run.has_ended


def test_each_short_task_runs_exactly_once(deployed: dict[str, Any], place: Ground) -> None:
    runs = Counter(run.task_id for run in place.store.runs() if run.has_ended and run.task_id.startswith("short"))
    assert runs == Counter(deployed["ids"])
    assert len(runs) == len(BROKERS) * SHORT_TASKS


def test_queue_of_rabbitmq_always_has_a_consumer(deployed: dict[str, Any]) -> None:
    assert len(deployed["samples"]) > 10
    assert min(deployed["samples"]) >= 1


def test_status_shows_what_drains_and_its_tasks(deployed: dict[str, Any]) -> None:
    for broker in BROKERS:
        program = deployed["status"][name_of(broker)]
        busy = [each for each in program["draining"] if each["busy"]]
        assert [task["id"] for each in busy for task in each["tasks"]] == [f"long-{broker}"]
        assert program["health"]["level"] == "OK"
        assert f"process {busy[0]['pid']} has been draining for" in deployed["text"]
        assert f"long-{broker} (" in deployed["text"]


def test_overlaps_are_events_of_the_program(deployed: dict[str, Any], place: Ground) -> None:
    found = Counter(event["program"] for event in place.events("overlapped"))
    assert found == {name_of(broker): DEPLOYS for broker in BROKERS}


@pytest.mark.usefixtures("deployed")
def test_install_of_a_changed_variable_overlaps_and_says_so_before(place: Ground) -> None:
    before = place.product.status()
    configure(place, most=1)
    preview = json.loads(place.product.procman("diff", "--json").stdout)
    assert preview["programs"]["overlapped"] == [name_of(broker) for broker in BROKERS]
    assert preview["programs"]["restarted"] == []
    assert "2 to restart by an overlap" in place.product.procman("install", "--dry-run").stdout
    assert "restarted by an overlap" in place.product.procman("install").stdout
    after = place.product.status()
    assert all(after[each]["pid"] != before[each]["pid"] for each in after)
    assert place.product.procman("install").returncode == 0
    assert place.product.status()[name_of("redis")]["pid"] == after[name_of("redis")]["pid"]


@pytest.mark.usefixtures("deployed")
def test_install_of_a_longer_umask_restarts(place: Ground) -> None:
    configure(place, most=1, more='umask = "027"')
    preview = json.loads(place.product.procman("diff", "--json").stdout)
    assert preview["programs"]["restarted"] == [name_of(broker) for broker in BROKERS]
    configure(place, most=1)


@pytest.mark.usefixtures("deployed")
def test_broken_code_stops_the_successor_and_the_worker_stays(place: Ground) -> None:
    before = place.product.status()[name_of("redis")]["pid"]
    app = place.product.code / "trial_app.py"
    text = app.read_text()
    app.write_text("raise RuntimeError('broken on purpose')\n" + text)
    try:
        done = place.product.procman("restart", "--overlap", "--no-check", "redis", check=False)
    finally:
        app.write_text(text)
    assert done.returncode == 1
    assert "the overlap restart failed, and the earlier process still consumes" in done.stdout + done.stderr
    assert "broken on purpose" in done.stdout + done.stderr
    assert place.product.status()[name_of("redis")]["pid"] == before


@pytest.mark.usefixtures("deployed")
def test_failed_overlap_of_an_install_is_rolled_back_and_the_worker_stays(place: Ground) -> None:
    configure(place, most=1)
    place.product.procman("install")
    eventually(lambda: not draining(place, "redis"), "no process drains")
    configure(place, most=1, TRIAL_VISIBILITY="broken on purpose")
    done = place.product.procman("install", "--wait", "60", check=False)
    assert done.returncode == 1
    assert "broken on purpose" in done.stdout + done.stderr
    configure(place, most=1)
    assert json.loads(place.product.procman("diff", "--json").stdout)["changed"] is False
    assert place.product.status()[name_of("redis")]["health"]["level"] == "OK"


@pytest.mark.usefixtures("deployed")
def test_signal_of_supervisorctl_overlaps_and_stop_draining_stops_only_what_drains(place: Ground) -> None:
    (place.store.data / "told").unlink(missing_ok=True)
    place.send([Message("signalled", "trials.hold_until_told", "redis", "redis")])
    eventually(lambda: any(run.task_id == "signalled" for run in place.store.runs()), "the task is running")
    place.product.supervisorctl("signal", "HUP", name_of("redis"))
    eventually(lambda: len(draining(place, "redis")) == 1, "one process drains")
    worker = place.product.status()[name_of("redis")]["pid"]
    done = place.product.procman("restart", "--overlap", "--no-check", "redis", check=False)
    assert done.returncode == 1
    assert "was not restarted: 1 earlier process is draining (slot " in done.stdout + done.stderr
    assert place.product.status()[name_of("redis")]["pid"] == worker
    configure(place, most=1, TRIAL_MORE_STILL="1")
    refused = place.product.procman("install", check=False)
    assert refused.returncode == 1
    assert "its change needs an overlap restart, and process" in refused.stderr
    assert "nothing was changed" in refused.stderr.lower()
    configure(place, most=1)
    printed = place.product.procman("stop", "--draining", "redis").stdout
    assert "trials-redis: stopped 1 draining" in printed
    assert "signalled" in printed
    assert draining(place, "redis") == []
    assert place.product.status()[name_of("redis")]["pid"] == worker


@pytest.mark.usefixtures("deployed")
def test_program_without_overlap_is_refused_by_name(place: Ground) -> None:
    configure(place, ("redis",))
    text = place.product.configuration.read_text().replace("overlap = true\n", "").replace("overlap_max = 3\n", "")
    place.product.configuration.write_text(text)
    place.product.procman("install")
    done = place.product.procman("restart", "--overlap", "redis", check=False)
    assert done.returncode == 1
    assert "trials-redis cannot overlap" in done.stderr


@pytest.mark.usefixtures("deployed")
def test_killed_supervisord_leaves_the_drainers_and_the_next_one_starts_beside_them(place: Ground) -> None:
    configure(place, ("redis",))
    place.product.procman("install")
    (place.store.data / "told").unlink(missing_ok=True)
    place.send([Message("orphaned", "trials.hold_until_told", "redis", "redis")])
    eventually(lambda: any(run.task_id == "orphaned" for run in place.store.runs()), "the task is running")
    os.kill(place.product.supervisord_pid(), signal.SIGKILL)
    place.product.procman("start")
    place.send([Message("after", "trials.hold", "redis", "redis", (0.01,))])
    eventually(lambda: any(run.task_id == "after" for run in place.store.runs()), "the next worker consumes")
    place.store.tell()

    def has_ended() -> bool:
        return all(run.has_ended for run in place.store.runs() if run.task_id == "orphaned")

    eventually(has_ended, "the task has ended")
    assert len([run for run in place.store.runs() if run.task_id == "orphaned"]) == 1


@pytest.mark.usefixtures("deployed")
def test_rollback_and_uninstall_in_the_middle_of_an_overlap(place: Ground) -> None:
    for number in "12":
        configure(place, ("redis",), TRIAL_STILL_MORE=number)
        place.product.procman("install")
    (place.store.data / "told").unlink(missing_ok=True)
    place.send([Message("interrupted", "trials.hold_until_told", "redis", "redis")])
    eventually(lambda: any(run.task_id == "interrupted" for run in place.store.runs()), "the task is running")
    place.product.procman("restart", "--overlap", "--no-check")
    assert "restarted by an overlap" in place.product.procman("rollback").stdout

    def of_drainers() -> list[str]:
        return [task["id"] for each in draining(place, "redis") for task in each["tasks"]]

    eventually(lambda: of_drainers() == ["interrupted"], lambda: f"the task is the only one: {of_drainers()}")
    place.product.procman("uninstall")
    assert place.product.processes() == []
