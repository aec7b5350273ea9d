"""The launch of each program, which is the same under supervisord, under systemd and by hand."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from procman.agent import BESIDE_LAUNCHER
from procman.agent.settings import HealthSettings as AgentSettings
from procman.agent.settings import handback_delay, read_settings
from procman.config.read_programs import DEFAULT_STOP_TIMEOUT_SECONDS
from procman.install.state.holds import hold_path
from procman.launch import (
    agent_source,
    launch_of,
    launcher_files,
    launcher_path,
    marker,
    owner_of,
)
from procman.model import HealthSettings, Scope, setting
from procman.project import Launch, Project, Worker
from procman.records import record
from procman.subprocesses import SYSTEM_PATH
from tests.config.documents import HOME, PROJECT, read, read_rest

SITE = """settings = "mysite.settings"
group = "staff"
backend = "systemd"
environment_file = "/etc/catmaid/env"
python_path = ["/opt/lib", "/opt/more"]
[environment]
A = "1"
[worker.celery]
umask = "027"
nice = 5
[command.flower]
argv = ["celery", "-A", "mysite", "flower"]
[beat]
"""
LAUNCHER = "/usr/local/lib/procman/catmaid/launcher.py"


@pytest.fixture
def site(tmp_path: Path) -> Project:
    return read_rest(tmp_path, SITE)


def launches(project: Project) -> dict[str, Launch]:
    return {program.key: launch_of(project, program) for program in project.programs}


def test_complete_launch_of_a_worker(site: Project) -> None:
    assert launches(site)["worker.celery"] == Launch(
        argv=(
            *("/opt/env/bin/python", LAUNCHER),
            *("-A", "mysite", "worker", "-l", "info", "-n", "catmaid-celery@%h"),
        ),
        environment={
            "VIRTUAL_ENV": "/opt/env",
            "PATH": f"/opt/env/bin:{SYSTEM_PATH}",
            "PYTHONPATH": "/opt/catmaid:/opt/lib:/opt/more",
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "A": "1",
            "PROCMAN_PROGRAM": "catmaid-celery",
            "PROCMAN_KIND": "worker",
            "PROCMAN_DIRECTORY": "/opt/catmaid",
            "PROCMAN_RUN_DIRECTORY": "/var/lib/procman/catmaid/run/catmaid-celery",
            "PROCMAN_ENVIRONMENT_FILE": "/etc/catmaid/env",
            "PROCMAN_HEARTBEAT_SECONDS": "5",
            "PROCMAN_STALE_SECONDS": "30",
            "PROCMAN_STALL_SECONDS": "300",
            "PROCMAN_INTERVAL_SECONDS": "30",
            "PROCMAN_FAILURES": "3",
            "PROCMAN_HEAL": "1",
            "PROCMAN_RESTARTS_PER_HOUR": "3",
            "PROCMAN_HOLD_FILE": "/var/lib/procman/catmaid/holds/catmaid-celery.json",
        },
        environment_file=Path("/etc/catmaid/env"),
        directory=Path("/opt/catmaid"),
        user="www-data",
        group="staff",
        umask=0o027,
        nice=5,
    )


def test_launcher_starts_beat_and_commands_too(site: Project) -> None:
    found = launches(site)
    assert found["beat"].argv == (
        *("/opt/env/bin/python", LAUNCHER, "-A", "mysite", "beat", "-l", "info", "--pidfile="),
        *("-s", "/var/lib/catmaid/celerybeat-schedule"),
    )
    assert found["command.flower"].argv == ("/opt/env/bin/python", LAUNCHER, "celery", "-A", "mysite", "flower")
    assert [found[key].environment["PROCMAN_KIND"] for key in ("beat", "command.flower")] == ["beat", "command"]


def test_plain_command_without_the_launcher(tmp_path: Path) -> None:
    text = SITE.replace('environment_file = "/etc/catmaid/env"', "") + "[defaults.program]\nlauncher = false\n"
    found = launches(read_rest(tmp_path, text))
    assert found["worker.celery"].argv == (
        *("celery", "-A", "mysite", "worker", "-l", "info", "-n", "catmaid-celery@%h"),
    )
    assert found["beat"].argv[:4] == ("celery", "-A", "mysite", "beat")
    assert found["command.flower"].argv == ("celery", "-A", "mysite", "flower")
    own = {key: [name for name in launch.environment if "PROCMAN_" in name] for key, launch in found.items()}
    assert {key: names for key, names in own.items() if names} == {"command.flower": ["PROCMAN_INSTANCE"]}


COMMAND = """
environment_file = "/etc/catmaid/env"
[command.web]
argv = ["daphne", "-p", "80{instance:02}"]
instances = 2
first_instance = 0
directory = "/srv/web"
user = "web"
environment_file = "/etc/web/env"
[command.web.environment]
PORT = "80{instance}"
[environment]
PATTERN = "{instance}"
"""


def test_command_may_have_its_own_user_directory_environment_file_and_number(tmp_path: Path) -> None:
    project = read_rest(tmp_path, COMMAND)
    [zero, one] = [launch_of(project, program) for program in project.programs]
    assert (one.user, one.group, str(one.directory), str(one.environment_file)) == (
        *("web", None, "/srv/web", "/etc/web/env"),
    )
    assert [zero.argv[-1], one.argv[-1]] == ["8000", "8001"]
    assert [one.environment[name] for name in ("PORT", "PROCMAN_INSTANCE", "PATTERN")] == ["801", "1", "{instance}"]
    assert one.environment["PROCMAN_DIRECTORY"] == "/srv/web"
    assert one.environment["PROCMAN_ENVIRONMENT_FILE"] == "/etc/web/env"
    assert [program.name for program in project.programs] == ["catmaid-web-0", "catmaid-web-1"]


def test_reload_command_that_systemd_runs_without_the_launcher_has_the_number(tmp_path: Path) -> None:
    (launch,) = launches(read_rest(tmp_path, "[command.web]\nargv = ['x']\nreload_command = ['y']")).values()
    assert launch.environment["PROCMAN_INSTANCE"] == "1"


def test_unset_keys_set_no_variables(tmp_path: Path) -> None:
    (launch,) = launches(read_rest(tmp_path, "[worker.celery]")).values()
    assert "DJANGO_SETTINGS_MODULE" not in launch.environment
    assert "PROCMAN_ENVIRONMENT_FILE" not in launch.environment
    assert launch.environment["PYTHONPATH"] == "/opt/catmaid"
    assert (launch.environment_file, launch.group, launch.umask, launch.nice) == (None, None, 0o022, 0)


def test_instances_differ_only_in_name_and_directory(tmp_path: Path) -> None:
    project = read_rest(tmp_path, "[worker.celery]\ninstances = 2")
    one, two = (launch_of(project, program) for program in project.programs)
    assert [each.argv[-1] for each in (one, two)] == ["catmaid-celery-1@%h", "catmaid-celery-2@%h"]
    assert {name for name in one.environment if one.environment[name] != two.environment[name]} == {
        "PROCMAN_PROGRAM",
        "PROCMAN_RUN_DIRECTORY",
        "PROCMAN_HOLD_FILE",
    }


def test_own_path_follows_the_virtualenv(tmp_path: Path) -> None:
    rest = '[environment]\nPATH = "/opt/bin:/bin"\nLANG = "de_DE.UTF-8"\nPYTHONUNBUFFERED = ""\n[beat]'
    (launch,) = launches(read_rest(tmp_path, rest)).values()
    assert launch.environment["PATH"] == "/opt/env/bin:/opt/bin:/bin"
    assert launch.environment["LANG"] == "de_DE.UTF-8"
    assert launch.environment["PYTHONUNBUFFERED"] == ""


def test_launch_in_user_scope_has_no_user(tmp_path: Path) -> None:
    project = read(tmp_path, PROJECT.replace('user = "www-data"', 'scope = "user"') + "[beat]", HOME)
    (launch,) = launches(project).values()
    assert (launch.user, launch.group, owner_of(project)) == (None, None, None)
    assert launch.environment["PROCMAN_RUN_DIRECTORY"] == (
        "/home/anna/.local/state/procman/catmaid/run/catmaid-celery-beat"
    )
    assert "HOME" not in launch.environment


def test_python_imports_from_the_project_first(tmp_path: Path) -> None:
    for directory, name in (("site", "first"), ("lib", "second")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "which.py").write_text(f"name = {name!r}")
    text = PROJECT.replace("/opt/catmaid", "site").replace("/opt/env", sys.prefix)
    (launch,) = launches(read(tmp_path, text + 'python_path = ["lib"]\n[beat]')).values()
    done = subprocess.run(
        [launch.argv[0], "-c", "import os, sys, which; print(which.name, sys.prefix, sys.path[1:3])"],
        env=dict(launch.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split(maxsplit=2) == [
        "first",
        sys.prefix,
        f"{[str(tmp_path / 'site'), str(tmp_path / 'lib')]}\n",
    ]


def test_command_is_searched_for_in_the_virtualenv_first(tmp_path: Path) -> None:
    binaries = tmp_path / "env" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "ls").write_text("#!/bin/sh\nprintf 'ours\\n'\n")
    (binaries / "ls").chmod(0o755)
    (launch,) = launches(read(tmp_path, PROJECT.replace("/opt/env", "env") + "[beat]")).values()
    done = subprocess.run(["sh", "-c", "ls"], env=dict(launch.environment), capture_output=True, text=True, check=True)
    assert done.stdout == "ours\n"


def test_launcher_files_belong_to_root_and_restart_nothing(site: Project) -> None:
    *beside, file = launcher_files(site)
    assert (file.path, file.content) == (launcher_path(site), agent_source("launcher.py"))
    assert str(file.path) == LAUNCHER
    assert [each.path.name for each in beside] == list(BESIDE_LAUNCHER)
    for each in (*beside, file):
        assert each.path.parent == file.path.parent
        assert (each.mode, each.owner, each.group) == (0o644, "root", "root")
        assert each.programs == ("catmaid-celery", "catmaid-flower", "catmaid-celery-beat")
        assert not each.restarts
        assert ast.parse(each.content)


def test_all_imports_of_the_launcher_and_the_probe_are_installed() -> None:
    desired = set(re.findall(r'import_beside\("(\w+)"\)', agent_source("launcher.py")))
    assert "environment_file" in desired
    # What the agent runs by its path, and the probe of a container, which imports each file when it needs it.
    desired |= {"handback_script", "keeper", "keeper_request", "probe"}
    desired |= {*re.findall(r'beside\("(\w+)"\)', agent_source("keeper.py"))}
    desired |= {*re.findall(r"self\._agent\.(\w+)", agent_source("probe.py"))}
    for name in BESIDE_LAUNCHER:
        for node in ast.walk(ast.parse(agent_source(name))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                desired |= {node.module} if node.module else {alias.name for alias in node.names}
    assert {f"{name}.py" for name in desired} == set(BESIDE_LAUNCHER)


def test_worker_and_beat_get_the_limits_of_health(tmp_path: Path) -> None:
    rest = """
