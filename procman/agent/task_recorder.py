"""Record the tasks that a worker runs, and how long the longest took: Celery 4.4 to 5.7, every pool.

A task is entered and cleared by the thread that starts or ends it, in memory that is mapped to a file: without a lock
and, on the usual file systems, without a system call. The kernel keeps that memory when the process is killed.
"""

import os
from time import monotonic, time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set

from . import mapped_file, run_files, task_record
from .settings import HealthSettings
from .task_record import RunningTask
from .worker_state import described, printable

FREE = bytes(task_record.CHECKSUM.size)


class Entry(NamedTuple):
    """A running task, and its slot; None if it has none."""

    task: RunningTask
    slot: Optional[int]


class Longest(NamedTuple):
    """A task that has taken longer than any other."""

    seconds: float
    name: str


class TaskRecorder:
    """The tasks of this process.

    Threads of a pool use it at the same time: each operation on a collection is one step of Python, and each thread
    writes only to the slot that it has taken.
    """

    def __init__(self, settings: HealthSettings, started: float) -> None:
        self._settings = settings
        self._started = started
        self._file: Any = None
        self._free: List[int] = list(reversed(range(task_record.SLOTS)))
        self._uncleared: List[int] = []
        self._running: Dict[Any, Entry] = {}
        self._unrecorded: Set[Any] = set()
        self._is_own_process = _follow_forks()
        self.has_pool_processes = False
        """Whether processes run the tasks: for greenlets Celery has a number that is no pid."""
        self._longest: Dict[bool, Longest] = {}
        self.problem = ""
        """Why the last task could not be recorded."""

    # The file --------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether tasks are recorded."""
        return self._file is not None

    def open(self) -> None:
        """Begin the record; keep that of an earlier process if it ended while tasks were running. Raises OSError.

        Tasks that are running already are only counted.
        """
        path = os.path.join(self._settings.run_directory, task_record.FILE)
        started_wall = time() - (monotonic() - self._started)
        file = mapped_file.create(path + ".new", task_record.SIZE)
        header = task_record.header(self._settings.boot_id, os.getpid(), self._started, started_wall)
        file[0 : len(header)] = header
        _keep_earlier(path)
        os.rename(path + ".new", path)
        self._unrecorded.update(list(self._running))
        self._file = file
        self._count_unrecorded()

    def _count_unrecorded(self) -> None:
        if self._file is not None:
            begin = task_record.UNRECORDED
            self._file[begin : begin + len(FREE)] = task_record.CHECKSUM.pack(len(self._unrecorded))

    # Tasks -----------------------------------------------------------------------------------------------------------

    def enter(self, reference: Any) -> None:
        """Record that the task of a request starts; `reference` is Celery's weak reference to the request."""
        try:
            if reference not in self._running and self._is_own_process():
                task = self._task_of(reference())
                slot = self._record(task)
                self._running[reference] = Entry(task, slot)
                if slot is None:
                    self._unrecorded.add(reference)
                    self._count_unrecorded()
        except Exception as error:
            self.problem = described(error)

    def leave(self, reference: Any) -> None:
        """Clear the task of a request, because it has ended."""
        try:
            entry = self._running.pop(reference, None)
            if entry is not None and self._is_own_process():
                self._note_length(entry.task, monotonic())
                if entry.slot is None:
                    self._unrecorded.discard(reference)
                    self._count_unrecorded()
                else:
                    self._clear(entry.slot)
        except Exception as error:
            self.problem = described(error)

    def running(self) -> List[RunningTask]:
        """Return the running tasks."""
        return [entry.task for entry in list(self._running.values())]

    def _record(self, task: RunningTask) -> Optional[int]:
        """Write `task` to a free slot and return its number; return None if there is none."""
        file = self._file
        if file is None:
            return None
        try:
            slot = self._free.pop()
        except IndexError:
            return None
        checksum, body = task_record.slot(task)
        begin = task_record.offset_of(slot)
        try:
            file[begin + len(checksum) : begin + len(checksum) + len(body)] = body
            # Only now is the slot in use: a process that is killed before this leaves it free.
            file[begin : begin + len(checksum)] = checksum
        except OSError as error:  # only of a file that is not mapped
            self.problem = described(error)
            self._clear(slot)
            return None
        return slot

    def _clear(self, slot: int) -> None:
        """Free `slot`, and those that could not be freed before because the disk was full."""
        self._uncleared.append(slot)
        while self._uncleared:
            slot = self._uncleared.pop()
            begin = task_record.offset_of(slot)
            try:
                self._file[begin : begin + len(FREE)] = FREE
            except OSError:
                self._uncleared.append(slot)
                raise
            self._free.append(slot)

    def _task_of(self, request: Any) -> RunningTask:
        started_wall = getattr(request, "time_start", None)
        wall = time()
        if not isinstance(started_wall, float) or not 0 <= started_wall <= wall:
            started_wall = wall
        # That clock may be set while the task runs: convert it now.
        started = max(0.0, monotonic() - (wall - started_wall))
        request.procman_since = started
        options, task_id = request.task, _fit(request.id)
        return RunningTask(
            task_id,
            _fit(request.name),
            started,
            started_wall,
            request.worker_pid if self.has_pool_processes else None,
            bool(options.acks_late),
            bool(options.reject_on_worker_lost),
            is_cut=task_id != request.id,
        )

    # The longest task ------------------------------------------------------------------------------------------------

    def longest_tasks(self, now: float) -> Mapping[str, Any]:
        """Return the fields of a heartbeat about the tasks that have taken the longest, of those that still run too."""
        for entry in list(self._running.values()):
            self._note_length(entry.task, now)
        late = self._longest.get(True)
        both = [each for each in (late, self._longest.get(False)) if each]
        longest = max(both) if both else None
        return {
            "longest_task": longest and longest.name,
            "longest_task_seconds": longest and longest.seconds,
            "longest_late_task": late and late.name,
            "longest_late_task_seconds": late and late.seconds,
        }

    def _note_length(self, task: RunningTask, now: float) -> None:
        seconds, longest = now - task.started, self._longest.get(task.acks_late)
        if longest is None or seconds > longest.seconds:
            self._longest[task.acks_late] = Longest(seconds, task.name)


