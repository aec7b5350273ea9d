"""The start script passes every value unchanged, in every shell that may run it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from procman.errors import ProcmanError
from procman.project import Command, Project, Worker
from procman.quoting import unprintable
from tests.backends.supervisor.projects import reference, rendered, with_programs
from tests.hostile import HOSTILE, REFUSED, TEXTS, examples

ME = pwd.getpwuid(os.geteuid())

SHELLS = {
    "sh": ("sh",),
    "dash": ("dash",),
    "bash": ("bash", "--posix"),
    "mksh": ("mksh",),
    "busybox": ("busybox", "sh"),
}
FOUND = list(
    {os.path.realpath(found): shell for shell, words in SHELLS.items() if (found := shutil.which(words[0]))}.values()
)

REPORT = """
import json, os, sys
umask = os.umask(0)
print(json.dumps({
    "argv": sys.argv, "environment": dict(os.environ), "directory": os.getcwd(), "umask": umask, "nice": os.nice(0),
    "parent": os.getppid(), "pid": os.getpid(),
}))
"""


@dataclass(frozen=True)
class Place:
    """A directory for a project and a virtualenv, with a Python that reports its arguments and environment."""

    path: Path

    def directory(self, *names: str) -> Path:
        """Create nested directories with those names, or the nearest ones that a file system accepts."""
        made = self.path
        for name in names:
            usable = name.replace("/", "|")[:50]
            made /= usable if usable.strip(".") else f"x{usable}"
        made.mkdir(parents=True, exist_ok=True)
        return made

    def virtualenv(self, *names: str) -> Path:
        """Create a virtualenv whose python and celery report their arguments and environment."""
        binaries = self.directory(*names, "env", "bin")
        for word in ("python", "celery"):
            (binaries / word).write_text(f"#!{sys.executable} -I{REPORT}")
            (binaries / word).chmod(0o755)
        return binaries.parent

    def start(self, project: Project, shell: str, name: str = "catmaid-celery") -> dict[str, Any]:
        """Run a start script with an environment like supervisord's; return the report of the program."""
        script = self.path / "start.sh"
        script.write_text(rendered(project)[f"/etc/procman/catmaid/{name}.sh"].content, encoding="utf-8")
        completed = subprocess.run(
            [*SHELLS[shell], str(script)],
            cwd="/",
            env={"PATH": os.environ["PATH"], "HOME": "/", "USER": "other", "PYTHONHOME": "/", "PYTHONPATH": "/"},
            capture_output=True,
            check=False,
        )
        assert completed.stderr == b""
        report: dict[str, Any] = json.loads(completed.stdout)
        return report


def _project(place: Place, *names: str, **changes: object) -> Project:
    project = reference(user=ME.pw_name, directory=place.directory(*names), virtualenv=place.virtualenv(*names))
    return with_programs(project, **changes)


def _assert_arrives(place: Place, shell: str, values: Sequence[str]) -> None:
    """Assert that `values` arrive at every place for a value of procman.toml; the first eight as directories too."""
    environment = {f"VALUE_{number}": value for number, value in enumerate(values)}
    project = _project(place, *values[:8], environment=environment, options=Command(("/bin/x", *values)))
    project = replace(project, python_path=tuple(Path("/", value) for value in values))
    report = place.start(project, shell)
    assert report["argv"][1:] == ["/usr/local/lib/procman/catmaid/launcher.py", "/bin/x", *values]
    assert report["directory"] == str(project.directory)
    given_environment = report["environment"]
    assert {key: given_environment[key] for key in environment} == environment
    assert given_environment["VIRTUAL_ENV"] == str(project.virtualenv)
    assert given_environment["PATH"].startswith(f"{project.virtualenv}/bin:/usr/local/sbin:")
    assert given_environment["PYTHONPATH"] == ":".join(str(path) for path in (project.directory, *project.python_path))


def test_each_start_follows_the_link_to_the_virtualenv(tmp_path: Path) -> None:
    project = reference(user=ME.pw_name, directory=tmp_path, virtualenv=tmp_path / "current" / "env")
    found = []
    for release in ("one", "two"):
        python = tmp_path / release / "env/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!{sys.executable} -I\nprint(\'{{"release": "{release}"}}\')\n')
        python.chmod(0o755)
        (tmp_path / "next").symlink_to(release)
        (tmp_path / "next").rename(tmp_path / "current")
        found.append(Place(tmp_path).start(project, "sh"))
    assert found == [{"release": "one"}, {"release": "two"}]


@pytest.fixture(scope="module")
def place() -> Any:
    """A directory for projects."""
    with tempfile.TemporaryDirectory(prefix="pm") as path:
        yield Place(Path(path))


@pytest.mark.parametrize("shell", FOUND)
@pytest.mark.parametrize("first", range(0, len(HOSTILE), 8))
def test_hostile_values_arrive(place: Place, shell: str, first: int) -> None:
    _assert_arrives(place, shell, HOSTILE[first : first + 8])


@pytest.mark.thorough
@pytest.mark.parametrize("shell", FOUND)
@settings(max_examples=examples(25))
@given(values=strategies.lists(TEXTS, min_size=1, max_size=20))
def test_any_value_arrives(place: Place, shell: str, values: list[str]) -> None:
    _assert_arrives(place, shell, [value for value in values if not unprintable(value)])