[health]
heartbeat_seconds = 2
stale_seconds = 20
restarts_per_hour = 7
[worker.crop]
heal = false
stall_seconds = 77
[command.flower]
argv = ["celery", "flower"]
"""
    project = read_rest(tmp_path, rest)
    by_key = {program.key: launch_of(project, program).environment for program in project.programs}
    told = {name: value for name, value in by_key["worker.crop"].items() if name.startswith("PROCMAN_")}
    settings = read_settings(told)
    assert (settings.problems, settings.heal, settings.heartbeat_seconds, settings.stale_seconds) == ([], False, 2, 20)
    assert (settings.stall_seconds, settings.restarts_per_hour) == (77, 7)
    assert settings.hold_file == str(hold_path(project.directories.state, "catmaid-crop"))
    assert "PROCMAN_HEAL" not in by_key["command.flower"]


def test_agent_has_the_defaults_of_the_configuration() -> None:
    configured, alone = HealthSettings(), read_settings({})
    shared = [name for name in alone._fields if hasattr(configured, name)]
    assert shared == [
        *("heartbeat_seconds", "stale_seconds", "stall_seconds", "interval_seconds"),
        *("failures", "heal", "restarts_per_hour"),
    ]
    assert [getattr(alone, name) for name in shared] == [getattr(configured, name) for name in shared]


def test_worker_knows_a_stop_timeout_and_handback_that_are_not_the_usual_ones(tmp_path: Path) -> None:
    rest = """
