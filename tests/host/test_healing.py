"""What the timer finds and heals on a booted Debian with RabbitMQ, and what it leaves alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from procman.monitoring.checks.pool import ESTABLISHED_SECONDS, YOUNG_SECONDS

from .catmaid import DATA, PROJECTS, VIRTUALENV, Project, counted, send, show
from .machine import Host
from .projects import full_disk_is_a_warning, results

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

[health]
procman = "/usr/local/bin/procman"
heartbeat_seconds = 1
stale_seconds = {STALE}
stall_seconds = {STALL}
watchdog_seconds = 60
interval_seconds = 1
failures = {FAILURES}
restarts_per_hour = {RESTARTS}
on_event = ["/usr/bin/tee", "-a", "/srv/cared-told"]

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

[worker.slow]
queues = ["slow"]
concurrency = 1
extra_arguments = ["--include=exercise.ailing_children"]

[worker.stopped]
queues = ["stopped"]
concurrency = 1

[beat]
"""

WORKERS = ("cared-frozen", "cared-cut", "cared-large", "cared-slow", "cared-stopped")
BEAT, HEALER = "cared-celery-beat", "cared-health"
SOON = 90.0
SLOW = f"{DATA}/cared-slow-is-slow"
LONG_ENOUGH = 2 * (STALE + 2 * FAILURES)

wait_for = Host.wait_for


