"""The wall clock is set back by an hour under both process managers: no alarm, no restart, no wrong age.

set_clock.c does this for procman, its watcher, supervisord, worker and beat, because the host shares the machine's
clock. CLOCK_MONOTONIC and the times of files do not change, as when a real clock is set.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procman.agent.heartbeat_format import read

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project, send
from .machine import Host
from .projects import side_by_side

STALE, STALL, FAILURES, INTERVAL = 4, 4, 2, 1
LONG_ENOUGH = 2 * (STALE + STALL + FAILURES * INTERVAL)
"""Twice what it takes until something is found and healed."""
TASK_SECONDS = 15
"""How much longer a task runs, for what is looked at before and afterwards."""
SOON = 90.0
HOUR = 3600

CLOCK = "/etc/set-clock"
BROKER = f"amqp://catmaid:{SECRET}@localhost:5672//"
LIBRARY = "/usr/local/lib/set-clock.so"
FAKED = {"LD_PRELOAD": LIBRARY}

TOML = f"""
[project]
name = "{{name}}"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
{{scope}}

[environment]
DEMO_DATA_DIRECTORY = "{{data}}"
LD_PRELOAD = "{LIBRARY}"

[health]
procman = "/usr/local/bin/procman"
heartbeat_seconds = 1
stale_seconds = {STALE}
stall_seconds = {STALL}
interval_seconds = {INTERVAL}
failures = {FAILURES}

[defaults.program]
start_seconds = 1

[worker.celery]
queues = ["{{name}}"]
concurrency = 1

[beat]
max_interval_seconds = 1
"""

SYSTEM = f"""
backend = "systemd"
user = "www-data"
environment_file = "/etc/catmaid/celery.env"
writable_paths = ["{DATA}"]
"""
USER = """
scope = "user"
environment_file = "/etc/catmaid/celery.env"
"""

wait_for = Host.wait_for


class Faked(Project):
    """A project whose programs, and the procman that checks them, use the clock in the file CLOCK."""

    def __init__(self, host: Host, name: str, scope: str, home: str, data: str, state: str) -> None:
        self.environment = {"HOME": home}
        self.state_directory = state
        super().__init__(host, name, TOML.format(name=name, scope=scope, data=data))

    def procman(self, *words: str, check: bool = True, timeout: float = 120, **_: Any) -> Any:
        """Run procman with the same clock as the programs."""
        argv = ["procman", "--config", self.configuration, *words]
        done = self.host.run(argv, timeout=timeout, check=check, environment={**self.environment, **FAKED})
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def heartbeat(self, program: str) -> dict[str, Any]:
        return read(self.host.run(["cat", f"{self.state_directory}/{self.name}/run/{program}/heartbeat.json"]).stdout)

    def unsound(self) -> list[str]:
        document = json.loads(self.procman("health", "--json", check=False).stdout)
        results = [*document["results"], *(each for program in document["programs"] for each in program["results"])]
        # The other project's beat uses the same broker, and runs as root.
        bad = [each for each in results if each["level"] != "OK" and each["code"] != "PM110"]
        return [f"{each['code']} {each['level']}: {each['detail']}" for each in bad]

    def is_valid(self) -> bool:
        return self.unsound() == []

    def pids(self) -> dict[str, int]:
        return {name: each["pid"] for name, each in self.status().items()}

    def reported(self) -> list[str]:
        lines: list[str] = self.procman("events", "-n", "1000").stdout.splitlines()
        return [line for line in lines if "PM110" not in line and "beat of mysite also runs" not in line]

    def is_busy(self) -> bool:
        return bool(self.heartbeat(f"{self.name}-celery")["tasks"])

    def age(self, pid: int) -> float:
        """Return the age of a process by a clock that cannot be set."""
        return float(self.host.run(["ps", "-o", "etimes=", "-p", str(pid)]).stdout)


def under_systemd(host: Host) -> Faked:
    # The watcher is a procman command, which does not use [environment].
    drop_in = f"[Service]\nRestartSec=1\nEnvironment=LD_PRELOAD={LIBRARY}\n"
    host.write("/etc/systemd/system/early-.service.d/clock.conf", drop_in)
    project = Faked(host, "early", SYSTEM, "/root", DATA, "/var/lib/procman")
    project.procman("install", "--no-check", timeout=180)
    wait_for(project.is_valid, SOON, "all are sound")
    return project


def under_supervisor(host: Host) -> Faked:
    home = "/srv/late"
    project = Faked(host, "late", USER, home, f"{home}/data", f"{home}/.local/state/procman")
    project.procman("install", "--no-check", timeout=180)
    # procman starts supervisord with a separate environment, and the watcher inherits supervisord's.
    main = f"{home}/.config/procman/supervisor/supervisord.conf"
    host.run(f"/opt/procman/bin/supervisorctl -c {main} shutdown", environment=project.environment)
    wait_for(lambda: host.run(["pgrep", "-f", f"supervisord -c {main}"], check=False).returncode == 1, SOON, "it ends")
    host.run(["/opt/procman/bin/supervisord", "-c", main], environment={**project.environment, **FAKED})
    wait_for(project.is_valid, SOON, "all are sound")
    return project


@pytest.fixture(scope="module")
def faked(stocked: Host) -> Iterator[list[Faked]]:
    stocked.write("/opt/set_clock.c", Path(__file__).with_name("set_clock.c").read_text())
    stocked.run(["tcc", "-shared", "-nostdlib", "-o", LIBRARY, "/opt/set_clock.c"])
    stocked.write(CLOCK, "0\n")
    projects: list[Faked] = []
    side_by_side(*(lambda make=make: projects.append(make(stocked)) for make in (under_systemd, under_supervisor)))
    yield projects
    stocked.write(CLOCK, "0\n")
    side_by_side(*(partial(project.procman, "uninstall", "--purge", timeout=180) for project in projects))
    stocked.run("rm -r /etc/systemd/system/early-.service.d")


def test_clock_set_back_causes_no_alarm_and_no_wrong_age(faked: list[Faked]) -> None:
    host = faked[0].host
    for project in faked:
        send(host, "counting.tasks.hold", [52000, LONG_ENOUGH + TASK_SECONDS], queue=project.name)
    for project in faked:
        wait_for(project.is_busy, SOON, "the task runs")
        wait_for(project.is_valid, SOON, "all are sound")
    before = [(each.pids(), each.reported(), each.heartbeat(f"{each.name}-celery")["tasks"]) for each in faked]
    host.write(CLOCK, f"-{HOUR}\n")
    end, found = time.monotonic() + LONG_ENOUGH, set()
    while time.monotonic() < end:
        found |= {line for project in faked for line in project.unsound()}
        time.sleep(1)
    assert found == set()
    for project, (pids, reported, tasks) in zip(faked, before, strict=True):
        heartbeat = project.heartbeat(f"{project.name}-celery")
        assert time.time() - heartbeat["wall"] == pytest.approx(HOUR, abs=60), "its clock was set back"
        assert (heartbeat["tasks"], project.reported(), project.pids()) == (tasks, reported, pids)
        for name, each in project.status().items():
            assert each["restart_due"] is None, name
            if each["pid"]:
                assert each["uptime_seconds"] == pytest.approx(project.age(each["pid"]), abs=3), name
