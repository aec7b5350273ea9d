"""The recorder of running tasks, beside functions like those of `celery.worker.state`."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from procman.agent import active_requests, mapped_file, task_record
from procman.agent.settings import HealthSettings
from procman.agent.task_record import KEPT, TaskRecord
from procman.agent.task_record_layout import SLOTS, USUAL_ID
from procman.agent.task_recorder import MOST_KINDS, TaskRecorder
from procman.host.process import start_ticks
from tests.agent.written_steps import watched

COUNTER = itertools.count()


class Message:
    """What a message of kombu has."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def ack(self, *arguments: Any) -> str:
        self.calls.append(arguments)
        return "acknowledged"


class Request:
    """What a request of Celery has."""

    worker_pid = 4711

    def __init__(self, task_id: Any, *, acks_late: bool = False, name: str = "shop.crop") -> None:
        self.id = task_id
        self.name = name
        self._task = SimpleNamespace(acks_late=acks_late, reject_on_worker_lost=None)
        self._message = Message()
        # In the order of their creation, whatever the rounding of the clocks.
        self.time_start = time.time() - 1 + next(COUNTER) % 1000 / 1000


class Active:
    """What a worker calls when a task begins or ends: functions whose defaults are the methods of a set."""

    def __init__(self) -> None:
        active_requests = weakref.WeakSet[Request]()
        reserved_requests = weakref.WeakSet[Request]()

        def task_accepted(request: Request, count: int = 1, add: Any = active_requests.add) -> None:
            add(request)

        def task_ready(
            request: Request,
            discard_reserved: Any = reserved_requests.discard,
            discard: Any = active_requests.discard,
        ) -> None:
            discard(request)
            discard_reserved(request)

        self.state = SimpleNamespace(
            active_requests=active_requests, task_accepted=task_accepted, task_ready=task_ready, revoked=set()
        )
        self.add, self.discard = task_accepted, task_ready

    def __len__(self) -> int:
        return len(self.state.active_requests)


def recorder_in(directory: Path) -> TaskRecorder:
    return TaskRecorder(HealthSettings("shop-celery", "worker", str(directory)), time.monotonic())


def opened(directory: Path) -> tuple[TaskRecorder, Active]:
    """Return an open recorder, and the requests that it follows."""
    recorder, active = recorder_in(directory), Active()
    recorder.open()
    active_requests.follow(active.state, recorder)
    return recorder, active


def record(directory: Path, name: str = task_record.FILE) -> TaskRecord:
    return task_record.read((directory / name).read_bytes())


def ids(directory: Path, name: str = task_record.FILE) -> list[str]:
    return [task.id for task in record(directory, name).tasks]


def test_a_task_is_in_the_record_until_it_ends(tmp_path: Path) -> None:
    _, active = opened(tmp_path)
    first, second = Request("a", acks_late=True), Request("b")
    active.add(first)
    active.add(second)
    active.add(second)
    [one, other] = record(tmp_path).tasks
    assert (one.id, one.acks_late, other.id, other.acks_late) == ("a", True, "b", False)
    assert one.started_wall == first.time_start
    active.discard(first)
    active.discard(first)
    assert (ids(tmp_path), len(active)) == (["b"], 1)
    active.discard(second)
    assert (ids(tmp_path), len(active)) == ([], 0)


def test_celery_whose_functions_have_no_such_defaults_is_not_followed(tmp_path: Path) -> None:
    active = Active()
    active.state.task_ready = lambda request: active.state.active_requests.discard(request)
    recorder = recorder_in(tmp_path)
    recorder.open()
    with pytest.raises(LookupError, match="active_requests"):
        active_requests.follow(active.state, recorder)
    # Otherwise each task would seem to run for ever.
    request = Request("a")
    active.add(request)
    assert ids(tmp_path) == []


