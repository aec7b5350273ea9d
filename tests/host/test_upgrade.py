"""A running installation of the first release is upgraded by an install, rolled back and removed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from procman.agent import BESIDE_LAUNCHER, LAUNCHER
from tests.first_release import AGENT_FILES, AGENTS, HOME, unpacked

from .catmaid import DATA, Project, send, show
from .machine import Host
from .projects import START_SECONDS, side_by_side, wait_for

DATA_OF = {"old-systemd": DATA, "old-supervisor": f"{HOME}/data"}
ENVIRONMENT = {"old-systemd": {}, "old-supervisor": {"HOME": HOME}}
MAIN_FILE = f"{HOME}/.config/procman/supervisor/supervisord.conf"

TODAY = {LAUNCHER, *BESIDE_LAUNCHER}


class Old(Project):
    """A project installed by the first release, managed with the present procman."""

    def __init__(self, host: Host, name: str) -> None:
        self.environment: Mapping[str, str] = ENVIRONMENT[name]
        super().__init__(host, name, host.run(["cat", f"/etc/procman-{name}.toml"]).stdout)

    def procman(self, *words: str, check: bool = True, timeout: float = 120, **_: Any) -> Any:
        """Run procman as the user who installed the project."""
        argv = ["procman", "--config", self.configuration, *words]
        done = self.host.run(argv, timeout=timeout, check=check, environment=self.environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return the entries of `procman status` for worker and beat, by name."""
        return {name: each for name, each in self.status().items() if each["kind"] != "health"}

    def pids(self) -> dict[str, int]:
        return {name: each["pid"] for name, each in self.status().items()}

    def due(self) -> dict[str, str | None]:
        return {name: each["restart_due"] for name, each in self.status().items()}

    def is_healthy(self) -> bool:
        """Return whether all programs are running with healthy heartbeats."""
        states = {each["state"] for each in self.status().values()}
        found = {(each["health"]["level"], each["health"]["code"]) for each in self.workers().values()}
        return states == {"RUNNING"} and found == {("OK", "PM200")}

    def agent(self) -> set[str]:
        return set(self.host.run(["ls", AGENTS[self.name]]).stdout.split())

    def generation(self) -> int:
        return int(json.loads(self.procman("status", "--json", check=False).stdout)["generation"])

    def consumes(self, number: int) -> None:
        send(self.host, "counting.tasks.echo", [number], queue=self.name)
        finished = ["grep", "-qx", str(number), f"{DATA_OF[self.name]}/counted/finished"]
        done = partial(self.host.run, finished, check=False)
        wait_for(lambda: done().returncode == 0, START_SECONDS, f"task {number}")


@pytest.fixture(scope="module")
def projects(stocked: Host) -> Iterator[list[Old]]:
    """The recorded installations of the first release, restored and started by systemd and by supervisord."""
    stocked.path("/root").joinpath("first_release.tar").write_bytes(unpacked())
    # The shared state may already exist.
    stocked.run("tar -xpf /root/first_release.tar -C / --strip-components=1 --skip-old-files disk")
    stocked.run("systemctl daemon-reload && systemctl start old-systemd.target")
    stocked.run(["/opt/procman/bin/supervisord", "-c", MAIN_FILE], environment=ENVIRONMENT["old-supervisor"])
    projects = [Old(stocked, name) for name in AGENTS]
    for project in projects:
        wait_for(project.is_healthy, START_SECONDS, f"{project.name} is healthy")
    yield projects
    side_by_side(*(partial(project.procman, "uninstall", "--purge", check=False) for project in projects))


def test_programs_of_the_first_release_are_known(projects: list[Old]) -> None:
    for project in projects:
        assert project.agent() == AGENT_FILES
        assert set(project.due().values()) == {None}
        # Of beat, health reports that of the other project: the first release recorded no broker (PM110).
        assert project.procman("health", f"{project.name}-celery").returncode == 0
        held = {name: each["held"] and each["held"]["reason"] for name, each in project.workers().items()}
        assert held == {
            f"{project.name}-celery": None,
            f"{project.name}-celery-beat": "ordered under the first release",
        }


def test_an_upgrade_replaces_the_agent_and_restarts_nothing(projects: list[Old]) -> None:
    for number, project in enumerate(projects, 3000):
        before = project.pids()
        printed = project.procman("install", "--no-check", "--wait", "60")
        assert project.pids() == before, printed.stdout + printed.stderr
        assert project.agent() == TODAY
        assert project.generation() == 2
        for name, due in project.due().items():
            assert (due is None) is name.endswith("-health"), f"{name}: {due}"
            assert due is None or "the launcher is newer" in due
        assert "nothing changed" in project.procman("install", "--no-check").stdout
        # The old agent, whose files were removed, keeps running and its heartbeats are still read.
        project.consumes(number)
        assert project.is_healthy()
        assert project.pids() == before
    assert show(projects[0].host, "old-systemd-celery", "NeedDaemonReload") == {"NeedDaemonReload": "no"}


def test_a_restart_runs_the_new_agent(projects: list[Old]) -> None:
    side_by_side(*(partial(_is_restarted, project, number) for number, project in enumerate(projects, 3010)))


def test_a_roll_back_restores_the_agent_of_the_first_release(projects: list[Old]) -> None:
    for project in projects:
        before = project.pids()
        project.procman("rollback")
        assert project.agent() == AGENT_FILES
        assert project.pids() == before
    side_by_side(*(partial(_is_restarted, project, number) for number, project in enumerate(projects, 3020)))


def test_an_uninstall_leaves_nothing_of_either_release(projects: list[Old]) -> None:
    host = projects[0].host
    side_by_side(*(partial(project.procman, "uninstall", "--purge") for project in projects))
    for project in projects:
        assert host.run(["ls", AGENTS[project.name]], check=False).stdout == ""
        assert host.run(["pgrep", "-f", f"/{project.name}/"], check=False).stdout == ""
    assert host.run("find /etc/systemd /var/lib/procman -name 'old-systemd*'", check=False).stdout == ""
    left = host.run(["find", f"{HOME}/.config", f"{HOME}/.local", "-type", "f"], check=False).stdout.split()
    # From Python 3.13 on, dbm adds no suffix.
    assert [file.removesuffix(".db") for file in left] == [f"{HOME}/.local/share/old-supervisor/celerybeat-schedule"]


def _is_restarted(project: Old, number: int) -> None:
    before = {name: each["pid"] for name, each in project.workers().items()}
    project.procman("restart")
    wait_for(project.is_healthy, START_SECONDS, f"{project.name} is healthy")
    assert all(each["pid"] != before[name] for name, each in project.workers().items())
    assert set(project.due().values()) == {None}
    project.consumes(number)
