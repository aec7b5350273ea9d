"""The faults that the watcher's timer heals on a booted Debian with RabbitMQ, and those it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from procman.monitoring.checks.pool import ESTABLISHED_SECONDS, YOUNG_SECONDS

from .catmaid import DATA, PROJECTS, VIRTUALENV, Project, counted, send, show
from .machine import Host
from .projects import full_disk_is_a_warning, on_a_disk_of_its_own, results

STALE, STALL, FAILURES, RESTARTS = 4, 6, 2, 2

TOML = f"""
[project]
name = "cared"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/catmaid/celery.env"
writable_paths = ["{DATA}"]
after = ["rabbitmq-server.service"]

[environment]
DEMO_DATA_DIRECTORY = "{DATA}"
SLOW_CHILDREN_SECONDS = "{3 * STALL}"

[health]
procman = "/usr/local/bin/procman"
heartbeat_seconds = 1
stale_seconds = {STALE}
stall_seconds = {STALL}
watchdog_seconds = 60
interval_seconds = 1
failures = {FAILURES}
restarts_per_hour = {RESTARTS}
on_event = ["/usr/bin/tee", "-a", "/srv/cared-reported"]

[worker.frozen]
queues = ["frozen"]
concurrency = 1

[worker.cut]
queues = ["cut"]
concurrency = 1

[worker.large]
queues = ["large"]
concurrency = 1
memory_restart_mib = 10
autostart = false

[worker.slow]
queues = ["slow"]
concurrency = 1
extra_arguments = ["--include=exercise.ailing_children"]

[worker.busy]
queues = ["busy"]
concurrency = 1
stop_timeout_seconds = 5

[worker.stopped]
queues = ["stopped"]
concurrency = 1

[worker.single]
queues = ["single"]
concurrency = 1
max_tasks_per_child = 1

[worker.loading]
queues = ["loading"]
concurrency = 1
extra_arguments = ["--include=exercise.slow_children"]

[beat]
"""

WORKERS = tuple(f"cared-{name}" for name in ("frozen", "cut", "large", "slow", "busy", "stopped", "single", "loading"))
BEAT, HEALER = "cared-celery-beat", "cared-health"
SOON = 90.0
SLOW = f"{DATA}/cared-slow-is-slow"
LOADED, SINGLE = 3300, range(3301, 3309)
"""The numbers of tasks."""
LONG_ENOUGH = 2 * (STALE + 2 * FAILURES)

wait_for = Host.wait_for


class Cared:
    """The project, with queries for the tests."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.host = project.host
        self.pids = {name: self.pid(name) for name in (*WORKERS, BEAT)}

    def pid(self, program: str) -> int:
        return int(show(self.host, f"{program}.service", "MainPID")["MainPID"])

    def events(self, program: str) -> list[dict[str, Any]]:
        printed = self.project.procman("events", "--json", "-n", "1000", program).stdout
        return [json.loads(line) for line in printed.splitlines()]

    def reported(self, program: str) -> list[tuple[str, str]]:
        return [(event["what"], event["code"]) for event in self.events(program)]

    def results(self, program: str) -> dict[str, dict[str, Any]]:
        return results(self.project, program)

    def level(self, program: str, code: str) -> str:
        return str(self.results(program).get(code, {}).get("level"))

    def is_new(self, program: str) -> Callable[[], bool]:
        def probe() -> bool:
            found = self.project.status()[program]
            return found["state"] == "RUNNING" and found["pid"] not in (self.pids[program], None)

        return probe


@pytest.fixture(scope="module")
def cared(stocked: Host) -> Iterator[Cared]:
    # A pause of ten seconds after each restart would take most of the time here.
    stocked.write("/etc/systemd/system/cared-.service.d/soon.conf", "[Service]\nRestartSec=1\n")
    project = Project(stocked, "cared", TOML)
    # Waits while the pool starts.
    send(stocked, "counting.tasks.echo", [LOADED], queue="loading")
    project.procman("install", "--no-check", "--wait", "60", timeout=180)
    # Its memory may become critical before all others are healthy, and then an install fails.
    project.procman("start", "cared-large")
    cared = Cared(project)
    send(stocked, "counting.tasks.hold", *([number, 0.2] for number in SINGLE), queue="single")
    project.procman("stop", "cared-stopped")
    # Takes a minute to be found, and is checked at the end.
    stocked.run(f"touch {SLOW}; pkill -KILL -P {cared.pids['cared-slow']}")
    yield cared
    project.procman("uninstall", "--purge", timeout=180)
    stocked.run("rm -r /etc/systemd/system/cared-.service.d; rm -f /srv/cared-reported")
    left = stocked.run(
        "systemctl list-units --all --plain --no-legend 'cared*'; ls -d /var/lib/procman/cared", check=False
    )
    assert left.stdout == ""