def test_early_acknowledgement_is_noted_once_the_broker_knows_of_it(tmp_path: Path) -> None:
    on_its_way: list[list[str]] = []

    class Acknowledged(Message):
        def ack(self, *arguments: Any) -> str:
            on_its_way.append([task.id for task in record(tmp_path).tasks if task.may_be_acknowledged])
            return super().ack(*arguments)

    active_requests.follow_acknowledgements(Acknowledged)
    _, active = opened(tmp_path)
    early, late, ended = Request("early"), Request("late", acks_late=True), Request("ended")
    for request in (early, late, ended):
        request._message = Acknowledged()
        active.add(request)
    pending = {task.id: task.is_unacknowledged for task in record(tmp_path).tasks}
    assert pending == {"early": True, "late": False, "ended": True}
    active.discard(ended)
    # Another task takes its slot.
    active.add(other := Request("other"))
    for request in (ended, early, late):
        assert request._message.ack(True) == "acknowledged"
        assert request._message.calls == [(True,)]
    pending = {task.id: task.is_unacknowledged for task in record(tmp_path).tasks}
    assert pending == {"early": False, "late": False, "other": True}
    assert on_its_way == [[], ["early"], []]
    active_requests.note_acknowledgement(other._message)
    assert not any(task.is_unacknowledged for task in record(tmp_path).tasks)


@pytest.mark.parametrize("is_mapped", [True, False], ids=["mapped", "unmapped"])
def test_process_killed_at_any_step_leaves_a_whole_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_mapped: bool
) -> None:
    file, steps = watched(monkeypatch, bytes(task_record.SIZE), is_mapped=is_mapped)

    def create(path: str, _: int) -> Any:
        Path(path).touch()
        return file

    monkeypatch.setattr(mapped_file, "create", create)
    _, active = opened(tmp_path)
    requests = [Request(name * USUAL_ID) for name in "abcd"]
    for request in requests:  # as in a worker: what they have in common is written once
        request._task = requests[0]._task
    active.add(requests[0])
    del steps[:-1]
    for before, request in itertools.pairwise(requests):
        active.add(request)
        active.discard(before)
    active.discard(requests[-1])
    found = [task_record.read(content) for content in steps]
    assert {each.damaged for each in found} == {0}
    states = ["".join(task.id[0] for task in each.tasks) for each in found]
    # The slot that the first one leaves is taken by the third.
    assert [each for each, _ in itertools.groupby(states)] == ["a", "ab", "b", "bc", "c", "cd", "d", ""]


@pytest.mark.parametrize("in_place", [(), mapped_file.IN_PLACE], ids=["unmapped", "mapped"])
def test_slot_serves_tasks_of_any_name_and_id_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_place: tuple[str, ...]
) -> None:
    monkeypatch.setattr(mapped_file, "IN_PLACE", in_place)
    recorder, active = opened(tmp_path)
    recorder.has_pool_processes = True
    short, long = Request("", name="shop.a"), Request("", name="shop.longer", acks_late=True)
    usual, odd = ("a" * USUAL_ID, "b" * USUAL_ID), ("x", "\ud800" * USUAL_ID, "y" * 100)
    for number, (like, task_id) in enumerate(itertools.product((short, short, long), (*usual, *odd, *usual))):
        request = Request(task_id, name=like.name)
        request._task, request.worker_pid = like._task, number + 1
        active.add(request)
        [task] = record(tmp_path).tasks
        assert (task.name, task.acks_late, task.pool_pid) == (like.name, like._task.acks_late, number + 1)
        assert (task.started_wall, task.is_cut) == (request.time_start, "\ud800" in task_id)
        assert task.id == ("?" * USUAL_ID if task.is_cut else task_id)
        active.discard(request)
    assert (record(tmp_path).total, recorder.problem) == (0, "")


def test_record_identifies_its_process_whatever_the_clock(tmp_path: Path) -> None:
    opened(tmp_path)
    found = record(tmp_path)
    assert (found.pid, found.start_ticks) == (os.getpid(), start_ticks(os.getpid()))


