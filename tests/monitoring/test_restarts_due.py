"""A restart is due if a file is newer than the process, and not because the clock was set (R5)."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from procman.model import Kind
from procman.monitoring.program_view import restarts_due
from tests.install import sample
from tests.monitoring.checks.records import program, state

HOUR = 3600.0


@pytest.mark.parametrize(
    ("written", "since", "clock_then", "is_due"),
    [
        (-5, -10, None, True),
        (-10, -5, None, False),
        (-5, -10, -10, True),
        # The clock was set back by an hour: just after the start, and when the process had run for longer than that.
        (HOUR - 900, -300, HOUR - 300, False),
        (-900, -300 - HOUR, -300, False),
        # The file was written after that.
        (-60, -HOUR, -120, True),
        # The process was restarted after that: the file is from the future and proves nothing.
        (HOUR - 900, -300, -300, False),
        # The process was started before the clock of the host was set.
        (-900, -300, -1e9, False),
        (-60, -300, -1e9, True),
    ],
)
def test_file_is_newer_only_by_both_clocks(
    tmp_path: Path, written: float, since: float, clock_then: float | None, is_due: bool
) -> None:
    wish, now = sample.DESIRED_STATES["one"], time.time()
    file = tmp_path / "celery.env"
    file.touch()
    os.utime(file, (now, now + written))
    found = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    which = program(name="catmaid-celery")
    manifest = replace(found, programs=(which,), files=(), environment_file=file)
    then = None if clock_then is None else now + clock_then
    assert restarts_due(manifest, [which], [state(since=now + since, clock_then=then)]) == [
        "the environment file is newer" if is_due else ""
    ]


def test_files_of_the_launcher_are_one_reason(tmp_path: Path) -> None:
    wish, now = sample.DESIRED_STATES["one"], time.time()
    found = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    which = program(name="catmaid-celery")
    file = replace(found.files[0], programs=("catmaid-celery",), restarts=False, section=False)
    paths = [found.directories.library / name for name in ("launcher.py", "verdict.py")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (now, now - 5))
    manifest = replace(found, programs=(which,), files=tuple(replace(file, path=path) for path in paths))
    assert restarts_due(manifest, [which], [state(since=now - 10)]) == ["the launcher is newer"]


def test_environment_file_of_a_command_alone_concerns_no_other_program(tmp_path: Path) -> None:
    wish, now = sample.DESIRED_STATES["one"], time.time()
    old, new = tmp_path / "celery.env", tmp_path / "web.env"
    for file, written in ((old, -60), (new, -5)):
        file.touch()
        os.utime(file, (now, now + written))
    found = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    worker = program(name="catmaid-celery", user="celery")
    web = program(Kind.COMMAND, name="catmaid-web", user="web", environment_file=new)
    manifest = replace(found, programs=(web, worker), files=(), environment_file=old)
    states = [state(since=now - 10)._replace(name=each.name) for each in manifest.programs]
    assert restarts_due(manifest, [web, worker], states) == ["the environment file is newer", ""]
    # Those who look at the broker do so as the user of the workers.
    assert manifest.user == "celery"
    assert manifest.environment_files() == [(new, "web", [web]), (old, "celery", [worker])]
