"""Rollbacks under systemd: a failed change, a failed move, and a change of only the target."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .catmaid import DATA, PROJECTS, VIRTUALENV, Project, show
from .machine import Host

TOML = """
[project]
name = "back"
app = "mysite"
directory = "/opt"
virtualenv = "/opt/procman"
user = "www-data"
backend = "systemd"

[defaults.program]
start_seconds = 1
launcher = false
"""

WORKER = f"""
[project]
name = "checked"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/catmaid/celery.env"
writable_paths = ["{DATA}"]

[environment]
DEMO_DATA_DIRECTORY = "{DATA}"

[worker.celery]
queues = ["checked"]
concurrency = 1
"""

EMBEDDED = '\n[supervisor]\nmode = "embedded"\n'

DIES = ["/bin/sh", "-c", "echo the reason; exit 3"]


def toml(*, a: int, b: int, more: str = "") -> str:
    """Return a procman.toml with two commands that sleep; with 0, one that prints a reason and exits."""
    argvs = {name: ["/bin/sleep", str(value)] if value else DIES for name, value in {"a": a, "b": b}.items()}
    return TOML + "".join(f"\n[command.{name}]\nargv = {json.dumps(argv)}\n" for name, argv in argvs.items()) + more


@pytest.fixture(scope="module")
def back(stocked: Host) -> Iterator[Project]:
    """A project with two commands under systemd."""
    project = Project(stocked, "back", toml(a=1000, b=1000))
    project.procman("install", "--no-check", "--wait", "60")
    yield project
    project.procman("uninstall", "--purge")


def pid(host: Host, name: str) -> str:
    return show(host, f"back-{name}.service", "MainPID")["MainPID"]


def test_change_of_only_the_target_is_applied_at_once(back: Project) -> None:
    before = pid(back.host, "b")
    back.write(toml(a=1000, b=1000, more="autostart = false\n"))
    back.procman("install", "--no-check", "--wait", "60")
    assert show(back.host, "back.target", "Wants", "NeedDaemonReload") == {
        "Wants": "back-a.service",
        "NeedDaemonReload": "no",
    }
    assert pid(back.host, "b") == before
    assert "in sync" in back.procman("status").stdout


def test_failed_unit_is_rolled_back_and_the_other_keeps_running(back: Project) -> None:
    back.write(toml(a=1000, b=1000))
    back.procman("install", "--no-check", "--wait", "60")
    before = pid(back.host, "a")
    back.write(toml(a=1000, b=0))
    failed = back.procman("install", "--no-check", "--wait", "4", check=False)
    assert failed.returncode == 1
    assert "the reason" in failed.stderr
    assert "Now running: back-a, back-b." in failed.stderr
    assert pid(back.host, "a") == before
    assert "/bin/sleep 1000" in show(back.host, "back-b.service", "ExecStart")["ExecStart"]


def test_failed_move_is_undone_and_stopped_programs_stay_stopped(back: Project) -> None:
    back.write(toml(a=1000, b=1000))
    back.procman("install", "--no-check", "--wait", "60")
    back.procman("stop", "a")
    back.write(toml(a=1000, b=0, more=EMBEDDED).replace('backend = "systemd"', 'backend = "supervisor"'))
    failed = back.procman("install", "--no-check", "--wait", "4", check=False)
    assert failed.returncode == 1
    assert "Rolled back to generation" in failed.stderr
    found = back.status()
    assert {name: (each["state"], each["wanted"]) for name, each in found.items()} == {
        "back-a": ("STOPPED", False),
        "back-b": ("RUNNING", True),
    }
    assert pid(back.host, "b") != "0"
    assert back.host.run(["pgrep", "-f", "/etc/procman/back/"], check=False).stdout == ""
    assert show(back.host, "back.target", "UnitFileState")["UnitFileState"] == "enabled"


def test_invalid_settings_module_is_refused_with_the_last_line_of_its_traceback(stocked: Host) -> None:
    stocked.write(f"{PROJECTS}/broken.py", "from exercise.settings import *\nLOST = MEDIA_ROOOT\n")
    project = Project(stocked, "checked", WORKER.replace("exercise.settings", "broken"))

    def is_refused() -> None:
        refused = project.procman("install", "--wait", "60", check=False)
        assert refused.returncode == 1
        assert "NameError: name 'MEDIA_ROOOT' is not defined" in refused.stderr
        assert "nothing was changed" in refused.stderr

    is_refused()
    assert project.procman("history", check=False).returncode == 1
    project.write(WORKER)
    project.procman("install", "--wait", "60")
    before = show(stocked, "checked-celery.service", "MainPID")
    project.write(WORKER.replace("exercise.settings", "broken"))
    is_refused()
    assert show(stocked, "checked-celery.service", "MainPID") == before
    assert "generation 1" in project.procman("status").stdout
    project.procman("uninstall", "--purge")
