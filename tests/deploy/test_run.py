"""As root, `procman run` passes on an environment file that only root can read, and leaves no copy behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from procman.deploy import run as command
from procman.deploy.run import handed_over
from procman.errors import ProcmanError
from procman.launch import launch_of
from procman.project import Project
from tests.backends.systemd.projects import project
from tests.install.people import NOBODY, needs_root

SECRET = "amqp://catmaid:s3cret@localhost"

READ_TWICE = """
import os, sys
sys.path.insert(0, {repository!r})
from procman.deploy.run import handed_over
from pathlib import Path
environment = handed_over(Path({path!r}), {uid})
os.setgroups([]); os.setresgid({gid}, {gid}, {gid}); os.setresuid({uid}, {uid}, {uid})
# The launcher executes itself again after reading the file, and then reads it a second time.
name = '"$CREDENTIALS_DIRECTORY/$PROCMAN_ENVIRONMENT_CREDENTIAL"'
os.execve("/bin/sh", ["sh", "-c", "id -u; cat " + name + "; exec cat " + name], {{**os.environ, **environment}})
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An environment file that only its owner can read."""
    made = tmp_path / "celery.env"
    made.write_text(f"CELERY_BROKER_URL={SECRET}\n")
    made.chmod(0o600)
    return made


@needs_root
def test_program_reads_root_only_environment_file_at_every_start(file: Path) -> None:
    code = READ_TWICE.format(
        repository=str(Path(__file__).parents[2]), path=str(file), uid=NOBODY.pw_uid, gid=NOBODY.pw_gid
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == f"{NOBODY.pw_uid}\n" + f"CELERY_BROKER_URL={SECRET}\n" * 2, done.stderr


def test_copy_of_environment_file_is_private_and_nameless(file: Path) -> None:
    variables = handed_over(file, os.geteuid())
    descriptor = int(variables["PROCMAN_ENVIRONMENT_CREDENTIAL"])
    try:
        found = os.fstat(descriptor)
        assert (found.st_mode & 0o777, found.st_uid, found.st_nlink) == (0o400, os.geteuid(), 0)
        assert SECRET not in str(variables)
    finally:
        os.close(descriptor)


def secrets(desired: Project) -> dict[str, str]:
    program = desired.programs[0]
    return command._secrets(desired, program, launch_of(desired, program))


@needs_root
def test_root_does_not_read_environment_file_that_others_could_replace(file: Path) -> None:
    desired = replace(project(), user="nobody")
    variables = secrets(replace(desired, environment_file=file))
    os.close(int(variables["PROCMAN_ENVIRONMENT_CREDENTIAL"]))
    foreign = file.parent / "foreign"
    foreign.mkdir()
    os.chown(foreign, NOBODY.pw_uid, NOBODY.pw_gid)
    (foreign / "celery.env").symlink_to("/etc/shadow")
    assert secrets(replace(desired, environment_file=foreign / "celery.env")) == {}


def test_without_launcher_variables_are_set_as_systemd_sets_them(file: Path) -> None:
    desired = project(worker="launcher = false")
    assert secrets(replace(desired, environment_file=file)) == {"CELERY_BROKER_URL": SECRET}
    file.write_text("export A=1\n")
    with pytest.raises(ProcmanError, match=r"celery\.env:1: remove `export`, which only shells understand"):
        secrets(replace(desired, environment_file=file))


LOCKING = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_process_that_runs_the_program_already_is_known(tmp_path: Path) -> None:
    desired = project()
    desired = replace(desired, directories=replace(desired.directories, state=tmp_path))
    assert command.running_process(desired, "celery") is None
    lock = desired.directories.run("catmaid-celery") / "lock"
    lock.parent.mkdir(parents=True)
    words = [sys.executable, "-c", LOCKING, str(lock)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert command.running_process(desired, "celery") == process.pid
