"""Overlap restarts under systemd, in the strict sandbox, with an environment file that only root can read.

test_overlap_deploys.py: in the default one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest

from tests.contracts.trials.ground import Run, Store

from .catmaid import SECRET, VIRTUALENV, Project, show
from .machine import Host
from .trials import copy_trials

CODE, DATA, SECRETS = "/opt/trials", "/srv/trials", "/etc/laps.env"
URL = f"amqp://catmaid:{SECRET}@localhost:5672//"
UNIT, PROGRAM, FROZEN = "laps-crop.service", "laps-crop", "laps-frozen.service"
COPY = "/run/laps-crop.environment"

TOML = f"""
[project]
name = "laps"
app = "trial_app"
directory = "{CODE}"
virtualenv = "{VIRTUALENV}"
user = "www-data"
backend = "systemd"
environment_file = "{SECRETS}"
writable_paths = ["{DATA}"]

[environment]
TRIAL_DATA = "{DATA}"

[health]
heartbeat_seconds = 1
watchdog_seconds = 10

[systemd]
sandbox = "strict"

[worker.crop]
overlap = true
queues = ["laps"]
concurrency = 2
start_seconds = 0
stop_timeout_seconds = 5
memory_max_mib = 1000

[worker.crop.environment]
TRIAL_WORKER = "crop"

[worker.frozen]
overlap = true
queues = ["frozen-laps"]
concurrency = 1
start_seconds = 0
stop_timeout_seconds = 5
"""


class Laps:
    """The installed project."""

    def __init__(self, project: Project) -> None:
        self.project, self.host = project, project.host
        self.store = Store(self.host.path(DATA))
        self.frozen = ""
        """The keeper of another worker, frozen before the first test because the watchdog takes its time."""

    def runs(self, task_id: str) -> list[Run]:
        self.store.data = self.host.path(DATA)
        return [run for run in self.store.runs() if run.task_id == task_id]

    def send(self, *ids: str, task: str = "trials.hold_until_told", arguments: Sequence[object] = ()) -> None:
        asked = [
            {"id": each, "task": task, "broker": URL, "queue": "laps", "arguments": list(arguments), "options": {}}
            for each in ids
        ]
        environment = {"TRIAL_DATA": DATA, "TRIAL_BROKER": URL, "PYTHONPATH": CODE}
        command = [f"{VIRTUALENV}/bin/python", "-m", "trial_broker", "send"]
        self.host.run(command, input=json.dumps(asked), environment=environment)

    def hold(self, task_id: str) -> None:
        """Let the worker run a task that ends when a test lets it."""
        self.host.path(f"{DATA}/told").unlink(missing_ok=True)
        self.send(task_id)
        self.host.wait_for(lambda: self.runs(task_id), 60, f"{task_id} runs")

    def tell(self) -> None:
        self.host.run(["touch", f"{DATA}/told"])

    def draining(self) -> list[int]:
        return [each["pid"] for each in self.project.status()[PROGRAM]["draining"]]

    def worker(self) -> int:
        return int(self.project.status()[PROGRAM]["pid"])

    def environment_of(self, pid: int) -> dict[str, str]:
        text = self.host.run(["cat", f"/proc/{pid}/environ"]).stdout
        return dict(each.split("=", 1) for each in text.split("\0") if "=" in each)


def freeze_keeper(host: Host) -> str:
    """Freeze the keeper of the other worker; return its process."""
    keeper = show(host, FROZEN, "MainPID")["MainPID"]
    host.run(["kill", "-STOP", keeper])
    return keeper


@pytest.fixture(scope="module")
def laps(stocked: Host) -> Iterator[Laps]:
    copy_trials(stocked, CODE, DATA)
    stocked.write(SECRETS, f"TRIAL_BROKER={URL}\nPASSWORD_OF_DATABASE=old\n", mode=0o600)
    project = Project(stocked, "laps", TOML)
    project.procman("install", "--no-check", "--wait", "60")
    made = Laps(project)
    made.frozen = freeze_keeper(stocked)
    yield made
    project.procman("uninstall", "--purge")
    assert not stocked.path(COPY).exists()


def test_reload_starts_the_successor_first_and_hands_over_the_changed_environment_file(laps: Laps) -> None:
    laps.hold("first")
    keeper, before = show(laps.host, UNIT, "MainPID")["MainPID"], laps.worker()
    laps.host.write(SECRETS, f"TRIAL_BROKER={URL}\nPASSWORD_OF_DATABASE=another\n", mode=0o600)
    laps.host.run(["systemctl", "reload", UNIT], timeout=120)
    after = laps.worker()
    assert show(laps.host, UNIT, "MainPID", "ActiveState") == {"MainPID": keeper, "ActiveState": "active"}
    assert laps.draining() == [before]
    assert laps.environment_of(before)["PASSWORD_OF_DATABASE"] == "old"
    assert laps.environment_of(after)["PASSWORD_OF_DATABASE"] == "another"
    assert "NOTIFY_SOCKET" not in laps.environment_of(after)
    assert laps.host.run(["stat", "-c", "%a %U", SECRETS]).stdout.split() == ["600", "root"]
    assert laps.host.run(["stat", "-c", "%a %U", COPY]).stdout.split() == ["400", "www-data"]
    assert "another" not in laps.host.run(["systemctl", "show", UNIT]).stdout


def test_task_outlives_the_stop_timeout_and_a_second_overlap(laps: Laps) -> None:
    printed = laps.project.procman("restart", "--overlap", "--no-check", "crop").stdout
    assert printed == "laps-crop: restarted by an overlap\n"
    laps.send("short", task="trials.hold", arguments=[0.01])
    laps.host.wait_for(lambda: laps.runs("short"), 30, "the successor works")
    laps.tell()
    laps.host.wait_for(lambda: not laps.draining(), 30, "the task has ended")
    assert [run.has_ended for run in laps.runs("first")] == [True]


def test_memory_limit_covers_every_process(laps: Laps) -> None:
    assert show(laps.host, UNIT, "MemoryMax") == {"MemoryMax": str(3000 * 1024**2)}


def written(laps: Laps, *what: str) -> list[tuple[str, str]]:
    """Return what the worker's events of these kinds are, and who wrote them."""
    found = map(json.loads, laps.project.procman("events", "--json", "crop").stdout.splitlines())
    return [(each["what"], each["by"]) for each in found if each["what"] in what]


