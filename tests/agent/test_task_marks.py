"""Marks in the record of tasks show how far a task had come when its process was killed."""

from __future__ import annotations

import itertools
import os
import signal
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from procman.agent import task_marks, task_record
from procman.agent import task_record_layout as layout
from procman.agent.task_marks import TaskMarks, _ending, _ending_well, _one_after_another
from procman.agent.task_record import BEGUN, FINISHED, WAITING, RunningTask
from tests.agent.conftest import Start
from tests.agent.heartbeats import EVENT_LOOP, SEND_WHEN_READY, Site
from tests.agent.launching import install_launcher
from tests.agent.task_records import record_of
from tests.agent.written_steps import watched
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
    marks.leave()
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
        marks.leave()
        found.append(progress_of(content))
    assert found == [[BEGUN], [""]]


@pytest.mark.parametrize("is_mapped", [True, False], ids=["mapped", "unmapped"])
def test_process_killed_while_it_marks_a_begin_has_not_begun(monkeypatch: pytest.MonkeyPatch, is_mapped: bool) -> None:
    content = bytes(record_of(running(), running()._replace(id="b", started=time.monotonic() + 1)))
    file, steps = watched(monkeypatch, content, is_mapped=is_mapped)
    marks = TaskMarks(lambda: file)
    marks.use_process(0)
    marks.begin("a")
    marks.end("a")
    marks.leave()
    del steps[:-1]
    monkeypatch.setattr(task_marks, "monotonic", lambda: time.monotonic() + 2)
    marks.begin("b")
    found = [progress_of(bytearray(each)) for each in steps]
    assert [each for each, _ in itertools.groupby(found)] == [
        [FINISHED, WAITING],
        [WAITING, WAITING],  # no mark is of either
        [WAITING, BEGUN],
    ]


def test_task_that_a_task_calls_itself_changes_nothing() -> None:
    content = record_of(running())
    marks = TaskMarks(lambda: content)
    marks.use_process(0)
    marks.begin("a", task(is_eager=False))
    marks.begin("inner", task(is_eager=True))
    marks.end("inner")
    assert progress_of(content) == [BEGUN]
    marks.end("a")
    assert progress_of(content) == [FINISHED]


def test_task_is_marked_after_one_whose_clean_up_failed() -> None:
    content = record_of(running())
    marks = TaskMarks(lambda: content)
    marks.use_process(0)
    marks.begin("before", task(is_eager=False))
    marks.begin("a", task(is_eager=False))
    assert progress_of(content) == [BEGUN]


def task(*, is_eager: bool) -> Any:
    return SimpleNamespace(request=SimpleNamespace(is_eager=is_eager))


def test_loader_of_the_project_is_called_too() -> None:
    happened: list[Any] = []
    loader = ProjectLoader(happened)
    both = _one_after_another(happened.append, loader.on_task_init, UsualLoader.on_task_init)
    both("a")
    assert happened == ["a", ("project", "a")]


def test_loader_of_celery_that_does_nothing_is_not_called() -> None:
    happened: list[Any] = []
    found = _one_after_another(happened.append, UsualLoader().on_task_init, UsualLoader.on_task_init)
    found("a")
    assert happened == ["a"]


class UsualLoader:
    def on_task_init(self, task_id: str) -> None:
        raise AssertionError(task_id)


class ProjectLoader(UsualLoader):
    def __init__(self, happened: list[Any]) -> None:
        self._happened = happened

    def on_task_init(self, task_id: str) -> None:
        self._happened.append(("project", task_id))


def test_backend_gets_what_celery_gives_it() -> None:
    happened: list[Any] = []

    def store(*arguments: Any, **more: Any) -> str:
        happened.append((arguments, more))
        return "stored"

    done, failed = _ending_well(store, happened.append), _ending(store, happened.append)
    assert done("backend", "a", 1, "request", False) == "stored"
    assert done("backend", "a", 1, "request", state="SUCCESS") == "stored"
    assert failed("backend", "a", exc="error", state="FAILURE") == "stored"
    assert happened == [
        "a",
        (("backend", "a", 1, "request", False), {}),
        "a",
        (("backend", "a", 1, "request", True), {"state": "SUCCESS"}),
        "a",
        (("backend", "a"), {"exc": "error", "state": "FAILURE"}),
    ]


def test_earlier_run_of_the_same_task_in_the_process_does_not_count() -> None:
    content = bytearray(record_of())
    marks = TaskMarks(lambda: content)
    marks.use_process(0)
    marks.begin("a")
    marks.leave()
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