@pytest.mark.parametrize("where", ["directory", "virtualenv", "environment", "argv"])
def test_value_that_could_add_a_line_is_refused(where: str) -> None:
    for value in REFUSED:
        match where:
            case "environment":
                project = with_programs(reference(), environment={"VALUE": value})
            case "argv":
                project = with_programs(reference(), options=Command(("x", value)))
            case _:
                project = reference(**{where: Path("/", value)})
        with pytest.raises(ProcmanError, match="it contains a"):
            rendered(project)


@pytest.mark.parametrize("shell", FOUND)
def test_home_and_names_come_from_the_password_database(place: Place, shell: str) -> None:
    environment = place.start(_project(place), shell)["environment"]
    assert {name: environment[name] for name in ("HOME", "USER", "LOGNAME")} == {
        "HOME": ME.pw_dir,
        "USER": ME.pw_name,
        "LOGNAME": ME.pw_name,
    }


@pytest.mark.parametrize("shell", FOUND)
def test_variables_that_break_a_virtualenv_are_unset(place: Place, shell: str) -> None:
    project = _project(place)
    environment = place.start(project, shell)["environment"]
    assert "PYTHONHOME" not in environment
    assert environment["PYTHONPATH"] == str(project.directory)
    assert environment["DJANGO_SETTINGS_MODULE"] == "mysite.settings"


@pytest.mark.parametrize(("umask", "nice"), [(0o022, 0), (0o077, 5), (0o007, 19)])
def test_umask_and_nice_are_applied(place: Place, umask: int, nice: int) -> None:
    report = place.start(_project(place, umask=umask, nice=nice), "sh")
    # The maximum of nice is 19, whatever it is added to.
    assert (report["umask"], report["nice"]) == (umask, min(os.nice(0) + nice, 19))


@pytest.mark.parametrize("nice", [0, 5])
def test_program_is_a_direct_child_of_the_process_manager(place: Place, nice: int) -> None:
    report = place.start(_project(place, nice=nice), "sh")
    assert report["parent"] == os.getpid()
    assert report["environment"]["PROCMAN_PARENT_PID"] == str(os.getpid())


def test_launcher_receives_the_variables_of_its_contract(place: Place) -> None:
    project = replace(_project(place), environment_file=Path("/etc/catmaid/celery.env"))
    report = place.start(project, "sh")
    assert report["argv"][1:5] == ["/usr/local/lib/procman/catmaid/launcher.py", "-A", "mysite", "worker"]
    reported = {name: value for name, value in report["environment"].items() if name.startswith("PROCMAN_")}
    assert reported == {
        "PROCMAN_PROGRAM": "catmaid-celery",
        "PROCMAN_KIND": "worker",
        "PROCMAN_DIRECTORY": str(project.directory),
        "PROCMAN_RUN_DIRECTORY": "/var/lib/procman/catmaid/run/catmaid-celery",
        "PROCMAN_ENVIRONMENT_FILE": "/etc/catmaid/celery.env",
        "PROCMAN_PARENT_PID": str(os.getpid()),
        "PROCMAN_HEARTBEAT_SECONDS": "5",
        "PROCMAN_STALE_SECONDS": "30",
        "PROCMAN_STALL_SECONDS": "300",
        "PROCMAN_INTERVAL_SECONDS": "30",
        "PROCMAN_FAILURES": "3",
        "PROCMAN_HEAL": "1",
        "PROCMAN_RESTARTS_PER_HOUR": "3",
        "PROCMAN_STOP_TIMEOUT_SECONDS": "3600",
        "PROCMAN_HOLD_FILE": "/var/lib/procman/catmaid/holds/catmaid-celery.json",
    }


def test_script_without_launcher_runs_the_plain_command(place: Place) -> None:
    project = _project(place, launcher=False)
    seed = replace(project.programs[0], options=Worker(node_name="catmaid-celery@%h", loglevel="info"))
    project = replace(project, programs=(seed,))
    report = place.start(project, "sh")
    assert report["argv"] == [
        str(project.virtualenv / "bin" / "celery"),
        *["-A", "mysite", "worker", "-l", "info", "-n", "catmaid-celery@%h"],
    ]
    assert not [name for name in report["environment"] if name.startswith("PROCMAN_")]


def test_script_fails_if_its_directory_is_missing(tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    project = reference(user=ME.pw_name, directory=tmp_path / "gone")
    script.write_text(rendered(project)["/etc/procman/catmaid/catmaid-celery.sh"].content)
    completed = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    assert completed.returncode == 1
    assert str(tmp_path / "gone") in completed.stderr


@pytest.mark.parametrize("user", ["nobody", "no-such-user"])
def test_another_user_is_refused(tmp_path: Path, user: str) -> None:
    # The service user could not open the lock and the schedule that root writes.
    if user == ME.pw_name:
        user = "daemon"
    script = tmp_path / "start.sh"
    project = reference(user=user)
    script.write_text(rendered(project)["/etc/procman/catmaid/catmaid-celery.sh"].content)
    completed = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    assert completed.returncode == 77
    assert f"{script} must be run as {user}" in completed.stderr


def test_script_in_user_scope_does_not_check_the_user(place: Place) -> None:
    project = replace(_project(place), user=None)
    assert place.start(project, "sh")["environment"]["HOME"] == "/"
