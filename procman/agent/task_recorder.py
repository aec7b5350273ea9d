"""Record the tasks that a worker runs, and how long the longest took: Celery 4.4 to 5.7, every pool.

A task is entered and cleared by the thread that starts or ends it, in memory that is mapped to a file: without a lock
and, on the usual file systems, without a system call. The kernel keeps that memory when the process is killed.
"""

import os
from time import monotonic, time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import mapped_file, process_stat, run_files, task_record
from .settings import HealthSettings
from .task_record import RunningTask
from .worker_state import described, printable

NOTHING = bytes(task_record.CHECKSUM.size)
MOST_KINDS = 1000


class Longest(NamedTuple):
    """A task that has taken longer than any other."""

    seconds: float
    name: str


Run = Tuple[Optional[int], "Kind", float]
"""Where the slot of a running task begins (None if it has none), its kind, and its start by the monotonic clock."""


class Kind:
    """What the runs of one task have in common, prepared once; a message can give its own name (`shadow`)."""

    __slots__ = ("acks_late", "encoded", "flags", "is_rejected_if_lost", "longest", "name", "task")

    def __init__(self, name: Any, task: Any) -> None:
        self.task = task
        self.name: str = name if isinstance(name, str) and name.isprintable() else printable(name)
        self.encoded = task_record.name_of(self.name)
        self.acks_late, self.is_rejected_if_lost = bool(task.acks_late), bool(task.reject_on_worker_lost)
        is_sent_again = bool(getattr(task, "retry_on_worker_lost", None))
        self.flags = task_record.flags(self.acks_late, self.is_rejected_if_lost, is_sent_again)
        self.longest = -1.0
        """How many seconds its longest run took; negative if none has ended."""


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
        self._free: List[int] = [task_record.offset_of(number) for number in reversed(range(task_record.SLOTS))]
        """Where the free slots begin."""
        self._uncleared: List[int] = []
        self._kinds: Dict[Any, Kind] = {}
        self._running: Dict[Any, Run] = {}
        """The running tasks, by reference."""
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
        return self.file is not None

    def open(self) -> None:
        """Begin the record; keep that of an earlier process if it ended while tasks were running. Raises OSError.

        Tasks that are running already are only counted.
        """
        path = os.path.join(self._settings.run_directory, task_record.FILE)
        started_wall = time() - (monotonic() - self._started)
        file = mapped_file.create(path + ".new", task_record.SIZE)
        header = task_record.header(self._settings.boot_id, os.getpid(), self._started, started_wall)
        file[0 : len(header)] = header
        ticks = task_record.start_ticks(process_stat.start_ticks("self"))
        file[task_record.START_TICKS_AT : task_record.START_TICKS_AT + len(ticks)] = ticks
        _keep_earlier(path)
        os.rename(path + ".new", path)
        self._unrecorded.update(list(self._running))
        self.file = file
        self._count_unrecorded()
        self._note_broker()

    def note_broker(self, transport: Any, visibility_seconds: Optional[float]) -> None:
        """Record the transport to the broker, and after how long it delivers unacknowledged messages again."""
        self._broker = task_record.broker(printable(transport), visibility_seconds)
        self._note_broker()

    def _note_broker(self) -> None:
        if self.file is not None and self._broker:
            self.file[task_record.BROKER_AT : task_record.BROKER_AT + len(self._broker)] = self._broker

    def _count_unrecorded(self) -> None:
        if self.file is not None:
            begin = task_record.UNRECORDED
            self.file[begin : begin + len(NOTHING)] = task_record.CHECKSUM.pack(len(self._unrecorded))

    # Tasks -----------------------------------------------------------------------------------------------------------

    # Each task takes this way twice, so it makes few calls and touches little memory.

    def enter(self, reference: Any) -> None:
        """Record that the task of a request starts; `reference` is Celery's weak reference to the request."""
        try:
            if reference in self._running or self._is_child or (self._pid and os.getpid() != self._pid):
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
            request.procman_since = started
            slot = self._record(request, kind, started, started_wall)
            self._running[reference] = slot, kind, started
            if slot is None:
                self._unrecorded.add(reference)
                self._count_unrecorded()
            elif not kind.acks_late:
                request.message.procman_task = self, reference
        except Exception as error:
            self.problem = described(error)

    def leave(self, reference: Any) -> None:
        """Clear the task of a request, because it has ended."""
        try:
            run = self._running.pop(reference, None)
            if run is None or self._is_child or (self._pid and os.getpid() != self._pid):
                return
            slot, kind, started = run
            seconds = monotonic() - started
            if seconds > kind.longest:
                kind.longest = seconds
            if slot is None:
                self._unrecorded.discard(reference)
                self._count_unrecorded()
            else:
                self._clear(slot)
        except Exception as error:
            self.problem = described(error)

    def note_acknowledgement(self, reference: Any, state: int) -> None:
        """Record what the broker knows of the acknowledgement of a task, if the task still runs."""
        run = self._running.get(reference)
        if run is not None and run[0] is not None:
            self.file[_pending_of(run[0])] = state

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
        pool_pid = request.worker_pid if self.has_pool_processes else 0
        try:
            task_id, flags = request.id.encode(), kind.flags
        except (AttributeError, UnicodeError):
            task_id, flags = printable(request.id).encode(), kind.flags | task_record.IS_CUT
        body = task_record.body(flags, pool_pid or 0, started, started_wall, task_id, kind.encoded)
        try:
            slot = self._free.pop()
        except IndexError:
            return None
        try:
            file[slot + task_record.SLOT_BODY : slot + task_record.SLOT_BODY + len(body)] = body
            file[_pending_of(slot)] = 0 if kind.acks_late else task_record.PENDING
            # Only now is the slot in use: a process that is killed before this leaves it free.
            file[slot] = task_record.USED
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
                self.file[slot] = task_record.FREE
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
        progress = {task.id: task.progress for task in tasks}
        return [
            (request, task._replace(progress=progress.get(task.id, "")))
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
            is_sent_again_if_lost=bool(kind.flags & task_record.SENT_AGAIN_IF_LOST),
        )

    # The longest task ------------------------------------------------------------------------------------------------

    def longest_tasks(self, now: float) -> Mapping[str, Any]:
        """Return the fields of a heartbeat about the tasks that have taken the longest, of those that still run too."""
        for _, kind, started in list(self._running.values()):
            self._note(kind, now - started)
        self._note_ended()
        late = self._longest.get(True)
        both = [each for each in (late, self._longest.get(False)) if each]
        longest = max(both) if both else None
        return {
            "longest_task": longest and longest.name,
            "longest_task_seconds": longest and longest.seconds,
            "longest_late_task": late and late.name,
            "longest_late_task_seconds": late and late.seconds,
        }

    def _note_ended(self) -> None:
        for kind in list(self._kinds.values()):
            self._note(kind, kind.longest)

    def _note(self, kind: Kind, seconds: float) -> None:
        longest = self._longest.get(kind.acks_late)
        if seconds > (longest.seconds if longest else 0):
            self._longest[kind.acks_late] = Longest(seconds, kind.name)


