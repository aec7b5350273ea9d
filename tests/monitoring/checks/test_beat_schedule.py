"""PM403 on real files: whichever dbm wrote the schedule, beat can go on writing it, and nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procman.model import Kind, Level, Result, State
from procman.monitoring.checks import beat_schedule
from procman.monitoring.checks.beat_schedule import account_of, check
from procman.probes import path_script
from tests.monitoring.checks.records import heartbeat, program, running, snapshot, state
from tests.reachable import IS_ROOT, SOMEBODY

OTHER_USER = SOMEBODY if IS_ROOT else None
"""Root may write anywhere: what it is kept from is tested with somebody else for beat's user."""


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
def test_a_schedule_that_beat_can_write_is_sound_whichever_dbm_it_is_of(
    directory: Path, suffixes: tuple[str, ...]
) -> None:
    write(directory, *suffixes)
    result = judged(directory)
    assert (result.level, result.detail) == (Level.OK, "")


def test_a_directory_that_is_missing_is_critical(directory: Path) -> None:
    result = judged(directory / "gone")
    assert (result.level, result.detail) == (Level.CRITICAL, f"{directory}/gone, for its schedule, is missing")
    assert result.hint.endswith(f"{directory}/gone")


@pytest.mark.root("needs a second user")
@pytest.mark.parametrize("suffix", ["", ".db", ".bak"])
def test_any_file_that_beat_cannot_write_is_critical(directory: Path, suffix: str) -> None:
    write(directory, "", ".db", ".bak")
    os.chown(directory / f"schedule{suffix}", 0, 0)
    result = judged(directory)
    assert (result.level, result.detail) == (
        Level.CRITICAL,
        f"{SOMEBODY} cannot write its schedule {directory}/schedule{suffix}",
    )


@pytest.mark.root("root alone may look into any directory")
@pytest.mark.parametrize(
    ("suffixes", "level"), [((), Level.CRITICAL), ((".dat", ".dir"), Level.CRITICAL), (("",), Level.WARNING)]
)
def test_a_directory_that_beat_cannot_write_is_worse_where_it_needs_new_files(
    directory: Path, suffixes: tuple[str, ...], level: Level
) -> None:
    write(directory, *suffixes)
    directory.chmod(0o555)
    result = judged(directory)
    assert (result.level, result.detail) == (
        level,
        f"{SOMEBODY} cannot write in {directory}, where its schedule is",
    )


@pytest.mark.parametrize("which", ["schedule", "."])
def test_what_everybody_can_write_is_a_warning(directory: Path, which: str) -> None:
    write(directory, "")
    exposed = directory / which
    exposed.chmod(0o777)
    result = judged(directory)
    assert result.level is Level.WARNING
    assert result.detail.startswith(f"everybody can write {exposed}, and so run code as ")
    exposed.chmod(0o1777 if which == "." else 0o644)
    assert judged(directory).level is Level.OK


def test_a_schedule_that_is_gone_from_under_beat_is_a_warning(directory: Path) -> None:
    result = judged(directory)
    assert (result.level, result.detail) == (
        Level.WARNING,
        f"its schedule {directory}/schedule is gone: it forgets when things last ran",
    )
    assert judged(directory, phase="starting").level is Level.OK


def test_a_scheduler_that_keeps_no_file_needs_none(directory: Path) -> None:
    result = judged(directory / "gone", scheduler="django_celery_beat.schedulers:DatabaseScheduler")
    assert (result.level, result.detail) == (
        Level.OK,
        "its scheduler keeps no file: django_celery_beat.schedulers:DatabaseScheduler",
    )


def test_a_beat_that_does_not_run_is_judged_too(directory: Path) -> None:
    stopped = snapshot(program=program(Kind.BEAT), state=state(State.FATAL))
    [result] = check(running(stopped, schedule_files=(directory / "gone" / "schedule",)))
    assert result.level is Level.CRITICAL


def test_workers_have_no_schedule(directory: Path) -> None:
    assert list(check(running(snapshot(), schedule_files=(directory / "gone" / "schedule",)))) == []


def test_files_of_each_kind_of_dbm_are_the_same_for_the_script_that_cannot_import_procman() -> None:
    assert path_script.SUFFIXES == beat_schedule.SUFFIXES
