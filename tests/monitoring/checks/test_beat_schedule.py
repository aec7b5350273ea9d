"""PM403 on real files: beat can write its schedule, whichever dbm wrote it, and other users cannot."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from procman.host.permissions import account_of
from procman.model import Kind, Level, Result, State
from procman.monitoring.checks import beat_schedule
from procman.monitoring.checks.beat_schedule import check
from procman.probes import path_script
from tests.monitoring.checks.records import heartbeat, program, running, snapshot, state
from tests.reachable import IS_ROOT, SOMEBODY

OTHER_USER = SOMEBODY if IS_ROOT else None
"""Root can write anywhere, so root tests with another user for beat."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of beat's user."""
    own = tmp_path / "data"
    own.mkdir(mode=0o755)
    give(own)
    return own


def give(path: Path) -> None:
    account = account_of(OTHER_USER)
    assert account
    os.chown(path, account.user, -1)


def write(directory: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        file = directory / f"schedule{suffix}"
        file.write_text("")
        file.chmod(0o644)
        give(file)


def judged(directory: Path, **says: object) -> Result:
    beat = snapshot(
        heartbeat("beat", **says), program=program(Kind.BEAT, user=OTHER_USER), state=state(pid=os.getpid())
    )
    [result] = check(running(beat, schedule_files=(directory / "schedule",)))
    return result


@pytest.mark.parametrize("suffixes", [("",), (".db",), (".dat", ".dir", ".bak"), ("", "-wal", "-shm")])
def test_schedule_that_beat_can_write_is_ok_whichever_dbm_wrote_it(directory: Path, suffixes: tuple[str, ...]) -> None:
    write(directory, *suffixes)
    result = judged(directory)
    assert (result.level, result.detail) == (Level.OK, "")


def test_missing_directory_is_critical(directory: Path) -> None:
    result = judged(directory / "gone")
    assert (result.level, result.detail) == (
        Level.CRITICAL,
        f"the directory of its schedule is missing: {directory}/gone",
    )
    assert result.hint.endswith(f"{directory}/gone")


@pytest.mark.root("needs a second user")
@pytest.mark.parametrize("suffix", ["", ".db", ".bak"])
def test_schedule_file_that_beat_cannot_write_is_critical(directory: Path, suffix: str) -> None:
    write(directory, "", ".db", ".bak")
    os.chown(directory / f"schedule{suffix}", 0, 0)
    result = judged(directory)
    assert (result.level, result.detail) == (
        Level.CRITICAL,
        f"{SOMEBODY} cannot write its schedule: {directory}/schedule{suffix}",
    )


@pytest.mark.root("needs a second user")
def test_remedy_follows_no_link_that_beat_put_in_place_of_its_schedule(directory: Path) -> None:
    write(directory, "")
    schedule, target = directory / "schedule", directory / "root's"
    schedule.chmod(0o400)
    hint = judged(directory).hint
    target.touch()
    schedule.unlink()
    schedule.symlink_to(target)
    subprocess.run(shlex.split(hint), check=True)
    assert target.stat().st_uid == 0


@pytest.mark.root("root alone may look into any directory")
@pytest.mark.parametrize(
    ("suffixes", "level"), [((), Level.CRITICAL), ((".dat", ".dir"), Level.CRITICAL), (("",), Level.WARNING)]
)
def test_unwritable_directory_is_critical_if_beat_needs_new_files_and_else_a_warning(
    directory: Path, suffixes: tuple[str, ...], level: Level
) -> None:
    write(directory, *suffixes)
    directory.chmod(0o555)
    result = judged(directory)
    assert (result.level, result.detail) == (
        level,
        f"{SOMEBODY} cannot write to the directory of its schedule: {directory}",
    )


@pytest.mark.parametrize("which", ["schedule", "."])
def test_schedule_that_every_user_can_write_is_a_warning(directory: Path, which: str) -> None:
    write(directory, "")
    exposed = directory / which
    exposed.chmod(0o777)
    result = judged(directory)
    assert result.level is Level.WARNING
    assert result.detail.startswith(f"every user can write to {exposed}, and so run code as ")
    exposed.chmod(0o1777 if which == "." else 0o644)
    assert judged(directory).level is Level.OK


def test_schedule_deleted_under_a_running_beat_is_a_warning(directory: Path) -> None:
    result = judged(directory)
    assert (result.level, result.detail) == (
        Level.WARNING,
        f"its schedule file is missing, so it loses the times of the last runs: {directory}/schedule",
    )
    assert judged(directory, phase="starting").level is Level.OK


def test_scheduler_without_a_schedule_file_is_ok(directory: Path) -> None:
    result = judged(directory / "gone", scheduler="django_celery_beat.schedulers:DatabaseScheduler")
    assert (result.level, result.detail) == (
        Level.OK,
        "its scheduler needs no schedule file: django_celery_beat.schedulers:DatabaseScheduler",
    )


def test_stopped_beat_is_checked_too(directory: Path) -> None:
    stopped = snapshot(program=program(Kind.BEAT), state=state(State.FATAL))
    [result] = check(running(stopped, schedule_files=(directory / "gone" / "schedule",)))
    assert result.level is Level.CRITICAL


def test_workers_have_no_schedule(directory: Path) -> None:
    assert list(check(running(snapshot(), schedule_files=(directory / "gone" / "schedule",)))) == []


def test_probe_script_knows_the_same_dbm_files() -> None:
    """The script cannot import procman."""
    assert path_script.SUFFIXES == beat_schedule.SUFFIXES
