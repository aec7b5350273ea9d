"""`procman run` as root hands a file that root alone can read over, as systemd does, and leaves no copy behind."""

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
# The launcher starts itself again when it has read the file, and reads it once more.
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
def test_user_reads_through_every_start_what_root_alone_can_open(file: Path) -> None:
    code = READ_TWICE.format(
        repository=str(Path(__file__).parents[2]), path=str(file), uid=NOBODY.pw_uid, gid=NOBODY.pw_gid
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == f"{NOBODY.pw_uid}\n" + f"CELERY_BROKER_URL={SECRET}\n" * 2, done.stderr


def test_nobody_else_can_reach_what_is_handed_over(file: Path) -> None:
    told = handed_over(file, os.geteuid())
    descriptor = int(told["PROCMAN_ENVIRONMENT_CREDENTIAL"])
    try:
        found = os.fstat(descriptor)
        assert (found.st_mode & 0o777, found.st_uid, found.st_nlink) == (0o400, os.geteuid(), 0)
        assert SECRET not in str(told)
    finally:
        os.close(descriptor)


def secrets(desired: Project) -> dict[str, str]:
    return command._secrets(desired, desired.programs[0])


@needs_root
def test_file_that_others_could_exchange_is_not_read_by_root(file: Path) -> None:
    desired = replace(project(), user="nobody")
    told = secrets(replace(desired, environment_file=file))
    os.close(int(told["PROCMAN_ENVIRONMENT_CREDENTIAL"]))
    theirs = file.parent / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY.pw_uid, NOBODY.pw_gid)
    (theirs / "celery.env").symlink_to("/etc/shadow")
    assert secrets(replace(desired, environment_file=theirs / "celery.env")) == {}


def test_without_the_launcher_the_variables_are_set_as_systemd_sets_them(file: Path) -> None:
    desired = project(worker="launcher = false")
    assert secrets(replace(desired, environment_file=file)) == {"CELERY_BROKER_URL": SECRET}
    file.write_text("export A=1\n")
    with pytest.raises(ProcmanError, match=r"celery\.env:1: `export` is for shells"):
        secrets(replace(desired, environment_file=file))