[worker.usual]
[worker.set-to-the-usual]
stop_timeout_seconds = 600
handback_seconds = 10
[worker.long]
stop_timeout_seconds = 3600
handback_seconds = 60
[worker.off]
handback_seconds = 0
[worker.plain]
launcher = false
handback_seconds = 60
[command.flower]
argv = ["celery", "flower"]
stop_timeout_seconds = 300
[beat]
"""
    found = launches(read_rest(tmp_path, rest))
    names = ("PROCMAN_STOP_TIMEOUT_SECONDS", "PROCMAN_HANDBACK_SECONDS")
    rendered = {key: [launch.environment.get(name) for name in names] for key, launch in found.items()}
    assert {key: values for key, values in rendered.items() if values != [None, None]} == {
        "worker.long": ["3600", "60"],
        "worker.off": [None, "0"],
    }
    settings = {key: read_settings(launch.environment) for key, launch in found.items()}
    assert [handback_delay(settings[f"worker.{key}"]) for key in ("usual", "long", "off")] == [590, 3540, None]


def test_agent_has_the_usual_stop_timeout_and_handback_of_workers() -> None:
    alone = read_settings({})
    assert (alone.stop_timeout_seconds, alone.handback_seconds) == (
        *(DEFAULT_STOP_TIMEOUT_SECONDS["worker"], Worker.handback_seconds),
    )


@pytest.mark.parametrize(
    ("stop_timeout", "handback", "delay"),
    [("600", "10", 590), ("600", "0", None), ("600", "500", 300), ("5", "10", 2.5), ("0.5", "0.1", 0.4)],
)
def test_handback_takes_at_most_half_of_the_stop_timeout(stop_timeout: str, handback: str, delay: float | None) -> None:
    environment = {"PROCMAN_STOP_TIMEOUT_SECONDS": stop_timeout, "PROCMAN_HANDBACK_SECONDS": handback}
    settings = read_settings(environment)
    assert (handback_delay(settings), settings.problems) == (delay, [])


@pytest.mark.parametrize(
    ("manifest", "delay"),
    [
        ('{"programs": [{"name": "shop-big"}, {"name": "shop-crop", "stop_timeout_seconds": 900}]}', 890),
        ('{"programs": [{"name": "shop-crop", "stop_timeout_seconds": 60}]}', 590),
        ('{"programs": [{"name": "shop-other", "stop_timeout_seconds": 900}]}', 590),
        ('{"programs": [{"name": "shop-crop", "stop_timeout_seconds": null}]}', 590),
        ('{"programs": 5}', 590),
        ("not JSON", 590),
        ("", 590),
    ],
)
def test_stop_timeout_that_an_install_has_raised_counts_for_a_running_worker(
    tmp_path: Path, manifest: str, delay: float
) -> None:
    (tmp_path / "generations/2").mkdir(parents=True)
    (tmp_path / "generations/2/manifest.json").write_text(manifest)
    (tmp_path / "current").symlink_to("generations/2")
    settings = AgentSettings("shop-crop", "worker", ".", hold_file=str(tmp_path / "holds" / "shop-crop.json"))
    assert handback_delay(settings) == delay
    assert handback_delay(settings._replace(hold_file=str(tmp_path / "gone" / "holds" / "x.json"))) == 590


@pytest.mark.parametrize("name", ["PROCMAN_STOP_TIMEOUT_SECONDS", "PROCMAN_HANDBACK_SECONDS"])
@pytest.mark.parametrize("value", ["-1", "soon", "nan", "1e9"])
def test_invalid_time_of_a_stop_is_reported_and_replaced(name: str, value: str) -> None:
    settings = read_settings({name: value})
    assert (settings.stop_timeout_seconds, settings.handback_seconds) == (600, 10)
    [problem] = settings.problems
    assert name in problem


def test_later_key_is_in_start_scripts_only_if_it_is_set(tmp_path: Path) -> None:
    @record(frozen=True)
    class Later(HealthSettings):
        failures: int = setting(3, "", between=(1,), later=True)

    project = read_rest(tmp_path, "[worker.celery]")
    usual, other = (replace(project, health=health) for health in (Later(), Later(failures=4)))
    found = [launch_of(each, each.programs[0]).environment for each in (project, usual, other)]
    assert found[0].keys() - found[1].keys() == {"PROCMAN_FAILURES"}
    assert found[2] == {**found[0], "PROCMAN_FAILURES": "4"}


def test_unused_launcher_is_not_installed(site: Project) -> None:
    one, *rest = site.programs
    plain = replace(one, launcher=False)
    assert launcher_files(replace(site, programs=(plain,))) == ()
    *_, file = launcher_files(replace(site, programs=(plain, *rest)))
    assert plain.name not in file.programs


def test_marker_names_the_project_and_the_command(site: Project) -> None:
    assert marker(site) == "Written by procman for catmaid: change procman.toml and run `procman install`."


def test_launch_can_be_serialised(site: Project) -> None:
    for launch in launches(site).values():
        assert json.loads(json.dumps([launch.argv, dict(launch.environment)]))


@pytest.mark.parametrize("scope", list(Scope))
def test_owner_depends_on_the_scope(site: Project, scope: Scope) -> None:
    assert owner_of(replace(site, scope=scope)) == {Scope.SYSTEM: "root", Scope.USER: None}[scope]


def test_launcher_gets_the_wrapper_as_a_variable(tmp_path: Path) -> None:
    rest = '[defaults.program]\nwrapper = ["newrelic-admin", "run-program"]\n[worker.celery]\n[beat]\nwrapper = []\n'
    found = launches(read_rest(tmp_path, rest))
    assert found["worker.celery"].environment["PROCMAN_WRAPPER"] == '["newrelic-admin", "run-program"]'
    assert found["worker.celery"].argv[:2] == ("/opt/env/bin/python", LAUNCHER)
    assert "PROCMAN_WRAPPER" not in found["beat"].environment


def test_wrapper_is_in_front_of_the_plain_command_without_the_launcher(tmp_path: Path) -> None:
    rest = """[defaults.program]
launcher = false
wrapper = ["ddtrace-run"]
[worker.celery]
[command.flower]
argv = ["celery", "flower"]
"""
    found = launches(read_rest(tmp_path, rest))
    assert found["worker.celery"].argv[:5] == ("ddtrace-run", "celery", "-A", "mysite", "worker")
    assert found["command.flower"].argv == ("ddtrace-run", "celery", "flower")
    assert "PROCMAN_WRAPPER" not in found["worker.celery"].environment
