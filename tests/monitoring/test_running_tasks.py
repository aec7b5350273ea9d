"""Records of running tasks are untrusted: their files may have any owner and any content (S3)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procman.agent import task_record
from procman.agent.task_record import FILES, RunningTask
from procman.install.state.manifest import Manifest
from procman.monitoring.running_tasks import task_records
from tests.agent.task_records import record_of
from tests.monitoring.checks.records import program

PROGRAM = program(name="catmaid-celery")
TASK = RunningTask("6d4f1e7a", "shop.crop", 120.5, 1796000000.5, 4711)


def file_of(manifest: Manifest, name: str = task_record.FILE) -> Path:
    return manifest.directories.run("catmaid-celery") / name


def test_records_of_all_processes_are_read_newest_first(manifest: Manifest) -> None:
    assert task_records(manifest, PROGRAM) == ()
    for pid, name in enumerate((FILES[0], FILES[1], FILES[-1]), start=10):
        file_of(manifest, name).write_bytes(record_of(TASK, pid=pid))
    found = task_records(manifest, PROGRAM)
    assert [each.pid for each in found] == [10, 11, 12]
    assert {each.tasks for each in found} == {(TASK,)}


@pytest.mark.parametrize("content", [b"", b"x" * task_record.SIZE, bytes(record_of(TASK._replace(name="\x1b[2J")))])
def test_file_that_is_no_record_is_left_out(manifest: Manifest, content: bytes) -> None:
    file_of(manifest).write_bytes(content)
    file_of(manifest, FILES[1]).write_bytes(record_of(TASK, pid=11))
    assert [found.pid for found in task_records(manifest, PROGRAM)] == [11]


def test_links_pipes_and_directories_are_left_out(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(record_of(TASK))
    file_of(manifest).symlink_to(tmp_path / "secret")
    os.mkfifo(file_of(manifest, FILES[1]))
    file_of(manifest, FILES[2]).mkdir()
    assert task_records(manifest, PROGRAM) == ()