class Cared:
    """What the tests ask of the project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.host = project.host
        self.pids = {name: self.pid(name) for name in (*WORKERS, BEAT)}

    def pid(self, program: str) -> int:
        return int(show(self.host, f"{program}.service", "MainPID")["MainPID"])

    def events(self, program: str) -> list[dict[str, Any]]:
        said = self.project.procman("events", "--json", "-n", "1000", program).stdout
        return [json.loads(line) for line in said.splitlines()]

    def told(self, program: str) -> list[tuple[str, str]]:
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
    # Ten seconds of rest after each restart would be most of the time here.
    stocked.write("/etc/systemd/system/cared-.service.d/soon.conf", "[Service]\nRestartSec=1\n")
    project = Project(stocked, "cared", TOML)
    project.procman("install", "--no-check", "--wait", "60", timeout=180)
    cared = Cared(project)
    project.procman("stop", "cared-stopped")
    # What takes a minute to be found, and is looked at in the end.
    stocked.run(f"touch {SLOW}; pkill -KILL -P {cared.pids['cared-slow']}")
    yield cared
    project.procman("uninstall", "--purge", timeout=180)
    stocked.run("rm -r /etc/systemd/system/cared-.service.d; rm -f /srv/cared-told")
    left = stocked.run(
        "systemctl list-units --all --plain --no-legend 'cared*'; ls -d /var/lib/procman/cared", check=False
    )
    assert left.stdout == ""


def test_timer_is_a_program_among_the_others_and_its_looks_succeed(cared: Cared) -> None:
    found = cared.project.status()[HEALER]
    assert (found["state"], found["wanted"], found["kind"]) == ("RUNNING", True, "health")

    def has_looked() -> bool:
        said = show(cared.host, f"{HEALER}.service", "Result", "ExecMainStatus", "ExecMainExitTimestampMonotonic")
        assert said["Result"] == "success"
        return said["ExecMainStatus"] == "0" and said["ExecMainExitTimestampMonotonic"] != "0"

    wait_for(has_looked, SOON, "a look")
    assert "Traceback" not in cared.host.run(["journalctl", "--no-pager", "-u", HEALER]).stdout
    assert show(cared.host, f"{HEALER}.timer", "UnitFileState", "ActiveState")["ActiveState"] == "active"
    assert f"{HEALER}.timer" in show(cared.host, "cared.target", "Wants")["Wants"]


def test_main_process_that_the_watchdog_has_not_found_yet_is_killed_in_the_end(cared: Cared) -> None:
    cared.host.run(["kill", "-STOP", str(cared.pids["cared-frozen"])])
    wait_for(cared.is_new("cared-frozen"), SOON, "a new process works")
    told = cared.told("cared-frozen")
    assert [each for each in told if each[0] == "healing"] == [("healing", "PM201")] * 2
    wait_for(lambda: "healed" in dict(cared.told("cared-frozen")), SOON, "the healing is over")
    # It was killed by procman, and not by systemd for its silence.
    log = cared.host.run(["journalctl", "--no-pager", "-u", "cared-frozen"]).stdout
    assert "Watchdog timeout" not in log
    send(cared.host, "counting.tasks.echo", [3000], queue="frozen")
    wait_for(lambda: counted(cared.host, "finished")[3000] == 1, SOON, "it consumes")


def test_too_much_memory_restarts_warm_and_not_more_often_than_allowed(cared: Cared) -> None:
    wait_for(lambda: ("gave-up", "") in cared.told("cared-large"), SOON, "it is restarted no more")
    events = [event for event in cared.events("cared-large") if event["what"] == "healing"]
    assert len(events) == RESTARTS
    assert {event["reason"] for event in events} == {"it uses more memory than memory_restart_mib (10 MiB)"}
    time.sleep(LONG_ENOUGH / 2)
    wait_for(lambda: cared.pid("cared-large") != 0, SOON, "it runs")
    before = cared.pid("cared-large")
    time.sleep(LONG_ENOUGH / 2)
    assert cared.pid("cared-large") == before


def test_broker_that_gives_no_answer_restarts_nothing(cared: Cared) -> None:
    drop = "INPUT -i lo -p tcp --dport 5672 -j DROP"
    cared.host.run(f"iptables -A {drop}")
    try:
        is_reached = cared.host.run("timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/5672'", check=False)
        assert is_reached.returncode != 0
        # The worker notices by itself (PM203), or by questions that get no answer (PM204).
        wait_for(
            lambda: "WARNING" in (cared.level("cared-cut", "PM203"), cared.level("cared-cut", "PM204")),
            5 * STALE + SOON,
            "it is told",
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
    assert "healing" not in dict(cared.told("cared-cut"))


def test_heartbeat_whose_disk_is_full_is_a_warning_and_no_reason_to_heal(cared: Cared) -> None:
    full_disk_is_a_warning(cared.project, "cared-cut", STALE, LONG_ENOUGH)
    assert cared.pid("cared-cut") == cared.pids["cared-cut"]
    assert "healing" not in dict(cared.told("cared-cut"))


def test_held_one_is_not_touched_and_released_one_is(cared: Cared) -> None:
    cared.project.procman("hold", "cared-cut", "--for", "1h")
    cared.host.run(["kill", "-STOP", str(cared.pids["cared-cut"])])
    wait_for(lambda: ("found", "PM201") in cared.told("cared-cut"), SOON, "it is found")
    time.sleep(LONG_ENOUGH / 2)
    assert cared.pid("cared-cut") == cared.pids["cared-cut"]
    cared.project.procman("release", "cared-cut")
    wait_for(cared.is_new("cared-cut"), SOON, "it is healed once it is released")


def test_schedule_that_beat_cannot_write_is_found_and_named(cared: Cared) -> None:
    directory = "/var/lib/cared"
    assert "found" not in [what for what, code in cared.told(BEAT) if code == "PM403"]
    assert cared.results(BEAT)["PM403"]["level"] == "OK"
    cared.host.run(["chown", "root:root", directory])
    try:
        # Some kinds of dbm write in place, and only a restart would fail.
        wait_for(lambda: cared.results(BEAT)["PM403"]["level"] in ("WARNING", "CRITICAL"), SOON, "it is found")
        assert directory in cared.results(BEAT)["PM403"]["detail"]
        time.sleep(LONG_ENOUGH / 2)
        assert cared.pid(BEAT) == cared.pids[BEAT]
    finally:
        cared.host.run(["chown", "www-data:www-data", directory])


def test_pool_whose_processes_are_killed_for_a_slow_start_is_told_of_although_nothing_waits(cared: Cared) -> None:
    """A restart would not help; and `celery inspect ping` is answered."""
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
    assert "healing" not in dict(cared.told("cared-slow"))


def test_command_is_told_of_every_event(cared: Cared) -> None:
    lines = cared.host.run(["cat", "/srv/cared-told"]).stdout.splitlines()
    told = [(event["program"], event["what"]) for event in map(json.loads, lines)]
    assert {("cared-large", "healing"), ("cared-large", "gave-up")} <= set(told)


def test_program_that_was_stopped_on_purpose_stays_stopped(cared: Cared) -> None:
    found = cared.project.status()["cared-stopped"]
    assert (found["state"], found["wanted"]) == ("STOPPED", False)
    assert "healing" not in dict(cared.told("cared-stopped"))