class RunningReferences(set):  # type: ignore[type-arg]
    """The set inside the WeakSet in which Celery keeps its active requests, with a recorder that follows it.

    Celery adds a request there before it acknowledges the message, and removes it when it knows the end of the task, in
    every version and pool, and whichever class of requests or strategy a task has. Its functions have taken the methods
    of the WeakSet as defaults, so only the set inside can be replaced.
    """

    def __init__(self, references: Any, recorder: TaskRecorder) -> None:
        super().__init__(references)
        self._enter, self._leave = recorder.enter, recorder.leave

    def add(self, reference: Any) -> None:
        set.add(self, reference)
        self._enter(reference)

    def discard(self, reference: Any) -> None:
        self._leave(reference)
        set.discard(self, reference)

    def remove(self, reference: Any) -> None:
        self._leave(reference)
        super().remove(reference)

    def clear(self) -> None:
        for reference in list(self):
            self._leave(reference)
        super().clear()


def note_acknowledgement(message: Any, state: int = 0) -> None:
    """Record that the broker knows that `message` is acknowledged, or with another `state`, that this is on its way.

    Celery acknowledges a message early to itself at first, and to the broker when its event loop turns: in the solo
    pool after the task, in the threads pool up to a second later.
    """
    try:
        recorder, reference = message.procman_task
        recorder.note_acknowledgement(reference, state)
    except Exception:  # noqa: S110  # most messages are of no running task
        pass


def follow_acknowledgements(messages: Any) -> None:
    """Record when a message of the class `messages`, kombu's, is acknowledged."""
    acknowledge = messages.ack

    def acknowledge_and_record(self: Any, *arguments: Any, **more: Any) -> Any:
        note_acknowledgement(self, task_record.ON_ITS_WAY)
        result = acknowledge(self, *arguments, **more)
        note_acknowledgement(self)
        return result

    messages.ack = acknowledge_and_record


def _pending_of(slot: int) -> int:
    return task_record.pending_offset((slot - task_record.HEADER_SIZE) // task_record.SLOT_SIZE)


def follow(active_requests: Any, recorder: TaskRecorder) -> None:
    """Record the requests in `active_requests`, Celery's WeakSet, from now on."""
    active_requests.data = RunningReferences(active_requests.data, recorder)


def members(requests: Any) -> List[Any]:
    """Return the members of one of Celery's WeakSets, for another thread than the one that changes it."""
    # It keeps its references in a set, which list() copies atomically.
    found = (reference() for reference in list(requests.data))
    return [member for member in found if member is not None]


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