def test_a_request_that_disappears_leaves_the_record(tmp_path: Path) -> None:
    _, active = opened(tmp_path)
    request = Request("a")
    active.add(request)
    assert ids(tmp_path) == ["a"]
    del request
    assert ids(tmp_path) == []


def test_the_pid_of_a_pool_process_is_recorded_only_if_the_pool_has_processes(tmp_path: Path) -> None:
    recorder, active = opened(tmp_path)
    requests = [Request("a"), Request("b")]
    active.add(requests[0])
    recorder.has_pool_processes = True
    active.add(requests[1])
    assert [task.pool_pid for task in record(tmp_path).tasks] == [None, 4711]


def test_more_tasks_than_slots_are_counted(tmp_path: Path) -> None:
    _, active = opened(tmp_path)
    requests = [Request(str(number)) for number in range(1000)]
    for request in requests:
        active.add(request)
    assert (len(ids(tmp_path)), record(tmp_path).unrecorded) == (SLOTS, 1000 - SLOTS)
    for request in requests:
        active.discard(request)
    assert record(tmp_path).total == 0


def test_threads_can_start_and_end_tasks_at_once(tmp_path: Path) -> None:
    recorder, active = opened(tmp_path)

    def work() -> None:
        for number in range(300):
            request = Request(str(number))
            active.add(request)
            active.discard(request)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (record(tmp_path).total, recorder.problem) == (0, "")


@pytest.mark.parametrize("python", ["3.6", "3.7"])
def test_a_killed_process_leaves_its_tasks_and_its_child_cannot_change_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    if python == "3.6":
        monkeypatch.delattr(os, "register_at_fork")
    reading, writing = os.pipe()
    main = os.fork()
    if not main:
        try:
            _run_two_tasks_and_fork(tmp_path, writing)
        finally:
            os._exit(1)  # it must not run the other tests
    os.close(writing)
    assert os.read(reading, 1) == b"."
    os.kill(main, signal.SIGKILL)
    os.waitpid(main, 0)
    found = record(tmp_path)
    assert (found.pid, ids(tmp_path)) == (main, ["a", "b"])


def _run_two_tasks_and_fork(directory: Path, writing: int) -> None:
    _, active = opened(directory)
    running = [Request("a"), Request("b")]
    for request in running:
        active.add(request)
    if not os.fork():
        active.discard(running.pop())
        running.clear()
        more = Request("c")
        active.add(more)
        os.write(writing, b".")
        os._exit(0)
    signal.pause()


def test_a_record_with_tasks_survives_the_next_processes(tmp_path: Path) -> None:
    running = [Request(str(number)) for number in range(KEPT + 3)]
    for request in running:
        _, active = opened(tmp_path)
        active.add(request)
        # As if it were killed: nobody clears the slot.
        opened(tmp_path)
    assert [ids(tmp_path, name) for name in task_record.FILES] == [[], ["7"], ["6"], ["5"], ["4"], ["3"]]
    assert {path.name for path in tmp_path.iterdir()} == set(task_record.FILES)


def test_a_record_without_tasks_is_replaced(tmp_path: Path) -> None:
    opened(tmp_path)
    opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [task_record.FILE]


@pytest.mark.parametrize("content", [b"", b"x" * task_record.SIZE], ids=["empty", "foreign"])
def test_a_file_that_is_no_record_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / task_record.FILE).write_bytes(content)
    opened(tmp_path)
    assert record(tmp_path).total == 0


def test_a_link_in_the_place_of_the_record_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in (task_record.FILE, task_record.FILE + ".new"):
        (tmp_path / name).symlink_to(precious)
    opened(tmp_path)
    assert precious.read_text() == "precious"
    assert ids(tmp_path) == []