def test_reload_with_broken_code_fails_and_the_worker_stays(laps: Laps) -> None:
    before = laps.worker()
    app = laps.host.path(f"{CODE}/trial_app.py")
    text = app.read_text()
    app.write_text("raise RuntimeError('broken on purpose')\n" + text)
    try:
        done = laps.host.run(["systemctl", "reload", UNIT], check=False, timeout=120)
    finally:
        app.write_text(text)
    assert done.returncode != 0
    assert laps.worker() == before
    assert show(laps.host, UNIT, "ActiveState") == {"ActiveState": "active"}
    assert written(laps, "overlapped", "overlap failed") == [
        ("overlapped", "inside"),
        ("overlapped", "root"),
        ("overlap failed", "inside"),
    ]
    failed = laps.project.status()[PROGRAM]["overlap_failed"]
    assert failed["outcome"] == "failed"
    assert "before it was healthy" in failed["reason"]


def test_order_that_systemd_does_not_pass_on_without_the_environment_file_is_reported(laps: Laps) -> None:
    before = laps.worker()
    laps.host.run(["mv", SECRETS, f"{SECRETS}.gone"])
    try:
        done = laps.project.procman("restart", "--overlap", "--no-check", "crop", check=False)
    finally:
        laps.host.run(["mv", f"{SECRETS}.gone", SECRETS])
    assert done.returncode == 1
    assert "systemd's reload failed (exit-code) before its keeper had the order" in done.stdout + done.stderr
    assert f"cannot stat '{SECRETS}'" in done.stdout + done.stderr
    assert laps.worker() == before


def test_killed_worker_is_started_again_by_systemd(laps: Laps) -> None:
    before = laps.worker()
    laps.host.run(["kill", "-KILL", str(before)])
    laps.host.wait_for(lambda: laps.project.state(PROGRAM) == "RUNNING" and laps.worker() != before, 60, "it is back")
    events = map(json.loads, laps.project.procman("events", "--json", "crop").stdout.splitlines())
    ended = [event["reason"] for event in events if event["what"] == "ended"]
    assert ended == ["killed by SIGKILL (cause unknown)"], "that of the worker, and none of its keeper"


def test_killed_keeper_takes_its_workers_with_it_and_their_tasks_are_lost(laps: Laps) -> None:
    laps.hold("lost")
    laps.host.run(["systemctl", "reload", UNIT], timeout=120)
    laps.host.run(["systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT])
    laps.host.wait_for(lambda: laps.project.state(PROGRAM) == "RUNNING", 60, "it is back")
    assert laps.draining() == []
    printed = json.loads(laps.project.procman("lost", "--json", "crop", check=False).stdout)
    assert [(task["id"], task["ended"]) for task in printed["tasks"]] == [("lost", "killed by SIGKILL (cause unknown)")]
    laps.tell()


def test_stop_in_the_middle_lists_what_it_cuts_and_ends_every_process(laps: Laps) -> None:
    # A task that is acknowledged late is handed back, and so the stop takes no longer than its stop timeout.
    laps.send("cut", task="trials.late", arguments=[600])
    laps.host.wait_for(lambda: laps.runs("cut"), 60, "the task runs")
    laps.host.run(["systemctl", "reload", UNIT], timeout=120)
    done = laps.project.procman("stop", "crop", check=False)
    assert "trials.late cut" in done.stderr
    assert "cut after 5 s" in done.stderr
    assert show(laps.host, UNIT, "ActiveState")["ActiveState"] in ("inactive", "failed")
    assert laps.host.run(["pgrep", "-f", PROGRAM], check=False).stdout == ""


def test_frozen_keeper_has_been_restarted_by_the_watchdog(laps: Laps) -> None:
    earlier = ("0", laps.frozen)
    laps.host.wait_for(lambda: show(laps.host, FROZEN, "MainPID")["MainPID"] not in earlier, 150, "it is back")
    laps.host.wait_for(lambda: laps.project.state("laps-frozen") == "RUNNING", 60, "it runs")
