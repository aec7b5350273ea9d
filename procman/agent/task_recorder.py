"""Record the tasks that a worker runs, and how long the longest took: Celery 4.4 to 5.7, every pool.

A task is entered and cleared by the thread that starts or ends it, in memory that is mapped to a file: without a lock
and, on the usual file systems, without a system call. The kernel keeps that memory when the process is killed.
"""

import os
from time import monotonic, time
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple
from weakref import ref

from . import mapped_file, process_stat, run_files, task_record
from . import task_record_layout as layout
from .longest_tasks import LongestTasks
from .settings import HealthSettings
from .task_kind import Kind
from .task_record import RunningTask
from .worker_state import described, printable

MOST_KINDS = 1000

Run = Tuple[Optional[int], Kind, float]
"""Where the slot of a running task begins (None if it has none), its kind, and its start by the monotonic clock."""


class TaskRecorder:
    """The tasks of this process.

    Threads of a pool use it at the same time: each operation on a collection is one step of Python, and each thread
    writes only to the slot that it has taken.
    """

    def __init__(self, settings: HealthSettings, started: float) -> None:
        self._settings = settings
        self._started = started
        self.file: Any = None
        """The record, as `mapped_file.create` returns it; None until it is open."""
        self._broker = b""
        self._free: List[int] = [layout.slot_offset(number) for number in reversed(range(layout.SLOTS))]
        """Where the free slots begin."""
        self._uncleared: List[int] = []
        self._kinds: Dict[Any, Kind] = {}
        self._running: Dict[Any, Run] = {}
        """The running tasks, by reference."""
        self._unrecorded: Set[Any] = set()
        self._may_be_child = False
        self._pid = os.getpid()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._disown)
        else:  # Python 3.6
            self._may_be_child = True
        self.has_pool_processes = False
        """Whether processes run the tasks: for greenlets Celery has a number that is no pid."""
        self._longest = LongestTasks()
        self.problem = ""
        """Why the last task could not be recorded."""

    def _disown(self) -> None:
        """Leave the record alone in a child process, which has inherited it."""
        self._may_be_child = True

    # The file --------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether tasks are recorded."""
        return self.file is not None

    def open(self) -> None:
        """Begin the record; keep that of an earlier process if it ended while tasks were running. Raises OSError.

        Tasks that are running already are only counted.
        """
        path = os.path.join(self._settings.run_directory, task_record.FILE)
        started_wall = time() - (monotonic() - self._started)
        file = mapped_file.create(path + ".new", task_record.SIZE)
        header = layout.header(self._settings.boot_id, os.getpid(), self._started, started_wall)
        file[0 : len(header)] = header
        ticks = layout.start_ticks(process_stat.start_ticks("self"))
        file[layout.START_TICKS_AT : layout.START_TICKS_AT + len(ticks)] = ticks
        _keep_earlier(path)
        os.rename(path + ".new", path)
        self._unrecorded.update(list(self._running))
        self.file = file
        self._count_unrecorded()
        self._note_broker()

    def note_broker(self, transport: Any, visibility_seconds: Optional[float]) -> None:
        """Record the transport to the broker, and after how long it delivers unacknowledged messages again."""
        self._broker = layout.broker(printable(transport), visibility_seconds)
        self._note_broker()

    def _note_broker(self) -> None:
        if self.file is not None and self._broker:
            self.file[layout.BROKER_AT : layout.BROKER_AT + len(self._broker)] = self._broker

    def _count_unrecorded(self) -> None:
        if self.file is not None:
            begin = layout.UNRECORDED
            self.file[begin : begin + layout.CHECKSUM.size] = layout.CHECKSUM.pack(len(self._unrecorded))

    # Tasks -----------------------------------------------------------------------------------------------------------

    # Each task takes this way twice, so it makes few calls and touches little memory.

    def enter(self, reference: Any) -> None:
        """Record that the task of a request starts; `reference` is Celery's weak reference to the request."""
        try:
            running = self._running
            if reference in running or (self._may_be_child and os.getpid() != self._pid):
                return
            request = reference()
            name, task = request.name, request.task
            kind = self._kinds.get(name)
            if kind is None or kind.task is not task:
                kind = self._new_kind(name, task)
            # A pause between the clocks must not make it later than the begin of the task's code (`task_marks.py`).
            now, started_wall, wall = monotonic(), request.time_start, time()
            if not started_wall or not 0 <= started_wall <= wall:
                started_wall = wall
            # That clock may be set while the task runs: convert it now.
            started = now - (wall - started_wall)
            if started < 0:
                started = 0.0
            slot = self._record(request, kind, started, started_wall)
            running[reference] = slot, kind, started
            if slot is None:
                self._unrecorded.add(reference)
                self._count_unrecorded()
            elif kind.pending:
                request.message.procman_task = self.file, running, reference, slot + layout.PENDING_AT
        except Exception as error:
            self.problem = described(error)

    def leave(self, reference: Any) -> None:
        """Clear the task of a request, because it has ended."""
        try:
            run = self._running.pop(reference, None)
            if run is None or (self._may_be_child and os.getpid() != self._pid):
                return
            slot, kind, started = run
            seconds = monotonic() - started
            if seconds > kind.longest:
                kind.longest = seconds
            if slot is None:
                self._unrecorded.discard(reference)
                self._count_unrecorded()
            elif self._uncleared:
                self._clear(slot)
            else:
                try:
                    self.file[slot] = 0
                except OSError:
                    self._uncleared.append(slot)
                    raise
                self._free.append(slot)
        except Exception as error:
            self.problem = described(error)

    def since(self, request: Any) -> Optional[float]:
        """Return when the task of a request started, by the monotonic clock; None if it does not run."""
        run = self._running.get(ref(request))
        return run and run[2]

    def _new_kind(self, name: Any, task: Any) -> Kind:
        if name in self._kinds or len(self._kinds) >= MOST_KINDS:
            self._note_ended()
            self._kinds.clear()
        kind = self._kinds[name] = Kind(name, task)
        return kind

    def _record(self, request: Any, kind: Kind, started: float, started_wall: float) -> Optional[int]:
        """Write a task to a free slot and return where it begins; return None if there is none."""
        file = self.file
        if file is None:
            return None
        pool_pid = (request.worker_pid or 0) if self.has_pool_processes else 0
        try:
            task_id, flags = request.id.encode(), kind.flags
        except (AttributeError, UnicodeError):
            task_id, flags = printable(request.id).encode(), kind.flags | layout.IS_CUT
        if len(task_id) == layout.USUAL_ID:
            write = kind.write or kind.bind(file)
            content = kind.pack(
                flags, layout.USUAL_ID, kind.name_length, pool_pid, started, started_wall, task_id, kind.name_bytes
            )
        else:
            content = layout.content(flags, pool_pid, started, started_wall, task_id, kind.name_bytes)
            write = mapped_file.writer(file, layout.whole_structure_of(content))
        try:
            slot = self._free.pop()
        except IndexError:
            return None
        try:
            write(slot + layout.PENDING_AT, kind.pending, content, int.from_bytes(content, "little") % layout.PRIME)
            # Only now is the slot in use: a process that is killed before this leaves it free.
            file[slot] = layout.USED
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
            try:
                self.file[slot] = layout.FREE
            except OSError:
                self._uncleared.append(slot)
                raise
            self._free.append(slot)

    def running(self) -> List[RunningTask]:
        """Return the running tasks."""
        found = [(reference(), run) for reference, run in list(self._running.items())]
        return [self._task_of(request, *run) for request, run in found if request is not None]

    def of_pool_process(self, pid: int) -> List[Tuple[Any, RunningTask]]:
        """Return the requests that the pool process `pid` has accepted, with their tasks and how far these had come."""
        found = [(reference(), run) for reference, run in list(self._running.items())]
        own = [(request, self._task_of(request, *run)) for request, run in found if request is not None]
        path = os.path.join(self._settings.run_directory, task_record.FILE)
        content = run_files.read_bytes(path, task_record.SIZE) if self.file is not None else None
        tasks = task_record.read(content).tasks if content else ()
        # A broker can have delivered a task twice: then another process runs it as well.
        progress = {(task.id, task.pool_pid): task.progress for task in tasks}
        return [
            (request, task._replace(progress=progress.get((task.id, pid), "")))
            for request, task in own
            if task.pool_pid == pid
        ]

    def _task_of(self, request: Any, _: Optional[int], kind: Kind, started: float) -> RunningTask:
        return RunningTask(
            id=printable(request.id),
            name=kind.name,
            started=started,
            started_wall=request.time_start,
            pool_pid=request.worker_pid if self.has_pool_processes else None,
            acks_late=kind.acks_late,
            is_rejected_if_lost=kind.is_rejected_if_lost,
            is_sent_again_if_lost=bool(kind.flags & layout.SENT_AGAIN_IF_LOST),
        )

    # The longest task ------------------------------------------------------------------------------------------------

    def longest_tasks(self, now: float) -> Mapping[str, Any]:
        """Return the fields of a heartbeat about the tasks that have taken the longest, of those that still run too."""
        self._longest.note((kind, now - started) for _, kind, started in list(self._running.values()))
        self._note_ended()
        return self._longest.fields()

    def _note_ended(self) -> None:
        self._longest.note((kind, kind.longest) for kind in list(self._kinds.values()))


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