def test_timer_is_shown_as_a_program_and_its_checks_succeed(cared: Cared) -> None:
    found = cared.project.status()[HEALER]
    assert (found["state"], found["wanted"], found["kind"]) == ("RUNNING", True, "health")

    def has_looked() -> bool:
        # Not by the properties of the unit, which are empty again while the next check runs.
        assert show(cared.host, f"{HEALER}.service", "Result")["Result"] == "success"
        return "Finished" in cared.host.run(["journalctl", "--no-pager", "-u", HEALER]).stdout

    wait_for(has_looked, SOON, "a look")
    assert "Traceback" not in cared.host.run(["journalctl", "--no-pager", "-u", HEALER]).stdout
    assert show(cared.host, f"{HEALER}.timer", "UnitFileState", "ActiveState")["ActiveState"] == "active"
    assert f"{HEALER}.timer" in show(cared.host, "cared.target", "Wants")["Wants"]


def test_frozen_main_process_is_killed_if_the_watchdog_does_not_end_it(cared: Cared) -> None:
    cared.host.run(["kill", "-STOP", str(cared.pids["cared-frozen"])])
    wait_for(cared.is_new("cared-frozen"), SOON, "a new process works")
    reported = cared.reported("cared-frozen")
    assert [each for each in reported if each[0] == "healing"] == [("healing", "PM201")] * 2
    wait_for(lambda: "healed" in dict(cared.reported("cared-frozen")), SOON, "the healing is over")
    # procman killed it, and not systemd's watchdog.
    log = cared.host.run(["journalctl", "--no-pager", "-u", "cared-frozen"]).stdout
    assert "Watchdog timeout" not in log
    send(cared.host, "counting.tasks.echo", [3000], queue="frozen")
    wait_for(lambda: counted(cared.host, "finished")[3000] == 1, SOON, "it consumes")


def test_too_much_memory_causes_graceful_restarts_up_to_the_limit(cared: Cared) -> None:
    wait_for(lambda: ("gave-up", "") in cared.reported("cared-large"), SOON, "it is restarted no more")
    events = [event for event in cared.events("cared-large") if event["what"] == "healing"]
    assert len(events) == RESTARTS
    assert {event["reason"] for event in events} == {"it uses more memory than memory_restart_mib (10 MiB)"}
    time.sleep(LONG_ENOUGH / 2)
    wait_for(lambda: cared.pid("cared-large") != 0, SOON, "it runs")
    before = cared.pid("cared-large")
    time.sleep(LONG_ENOUGH / 2)
    assert cared.pid("cared-large") == before


def test_broker_that_does_not_answer_causes_no_restart(cared: Cared) -> None:
    drop = "INPUT -i lo -p tcp --dport 5672 -j DROP"
    cared.host.run(f"iptables -A {drop}")
    try:
        is_reached = cared.host.run("timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/5672'", check=False)
        assert is_reached.returncode != 0
        # The worker notices this itself (PM203), or its queries get no answer (PM204).
        wait_for(
            lambda: "WARNING" in (cared.level("cared-cut", "PM203"), cared.level("cared-cut", "PM204")),
            5 * STALE + SOON,
            "it is reported",
        )
        time.sleep(LONG_ENOUGH)
        assert cared.pid("cared-cut") == cared.pids["cared-cut"]
        assert cared.pid(BEAT) == cared.pids[BEAT]
    finally:
        cared.host.run(f"iptables -D {drop}")
    wait_for(lambda: cared.level("cared-cut", "PM200") == "OK", SOON, "it is well again")
    send(cared.host, "counting.tasks.echo", [3100], queue="cut")
    wait_for(lambda: counted(cared.host, "finished")[3100] == 1, SOON, "it consumes")
    assert cared.pid("cared-cut") == cared.pids["cared-cut"]
    assert "healing" not in dict(cared.reported("cared-cut"))


def test_full_disk_of_the_heartbeat_is_a_warning_and_causes_no_restart(cared: Cared) -> None:
    full_disk_is_a_warning(cared.project, "cared-cut", STALE, LONG_ENOUGH)
    assert cared.pid("cared-cut") == cared.pids["cared-cut"]
    assert "healing" not in dict(cared.reported("cared-cut"))


