"""Marks in the record of tasks show how far a task had come when its process was killed."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from procman.agent import task_record
from procman.agent import task_record_layout as layout
from procman.agent.task_marks import TaskMarks, _after, _before
from procman.agent.task_record import BEGUN, FINISHED, WAITING, RunningTask
from tests.agent.conftest import Start
from tests.agent.heartbeats import EVENT_LOOP, SEND_WHEN_READY, Site
from tests.agent.launching import install_launcher
from tests.agent.task_records import record_of
from tests.celery_environments import CeleryEnvironment


def progress_of(content: bytearray) -> list[str]:
    return [task.progress for task in task_record.read(bytes(content)).tasks]


def running() -> RunningTask:
    return RunningTask("a", "shop.crop", time.monotonic(), time.time(), os.getpid())


def test_mark_of_a_pool_process_shows_the_progress_of_its_task() -> None:
    content = record_of(running())
    marks = TaskMarks(lambda: content)
    assert progress_of(content) == [""]
    marks.use_process(3)
    assert progress_of(content) == [WAITING]
    marks.begin("a")
    assert progress_of(content) == [BEGUN]
    marks.end("a")
    assert progress_of(content) == [FINISHED]
    marks.leave("a")
    marks.begin("b")
    assert progress_of(content) == [WAITING]


def test_mark_of_a_dead_process_remains_until_the_second_after_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    content = record_of(running())
    marks = TaskMarks(lambda: content)
    marks.use_process(5)
    marks.begin("a")
    found = []
    for successor in (os.getpid() + 1, os.getpid() + 2):
        monkeypatch.setattr(os, "getpid", partial(int, successor))
        marks.use_process(5)
        marks.begin("b")
        marks.leave("b")
        found.append(progress_of(content))
    assert found == [[BEGUN], [""]]


@pytest.mark.parametrize("number", range(layout.BEGUN.size))
def test_process_killed_while_it_marks_a_begin_has_not_begun(number: int) -> None:
    task = running()
    content = record_of(task)
    marks = TaskMarks(lambda: content)
    marks.use_process(0)
    before = bytes(content)
    marks.begin("a")
    begin = layout.mark_offset(0) + layout.BEGUN_AT
    # Writing clears the place first.
    for cut in (before, before[:begin] + bytes(layout.BEGUN.size) + before[begin + layout.BEGUN.size :]):
        found = bytearray(cut)
        found[begin : begin + number] = content[begin : begin + number]
        assert progress_of(found) == ([BEGUN] if number > layout.BEGUN.size - layout.MARKED_ID else [WAITING])


def test_task_that_a_task_calls_itself_changes_nothing() -> None:
    content = record_of(running())
    marks = TaskMarks(lambda: content)
    marks.use_process(0)
    marks.begin("a")
    marks.begin("inner")
    marks.leave("inner")
    assert progress_of(content) == [BEGUN]


def test_signal_of_celery_reaches_the_receivers_of_the_project_between_the_marks() -> None:
    happened: list[Any] = []
    signal: Any = SimpleNamespace(receivers=[None])
    before = _before(happened.append, lambda **sent: happened.append(sent), signal)
    after = _after(happened.append, lambda **sent: happened.append(sent), signal)
    before(sender="task", task_id="a", args=())
    after(sender="task", task_id="a", retval=1)
    assert happened == ["a", "a"]
    happened.clear()
    signal.receivers = [None, None]
    before(sender="task", task_id="b", args=())
    after(sender="task", task_id="b", retval=1)
    sent = {"sender": "task", "task_id": "b"}
    assert happened == ["b", {**sent, "args": ()}, {**sent, "retval": 1}, "b"]


def test_earlier_run_of_the_same_task_in_the_process_does_not_count() -> None:
    content = bytearray(record_of())
    marks = TaskMarks(lambda: content)
    marks.use_process(0)
    marks.begin("a")
    marks.leave("a")
    time.sleep(0.01)
    again = record_of(running())
    again[layout.MARKS_AT :] = content[layout.MARKS_AT :]
    assert progress_of(again) == [WAITING]


def test_thread_without_a_mark_is_unknown() -> None:
    content = record_of(running()._replace(pool_pid=None), pid=os.getpid())
    marks = TaskMarks(lambda: content)
    marks.begin("a")
    assert progress_of(content) == [""]
    marks.use_threads()
    marks.begin("a")
    assert progress_of(content) == [BEGUN]


@pytest.mark.parametrize("number", [-1, layout.MARKS // 2])
def test_process_beyond_the_last_mark_has_none(number: int) -> None:
    content = record_of(running())
    marks = TaskMarks(lambda: content)
    marks.use_process(number)
    marks.begin("a")
    assert progress_of(content) == [""]


@pytest.mark.celery
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_killed_worker_leaves_the_progress_of_its_task(
    tmp_path: Path, celery_environment: CeleryEnvironment, start: Start, pool: str
) -> None:
    site = Site(install_launcher(tmp_path, celery_environment.python), start)
    tasks = [("mysite.touch", []), ("mysite.wait_for", [str(tmp_path / "never")])]
    site.app(EVENT_LOOP + SEND_WHEN_READY.format(tasks=tasks))
    worker = site.worker("--concurrency=1", f"--pool={pool}", "--hostname=marks@%h")
    path = worker.run_directory / task_record.FILE
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = task_record.read(path.read_bytes()) if path.exists() else None
        if found and [task.name for task in found.tasks if task.progress == BEGUN] == ["mysite.wait_for"]:
            break
        time.sleep(0.05)
    children = psutil.Process(worker.pid).children()
    os.kill(worker.pid, signal.SIGKILL)
    for child in children:
        child.kill()
    record = task_record.read(path.read_bytes())
    assert [(task.name, task.progress) for task in record.tasks] == [("mysite.wait_for", BEGUN)]
    assert record.transport