class RunningReferences(set):  # type: ignore[type-arg]
    """The set inside the WeakSet in which Celery keeps its active requests, with a recorder that follows it.

    Celery adds a request there before it acknowledges the message, and removes it when it knows the end of the task, in
    every version and pool, and whichever class of requests or strategy a task has. Its functions have taken the methods
    of the WeakSet as defaults, so only the set inside can be replaced.
    """

    def __init__(self, references: Any, recorder: TaskRecorder) -> None:
        super().__init__(references)
        self._recorder = recorder

    def add(self, reference: Any) -> None:
        super().add(reference)
        self._recorder.enter(reference)

    def discard(self, reference: Any) -> None:
        self._recorder.leave(reference)
        super().discard(reference)

    def remove(self, reference: Any) -> None:
        self._recorder.leave(reference)
        super().remove(reference)

    def clear(self) -> None:
        for reference in list(self):
            self._recorder.leave(reference)
        super().clear()


def follow(active_requests: Any, recorder: TaskRecorder) -> None:
    """Record the requests in `active_requests`, Celery's WeakSet, from now on."""
    active_requests.data = RunningReferences(active_requests.data, recorder)


def _fit(text: Any) -> str:
    return text if isinstance(text, str) and len(text) <= 100 and text.isprintable() else printable(text)


def _follow_forks() -> Callable[[], bool]:
    """Return a function that returns False in children of this process, which have inherited the record."""
    own = os.getpid()
    if not hasattr(os, "register_at_fork"):  # Python 3.7
        return lambda: os.getpid() == own
    is_own = [True]
    os.register_at_fork(after_in_child=is_own.clear)
    return lambda: bool(is_own)


def _keep_earlier(path: str) -> None:
    """Rename the record at `path` if tasks are left in it, and drop the oldest; anything else there is no record."""
    try:
        content = run_files.read_bytes(path, task_record.SIZE)
        if content is None or not task_record.read(content).total:
            return
    except (OSError, ValueError):
        return
    directory = os.path.dirname(path)
    names = [os.path.join(directory, name) for name in task_record.FILES]
    for number in range(task_record.KEPT, 0, -1):
        try:
            os.rename(names[number - 1], names[number])
        except FileNotFoundError:
            pass