def test_busy_worker_that_cannot_write_its_heartbeat_is_left_alone_and_writes_again(cared: Cared) -> None:
    """The causes one after another, each for longer than healing takes, during a single task."""
    host, task = cared.host, 3200
    send(host, "counting.tasks.hold", [task, 3600], queue="busy")
    wait_for(lambda: counted(host, "started")[task] == 1, SOON, "its task runs")
    with on_a_disk_of_its_own(cared.project, "cared-busy") as run:
        for cause, break_it, repair_it in (
            (f"{run} belongs to root, not to www-data", f"chown -R root: {run}", f"chown -R www-data: {run}"),
            (f"may not enter {Path(run).parent} (mode 0700)", f"chmod 700 {run}/..", f"chmod 755 {run}/.."),
            (f"{run} is on a read-only file system", f"mount -o remount,ro {run}", f"mount -o remount,rw {run}"),
        ):
            host.run(break_it)
            try:
                wait_for(lambda: cared.level("cared-busy", "PM206") == "WARNING", SOON, f"it is found: {break_it}")
                assert cause in cared.results("cared-busy")["PM206"]["detail"]
                time.sleep(LONG_ENOUGH / 2)
            finally:
                host.run(repair_it)
            wait_for(lambda: cared.level("cared-busy", "PM200") == "OK", SOON, f"it writes again: {repair_it}")
    assert cared.pid("cared-busy") == cared.pids["cared-busy"]
    assert "healing" not in dict(cared.reported("cared-busy"))


def test_held_program_is_not_healed_until_it_is_released(cared: Cared) -> None:
    cared.project.procman("hold", "cared-cut", "--for", "1h")
    cared.host.run(["kill", "-STOP", str(cared.pids["cared-cut"])])
    wait_for(lambda: ("found", "PM201") in cared.reported("cared-cut"), SOON, "it is found")
    time.sleep(LONG_ENOUGH / 2)
    assert cared.pid("cared-cut") == cared.pids["cared-cut"]
    cared.project.procman("release", "cared-cut")
    wait_for(cared.is_new("cared-cut"), SOON, "it is healed once it is released")


def test_unwritable_schedule_of_beat_is_reported_with_its_path(cared: Cared) -> None:
    directory = "/var/lib/cared"
    assert "found" not in [what for what, code in cared.reported(BEAT) if code == "PM403"]
    assert cared.results(BEAT)["PM403"]["level"] == "OK"
    cared.host.run(["chown", "root:root", directory])
    try:
        # Some kinds of dbm write in place, so that only a restart would fail.
        wait_for(lambda: cared.results(BEAT)["PM403"]["level"] in ("WARNING", "CRITICAL"), SOON, "it is found")
        assert directory in cared.results(BEAT)["PM403"]["detail"]
        time.sleep(LONG_ENOUGH / 2)
        assert cared.pid(BEAT) == cared.pids[BEAT]
    finally:
        cared.host.run(["chown", "www-data:www-data", directory])


def test_pool_whose_processes_start_too_slowly_is_reported_without_waiting_messages(cared: Cared) -> None:
    """A restart would not help, and `celery inspect ping` still succeeds."""
    try:
        found = ESTABLISHED_SECONDS + 2 * FAILURES
        wait_for(lambda: cared.level("cared-slow", "PM105") == "CRITICAL", found + SOON, "it is found")
        log = cared.host.run(["journalctl", "--no-pager", "-u", "cared-slow"]).stdout
        assert "Timed out waiting for UP message" in log
        time.sleep(LONG_ENOUGH / 2)
    finally:
        cared.host.run(["rm", SLOW])
    well = YOUNG_SECONDS + SOON
    wait_for(lambda: cared.level("cared-slow", "PM105") == "OK", well, "it is well again by itself")
    assert cared.pid("cared-slow") == cared.pids["cared-slow"]
    assert "healing" not in dict(cared.reported("cared-slow"))


def test_pool_that_starts_slowly_or_replaces_its_only_process_after_each_task_is_never_critical(cared: Cared) -> None:
    sent = {LOADED, *SINGLE}
    wait_for(lambda: sent <= counted(cared.host, "finished").keys(), SOON, "all tasks are done")
    for program in ("cared-loading", "cared-single"):
        assert [event for event in cared.events(program) if event["level"] == "CRITICAL"] == []
        assert cared.pid(program) == cared.pids[program]


def test_command_of_on_event_gets_every_event(cared: Cared) -> None:
    lines = cared.host.run(["cat", "/srv/cared-reported"]).stdout.splitlines()
    reported = [(event["program"], event["what"]) for event in map(json.loads, lines)]
    assert {("cared-large", "healing"), ("cared-large", "gave-up")} <= set(reported)


def test_program_that_was_stopped_on_purpose_stays_stopped(cared: Cared) -> None:
    found = cared.project.status()["cared-stopped"]
    assert (found["state"], found["wanted"]) == ("STOPPED", False)
    assert "healing" not in dict(cared.reported("cared-stopped"))
