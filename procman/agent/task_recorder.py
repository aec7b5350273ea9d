"""Record the tasks that a worker runs, and how long the longest took: Celery 4.4 to 5.7, every pool.

A task is entered and cleared by the thread that starts or ends it, in memory that is mapped to a file: without a lock
and, on the usual file systems, without a system call. The kernel keeps that memory when the process is killed.
"""

import os
from time import monotonic, time
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple
from weakref import ref

from . import mapped_file, process_stat, run_files, task_record
from . import task_record_layout as layout
from .longest_tasks import LongestTasks
from .settings import HealthSettings
from .task_kind import Kind
from .task_record import RunningTask
from .task_run import Run
from .worker_state import described, printable

MOST_KINDS = 1000


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
        self._free: List[Run] = []
        """One for each slot that was used and is free."""
        self._unused: List[int] = []
        """Where the other slots begin."""
        self._uncleared: List[Run] = []
        self._kinds: Dict[Any, Kind] = {}
        self._running: Dict[int, Run] = {}
        """The running tasks, by the identity of the request."""
        self._unrecorded: Set[Run] = set()
        self._on_disappearance = self._leave_disappeared  # each access would make another method object
        self.add: Callable[[Any], None] = self._do_nothing
        """What Celery calls itself when a task begins."""
        self.discard: Callable[[Any], None] = self._do_nothing
        """The same when it has ended."""
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

    def _do_nothing(self, request: Any) -> None:
        """Stand in for Celery."""

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
        self.file = file
        self._unused = [layout.slot_offset(number) for number in reversed(range(layout.SLOTS))]
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

    # Each task takes this way twice, so it makes few calls, also of Celery's properties, and touches little memory.

    def enter(self, request: Any) -> None:
        """Record that the task of a request starts, once Celery has it among those that run."""
        self.add(request)
        try:
            identity = id(request)
            if identity in self._running or (self._may_be_child and os.getpid() != self._pid):
                return
            name, task = request.name, request._task
            kind = self._kinds.get(name)
            if kind is None or kind.task is not task:
                kind = self._new_kind(name, task)
            # A pause between the clocks must not make it later than the begin of the task's code (`task_marks.py`).
            now, started_wall, wall = monotonic(), request.time_start, time()
            if not 0 < (started_wall or 0) <= wall:
                started_wall = wall
            # That clock may be set while the task runs: convert it now.
            started = now - (wall - started_wall)
            if started < 0:
                started = 0.0
            pool_pid = (request.worker_pid or 0) if self.has_pool_processes else 0
            try:
                run = self._free.pop()
            except IndexError:
                run = self._new_run()
            if run.state is not None:
                try:
                    run.write(kind, request.id, pool_pid, started, started_wall)
                except Exception as error:
                    self.problem = described(error)
                    self._uncleared.append(run)
                    run = self._unrecorded_run()
            run.kind, run.started = kind, started
            # Celery forgets a request that disappears without a word.
            run.request = ref(request, self._on_disappearance)
            self._running[identity] = run
            if kind.pending and run.state is not None:
                run.message = message = request._message
                message.procman_run = run
        except Exception as error:
            self.problem = described(error)

    def leave(self, request: Any) -> None:
        """Clear the task of a request, because it has ended, before Celery forgets that it runs."""
        self._leave(id(request))
        self.discard(request)

    def _leave_disappeared(self, reference: Any) -> None:
        for identity, run in list(self._running.items()):
            if run.request is reference:
                self._leave(identity)

    def _leave(self, identity: int) -> None:
        try:
            run = self._running.pop(identity, None)
            if run is None or (self._may_be_child and os.getpid() != self._pid):
                return
            run.request = run.message = None
            seconds, kind = monotonic() - run.started, run.kind
            if seconds > kind.longest:
                kind.longest = seconds
            if run.state is None:
                self._unrecorded.discard(run)
                self._count_unrecorded()
                return
            try:
                run.state[0] = layout.FREE
            except OSError:
                self._uncleared.append(run)
                raise
            self._free.append(run)
            if self._uncleared:
                self._clear()
        except Exception as error:
            self.problem = described(error)

    def since(self, request: Any) -> Optional[float]:
        """Return when the task of a request started, by the monotonic clock; None if it does not run."""
        run = self._running.get(id(request))
        found = run and run.now()
        return found[2] if found and found[0] is request else None

    def _new_kind(self, name: Any, task: Any) -> Kind:
        if name in self._kinds or len(self._kinds) >= MOST_KINDS:
            self._note_ended()
            self._kinds.clear()
        kind = self._kinds[name] = Kind(name, task)
        return kind

    def _new_run(self) -> Run:
        """Return a run in a slot that was never used; without one, if all are in use or there is no record yet."""
        try:
            return Run(self.file, self._unused.pop())
        except IndexError:
            return self._unrecorded_run()

    def _unrecorded_run(self) -> Run:
        run = Run()
        self._unrecorded.add(run)
        try:
            self._count_unrecorded()
        except OSError as error:  # only of a file that is not mapped
            self.problem = described(error)
        return run

    def _clear(self) -> None:
        """Free the slots that could not be freed before because the disk was full."""
        while self._uncleared:
            run = self._uncleared.pop()
            try:
                run.state[0] = layout.FREE
            except OSError:
                self._uncleared.append(run)
                raise
            self._free.append(run)

    def running(self) -> List[RunningTask]:
        """Return the running tasks."""
        return [self._task_of(*found) for found in self._now()]

    def _now(self) -> List[Tuple[Any, Kind, float]]:
        found = [run.now() for run in list(self._running.values())]
        return [each for each in found if each]

    def of_pool_process(self, pid: int) -> List[Tuple[Any, RunningTask]]:
        """Return the requests that the pool process `pid` has accepted, with their tasks and how far these had come."""
        own = [(found[0], self._task_of(*found)) for found in self._now()]
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

    def _task_of(self, request: Any, kind: Kind, started: float) -> RunningTask:
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
        self._longest.note((kind, now - started) for _, kind, started in self._now())
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
