"""PM601 to PM603."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from procman.model import HealthSettings, Level
from procman.monitoring.checks.files import check_in_sync, check_restart_due, check_space
from tests.monitoring.checks.records import reported, running, snapshot

MIB = 1024 * 1024


def test_differences_are_reported_for_the_whole_project_only() -> None:
    assert reported(check_in_sync(running())) == (Level.OK, "")
    assert reported(check_in_sync(running(differences=("a is missing", "b was changed")))) == (
        Level.WARNING,
        "a is missing; b was changed",
    )
    assert list(check_in_sync(running(differences=("a is missing",), is_whole=False))) == []


def test_restart_that_is_due_is_reported() -> None:
    assert reported(check_restart_due(running(snapshot()))) == (Level.OK, "")
    assert reported(check_restart_due(running(snapshot(restart_due="the launcher is newer")))) == (
        Level.WARNING,
        "a restart is due: the launcher is newer",
    )


@pytest.mark.parametrize(
    ("free", "level"), [(500, Level.OK), (499, Level.WARNING), (50, Level.WARNING), (49, Level.CRITICAL)]
)
def test_free_space_is_compared_with_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    answer = SimpleNamespace(f_bavail=free * 256, f_frsize=4096, f_blocks=10**6)
    monkeypatch.setattr(os, "statvfs", lambda path: answer)
    found = running(places={tmp_path: "logs"}, health=HealthSettings(free_space_mib=500))
    [result] = check_space(found)
    assert (result.level, result.values) == (level, {f"free_mib_{tmp_path}": free})
    expected = f"only {free} MiB free on the disk of {tmp_path}, used for logs" if level else ""
    assert result.detail == expected


def test_each_disk_is_reported_once_with_all_its_uses(tmp_path: Path) -> None:
    health = HealthSettings(free_space_mib=2**40)
    places = {tmp_path: "procman's state", tmp_path / "not" / "there": "logs", Path("/proc"): "writable_paths"}
    [disk, without_blocks] = check_space(running(places=places, health=health))
    assert disk.detail.endswith(f" MiB free on the disk of {tmp_path}, used for logs, procman's state")
    # A file system without a size cannot fill up.
    assert (without_blocks.level, without_blocks.values) == (Level.OK, {})
    real = os.statvfs(tmp_path)
    assert disk.values[f"free_mib_{tmp_path}"] == pytest.approx(real.f_bavail * real.f_frsize / MIB, rel=0.2)


RENAME = """
import os, sys
first, second = sys.argv[1:]
while True:
    os.rename(first, second)
    os.rename(second, first)
"""


def test_directory_that_is_renamed_all_the_time_does_not_fail_the_check(tmp_path: Path) -> None:
    (tmp_path / "data/below").mkdir(parents=True)
    argv = [sys.executable, "-c", RENAME, str(tmp_path / "data"), str(tmp_path / "other")]
    subject = running(snapshot(), places={tmp_path / "data/below": "writable_paths"})
    with subprocess.Popen(argv) as process:
        try:
            for _ in range(5000):
                assert list(check_space(subject))
        finally:
            process.kill()