def test_a_record_that_is_opened_late_counts_the_tasks_that_already_run(tmp_path: Path) -> None:
    recorder, active = recorder_in(tmp_path / "missing"), Active()
    active_requests.follow(active.state, recorder)
    early, late = Request("early"), Request("late")
    active.add(early)
    with pytest.raises(FileNotFoundError):
        recorder.open()
    (tmp_path / "missing").mkdir()
    recorder.open()
    active.add(late)
    assert (ids(tmp_path / "missing"), record(tmp_path / "missing").unrecorded) == (["late"], 1)
    active.discard(early)
    assert record(tmp_path / "missing").unrecorded == 0


def test_an_odd_request_is_left_out_without_an_error(tmp_path: Path) -> None:
    recorder, active = opened(tmp_path)
    odd, whole = Request("a"), Request("b")
    del odd._task
    active.add(odd)
    active.add(whole)
    active.discard(odd)
    assert (ids(tmp_path), recorder.problem) == (["b"], "AttributeError")


def test_an_id_that_cannot_be_shown_is_marked(tmp_path: Path) -> None:
    _, active = opened(tmp_path)
    requests = [Request("\x1b[2J"), Request("\ud800"), Request(7)]
    for request in requests:
        active.add(request)
    assert [(task.id, task.is_cut) for task in record(tmp_path).tasks] == [("?[2J", True), ("?", True), ("7", True)]


def test_longest_tasks_count_while_they_run_and_after_they_end(tmp_path: Path) -> None:
    recorder, active = opened(tmp_path)
    nothing = dict.fromkeys(recorder.longest_tasks(time.monotonic()))
    assert recorder.longest_tasks(time.monotonic()) == nothing
    early, late = Request("a", name="shop.early"), Request("b", name="shop.late", acks_late=True)
    early.time_start -= 100
    late.time_start -= 50
    for request in (early, late):
        active.add(request)
    active.discard(early)
    found = recorder.longest_tasks(time.monotonic() + 5)
    assert (found["longest_task"], found["longest_late_task"]) == ("shop.early", "shop.late")
    assert 100 <= found["longest_task_seconds"] < 105
    assert 55 <= found["longest_late_task_seconds"] < 60
    active.discard(late)
    assert recorder.longest_tasks(time.monotonic()) == found
    assert recorder.longest_tasks(time.monotonic() + 500) == found


def test_names_that_messages_choose_take_no_memory_without_end_and_keep_the_longest(tmp_path: Path) -> None:
    recorder, active = opened(tmp_path)
    for number in range(MOST_KINDS + 5):
        request = Request(str(number), name=f"shop.{number}")
        if not number:
            request.time_start -= 1000
        active.add(request)
        active.discard(request)
    assert len(recorder._kinds) <= MOST_KINDS
    assert recorder.longest_tasks(time.monotonic())["longest_task"] == "shop.0"


@contextmanager
def no_room() -> Iterator[None]:
    """Let every write to a file fail, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_tasks_that_begin_or_end_on_a_full_disk_are_right_once_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_file, "IN_PLACE", ())
    recorder, active = opened(tmp_path)
    before, during, after = Request("before"), Request("during"), Request("after")
    active.add(before)
    with no_room():
        active.add(during)
        active.discard(before)
    assert (ids(tmp_path), recorder.problem) == (["before"], "OSError")
    active.add(after)
    active.discard(during)
    active.discard(after)
    assert record(tmp_path).total == 0
    many = [Request(str(number)) for number in range(SLOTS)]
    for request in many:
        active.add(request)
    assert len(ids(tmp_path)) == SLOTS


def test_record_that_cannot_be_created_leaves_the_earlier_one(tmp_path: Path) -> None:
    _, active = opened(tmp_path)
    request = Request("earlier")
    active.add(request)
    with no_room(), pytest.raises(OSError, match="File too large"):
        recorder_in(tmp_path).open()
    assert ids(tmp_path) == ["earlier"]
