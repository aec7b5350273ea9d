"""The launcher's settings, the program that it starts, and its errors."""

from __future__ import annotations

import fcntl
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from procman.agent import launcher
from tests.agent.launching import Installation


def test_command_replaces_the_launcher(installation: Installation) -> None:
    done = installation.run("command", "/bin/sh", "-c", 'echo "$0|$1|$2"; exit 7', "a b", "", "*\n'")
    assert (done.returncode, done.stdout, done.stderr) == (7, "a b||*\n'\n", "")


def test_command_is_looked_up_in_path(installation: Installation) -> None:
    flower = installation.directory / "bin" / "flower"
    flower.parent.mkdir()
    flower.write_text("#!/bin/sh\necho flower runs\n")
    flower.chmod(0o755)
    done = installation.run("command", "flower", PATH=f"{flower.parent}:/usr/bin:/bin")
    assert (done.returncode, done.stdout, done.stderr) == (0, "flower runs\n", "")


def test_command_does_not_ignore_the_signals_that_python_ignores(installation: Installation) -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and an ignored signal remains ignored after exec."""
    done = installation.run("command", "grep", "SigIgn", "/proc/self/status")
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored & 1 << signal.SIGPIPE - 1
    assert not ignored & 1 << signal.SIGXFSZ - 1


def test_reload_command_gets_the_secrets_and_waits_for_no_lock(installation: Installation) -> None:
    secrets = installation.directory / "secrets"
    secrets.write_text("SECRET=a b\n")
    with installation.lock.open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        words = ("sh", "-c", 'echo "$MAINPID $SECRET"')
        variables = {"MAINPID": "17", "PROCMAN_ENVIRONMENT_FILE": str(secrets), "PROCMAN_WRAPPER": '["false"]'}
        done = installation.run("reload", *words, **variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, "17 a b\n", "")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["no-such-command"], "cannot run no-such-command: No such file or directory (PATH is "),
        (["/etc"], "cannot run /etc: Permission denied"),
        ([], "no command is given"),
    ],
)
def test_command_that_cannot_run_is_named(installation: Installation, command: list[str], reason: str) -> None:
    done = installation.run("command", *command)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith(f"catmaid-celery: {reason}")
    assert len(done.stderr.splitlines()) == 1


def test_missing_settings_are_all_named_at_once(installation: Installation) -> None:
    done = installation.run("", "true", PROCMAN_RUN_DIRECTORY="")
    assert done.returncode == 78
    assert "not set: PROCMAN_KIND, PROCMAN_RUN_DIRECTORY; start this program through" in done.stderr


def test_unknown_kind_is_refused(installation: Installation) -> None:
    done = installation.run("flower", "true")
    assert done.returncode == 78
    assert "PROCMAN_KIND is 'flower', but must be one of worker, beat, command" in done.stderr


@pytest.fixture(scope="module")
def virtualenv(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtualenv without Celery."""
    virtualenv = tmp_path_factory.mktemp("virtualenv")
    subprocess.run([python, "-m", "venv", "--without-pip", virtualenv], check=True)
    return virtualenv


@pytest.fixture
def without_celery(installation: Installation, virtualenv: Path) -> Installation:
    """Return an installation whose virtualenv has no Celery."""
    return replace(installation, python=virtualenv / "bin" / "python")


@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_missing_celery_is_reported_in_one_line(without_celery: Installation, kind: str) -> None:
    done = without_celery.run(kind, "-A", "mysite", kind)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"cannot import Celery with {without_celery.python}: No module named 'celery'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_file_that_hides_celery_is_named(without_celery: Installation) -> None:
    hiding = without_celery.project / "celery.py"
    hiding.write_text("from celery import Celery\n")
    done = without_celery.run("worker", "-A", "mysite", "worker")
    assert (done.returncode, done.stdout) == (78, "")
    assert f"(the module found is {hiding})" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_project_replaces_the_launchers_directory_on_the_path() -> None:
    own = str(Path(launcher.__file__).parent)
    assert launcher.put_first("/project", [own, "/lib"]) == ["/project", "/lib"]


def test_project_is_first_if_python_leaves_out_the_scripts_directory() -> None:
    assert launcher.put_first("/project", ["/lib/python3.zip", "/lib"]) == ["/project", "/lib/python3.zip", "/lib"]
    assert launcher.put_first("/project", []) == ["/project"]
