"""Record the tasks that a worker runs, and how long the longest took: Celery 4.4 to 5.7, every pool.

A task is entered and cleared by the thread that starts or ends it, in memory that is mapped to a file: without a lock
and, on the usual file systems, without a system call. The kernel keeps that memory when the process is killed.
"""

import os
from time import monotonic, time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import mapped_file, run_files, task_record
from .settings import HealthSettings
from .task_record import RunningTask
from .worker_state import described, printable

FREE = bytes(task_record.CHECKSUM.size)


NOT_RUNNING = (None, None)


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
        self._running: Dict[Any, Tuple[Optional[int], RunningTask]] = {}
        """By reference, the slot of each running task; None if it has none."""
        self._unrecorded: Set[Any] = set()
        self._is_child = False
        self._pid = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._disown)
        else:  # Python 3.6
            self._pid = os.getpid()
        self.has_pool_processes = False
        """Whether processes run the tasks: for greenlets Celery has a number that is no pid."""
        self._longest: Dict[bool, Longest] = {}
        self.problem = ""
        """Why the last task could not be recorded."""

    def _disown(self) -> None:
        """Leave the record alone in a child process, which has inherited it."""
        self._is_child = True

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

    # Each task takes this way twice, so it makes few calls.

    def enter(self, reference: Any) -> None:
        """Record that the task of a request starts; `reference` is Celery's weak reference to the request."""
        try:
            if reference in self._running or self._is_child or (self._pid and os.getpid() != self._pid):
                return
            task = self._task_of(reference())
            slot = self._record(task)
            self._running[reference] = slot, task
            if slot is None:
                self._unrecorded.add(reference)
                self._count_unrecorded()
        except Exception as error:
            self.problem = described(error)

    def leave(self, reference: Any) -> None:
        """Clear the task of a request, because it has ended."""
        try:
            slot, task = self._running.pop(reference, NOT_RUNNING)
            if task is None or self._is_child or (self._pid and os.getpid() != self._pid):
                return
            longest = self._longest.get(task.acks_late)
            if longest is None or monotonic() - task.started > longest.seconds:
                self._longest[task.acks_late] = Longest(monotonic() - task.started, task.name)
            if slot is None:
                self._unrecorded.discard(reference)
                self._count_unrecorded()
            else:
                self._clear(slot)
        except Exception as error:
            self.problem = described(error)

    def running(self) -> List[RunningTask]:
        """Return the running tasks."""
        return [task for _, task in list(self._running.values())]

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
        begin = task_record.HEADER_SIZE + slot * task_record.SLOT_SIZE
        try:
            file[begin + 4 : begin + 4 + len(body)] = body
            # Only now is the slot in use: a process that is killed before this leaves it free.
            file[begin : begin + 4] = checksum
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
            begin = task_record.HEADER_SIZE + slot * task_record.SLOT_SIZE
            try:
                self._file[begin : begin + 4] = FREE
            except OSError:
                self._uncleared.append(slot)
                raise
            self._free.append(slot)

    def _task_of(self, request: Any) -> RunningTask:
        started_wall, wall = request.time_start, time()
        if not isinstance(started_wall, float) or not 0 <= started_wall <= wall:
            started_wall = wall
        # That clock may be set while the task runs: convert it now.
        request.procman_since = started = max(0.0, monotonic() - (wall - started_wall))
        options, task_id, name = request.task, request.id, request.name
        is_fit = isinstance(task_id, str) and len(task_id) <= task_record.MOST_ID and task_id.isprintable()
        return RunningTask(
            task_id if is_fit else printable(task_id),
            name if isinstance(name, str) and name.isprintable() else printable(name),
            started,
            started_wall,
            request.worker_pid if self.has_pool_processes else None,
            bool(options.acks_late),
            bool(options.reject_on_worker_lost),
            not is_fit,
        )

    # The longest task ------------------------------------------------------------------------------------------------

    def longest_tasks(self, now: float) -> Mapping[str, Any]:
        """Return the fields of a heartbeat about the tasks that have taken the longest, of those that still run too."""
        for task in self.running():
            longest = self._longest.get(task.acks_late)
            if longest is None or now - task.started > longest.seconds:
                self._longest[task.acks_late] = Longest(now - task.started, task.name)
        late = self._longest.get(True)
        both = [each for each in (late, self._longest.get(False)) if each]
        longest = max(both) if both else None
        return {
            "longest_task": longest and longest.name,
            "longest_task_seconds": longest and longest.seconds,
            "longest_late_task": late and late.name,
            "longest_late_task_seconds": late and late.seconds,
        }


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
        set.add(self, reference)
        self._recorder.enter(reference)

    def discard(self, reference: Any) -> None:
        self._recorder.leave(reference)
        set.discard(self, reference)

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
