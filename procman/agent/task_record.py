"""Read the record of running tasks without trusting its author.

A worker keeps it in a file of fixed size that is mapped into its memory (`task_recorder.py`), so that the file shows
after `kill -9` which tasks were running. `procman install` installs this file beside the launcher; procman imports the
same code. `task_record_layout.py` defines the format.
"""

import struct
from typing import List, NamedTuple, Optional, Tuple

from . import task_record_layout as layout

FILE = "tasks.record"
"""The name of the file in the program's run directory."""
KEPT = 5
"""How many records of earlier processes are kept, because they ended while tasks were running."""
FILES = (FILE, *("%s.%d" % (FILE, number) for number in range(1, KEPT + 1)))
"""The names of all records, newest first."""
SIZE = layout.SIZE

WAITING, BEGUN, FINISHED = "waiting", "begun", "finished"
"""How far a task had come: accepted by its process, in its body, behind it."""
ROUNDING_SECONDS = 0.001


class RunningTask(NamedTuple):
    """A task that was running when the record was read, or when its process ended."""

    id: str
    name: str
    started: float
    """By the monotonic clock of that boot."""
    started_wall: float
    """Seconds since the epoch."""
    pool_pid: Optional[int] = None
    """The pool process that ran it; None if the main process did."""
    acks_late: bool = False
    """Its message was to be acknowledged when it ended, and not when it started."""
    is_rejected_if_lost: bool = False
    """Its message returns to the queue if only its pool process dies (`reject_on_worker_lost`)."""
    is_cut: bool = False
    """The id is not exactly this: it was longer than `MOST_ID` bytes, or not printable."""
    is_sent_again_if_lost: bool = False
    """Celery sends it again if only its pool process dies (`retry_on_worker_lost` of 5.7)."""
    progress: str = ""
    """`WAITING`, `BEGUN` or `FINISHED`; empty if unknown."""
    is_unacknowledged: bool = False
    """The broker does not know yet that its message is acknowledged, if that was to be when it started."""
    may_be_acknowledged: bool = False
    """The acknowledgement was being sent."""


class TaskRecord(NamedTuple):
    """The running tasks of one process of a worker."""

    boot_id: Optional[str]
    pid: int
    """Of the main process."""
    started: float
    """When that process started, by the monotonic clock of that boot, as in its heartbeat."""
    started_wall: float
    """The same in seconds since the epoch."""
    tasks: Tuple[RunningTask, ...] = ()
    """In the order of their start."""
    unrecorded: int = 0
    """How many more tasks were running, for which the record had no room."""
    damaged: int = 0
    """How many slots cannot be read, as after a power failure."""
    transport: str = ""
    """The name of kombu's transport to the broker, such as `amqp` or `redis`; empty if unknown."""
    start_ticks: Optional[int] = None
    """When the kernel started the process, in clock ticks after the boot; with its pid, this identifies it. None if
    unknown."""
    visibility_seconds: Optional[float] = None
    """After how long the broker's client delivers an unacknowledged message again; None if the server does, or if it is
    unknown."""

    @property
    def total(self) -> int:
        """How many tasks were running, as far as known."""
        return len(self.tasks) + self.unrecorded + self.damaged


def read(content: bytes) -> TaskRecord:
    """Return what the bytes of a record mean; at most `SIZE` of them count.

    Raises ValueError with the reason. The file's author is not trusted: numbers are finite and texts printable, so that
    they can be shown on a terminal. A slot whose checksum is wrong is only counted.
    """
    record = _read_header(content)
    marks = _read_marks(content)
    tasks: List[RunningTask] = []
    damaged = 0
    for number in range(layout.SLOTS):
        slot = content[layout.slot_offset(number) : layout.slot_offset(number + 1)]
        if slot[0] == layout.FREE:
            continue
        body = _checked(slot)
        if body is None:
            damaged += 1
            continue
        task, pending = _read_body(body), slot[layout.PENDING_AT]
        tasks.append(
            task._replace(
                progress=_progress(task, record.pid, marks),
                is_unacknowledged=pending == layout.PENDING,
                may_be_acknowledged=pending == layout.ON_ITS_WAY,
            )
        )
    return record._replace(tasks=tuple(sorted(tasks, key=lambda task: task.started)), damaged=damaged)


class Mark(NamedTuple):
    """What a process or thread notes about the task that it began last."""

    pid: int
    taken: float
    began: float
    state: int
    id: bytes


def _read_marks(content: bytes) -> List[Mark]:
    found = (Mark(*layout.MARK.unpack_from(content, layout.mark_offset(number))) for number in range(layout.MARKS))
    return [mark for mark in found if mark.pid]


def _progress(task: RunningTask, main_pid: int, marks: List[Mark]) -> str:
    if task.is_cut:
        return ""
    own_id = layout.marked_id(task.id)
    # A process that runs a task again has a mark of the run before.
    own = [mark for mark in marks if mark.pid == (task.pool_pid or main_pid)]
    run = [mark for mark in own if mark.id == own_id and mark.began >= task.started - ROUNDING_SECONDS]
    if run:
        return FINISHED if run[-1].state == layout.ENDED else BEGUN
    # Threads take a mark with their first task, and more threads than marks have none.
    return WAITING if own and task.pool_pid else ""


def _read_header(content: bytes) -> TaskRecord:
    if content[: len(layout.MAGIC)] != layout.MAGIC or len(content) < SIZE:
        is_other = content.startswith(layout.ANY_MAGIC) and not content.startswith(layout.MAGIC)
        raise ValueError("another version of procman wrote it" if is_other else "it is not a record of tasks")
    _, checksum, slot_size, slots, pid, started, started_wall, boot_id = layout.START.unpack_from(content)
    is_whole = checksum == layout.checksum(content[12 : layout.START.size])
    if not is_whole or (slot_size, slots) != (layout.SLOT_SIZE, layout.SLOTS):
        raise ValueError("its header is damaged")
    [unrecorded] = layout.CHECKSUM.unpack_from(content, layout.UNRECORDED)
    name = _text(boot_id.rstrip(b"\0"))
    record = TaskRecord(name or None, pid, _time(started), _time(started_wall), unrecorded=unrecorded)
    transport, visibility = _read_broker(content)
    return record._replace(start_ticks=_read_start_ticks(content), transport=transport, visibility_seconds=visibility)


def _read_start_ticks(content: bytes) -> Optional[int]:
    end = layout.START_TICKS_AT + layout.START_TICKS.size
    [ticks] = layout.START_TICKS.unpack_from(content, layout.START_TICKS_AT)
    [checksum] = layout.CHECKSUM.unpack_from(content, end)
    # Records that do not have it have zeros there, which are their own checksum.
    return int(ticks) or None if checksum == layout.checksum(content[layout.START_TICKS_AT : end]) else None


def _read_broker(content: bytes) -> Tuple[str, Optional[float]]:
    end = layout.BROKER_AT + layout.BROKER.size
    [checksum] = layout.CHECKSUM.unpack_from(content, end)
    encoded, visibility = layout.BROKER.unpack_from(content, layout.BROKER_AT)
    if checksum != layout.checksum(content[layout.BROKER_AT : end]):
        return "", None
    return _text(encoded.rstrip(b"\0")), _time(visibility) or None


def _checked(slot: bytes) -> Optional[bytes]:
    """Return the content of a slot in use; None if it is damaged."""
    _, id_length, name_length, *_ = struct.unpack_from(layout.FRONT, slot, layout.SLOT_BODY)
    end = layout.SLOT_BODY + layout.FRONT_SIZE + id_length + name_length
    content = slot[layout.SLOT_BODY : end]
    found = slot[end : end + layout.CHECKSUM.size]
    is_whole = slot[0] == layout.USED and slot[layout.PENDING_AT] in (0, layout.PENDING, layout.ON_ITS_WAY)
    return content if is_whole and found == layout.CHECKSUM.pack(layout.checksum(content)) else None


def _read_body(content: bytes) -> RunningTask:
    flags, id_length, name_length, pool_pid, started, started_wall = struct.unpack_from(layout.FRONT, content)
    if id_length > layout.MOST_ID or name_length > layout.MOST_NAME:
        raise ValueError("a text is too long")
    texts = content[layout.FRONT_SIZE :]
    # The worker does not spend the time to look at every character of an id.
    task_id = texts[:id_length].decode("utf-8")
    shown = "".join(each if each.isprintable() else "?" for each in task_id)
    return RunningTask(
        id=shown,
        name=_text(texts[id_length : id_length + name_length]),
        started=_time(started),
        started_wall=_time(started_wall),
        pool_pid=pool_pid or None,
        acks_late=bool(flags & layout.ACKS_LATE),
        is_rejected_if_lost=bool(flags & layout.REJECTED_IF_LOST),
        is_cut=bool(flags & layout.IS_CUT) or shown != task_id,
        is_sent_again_if_lost=bool(flags & layout.SENT_AGAIN_IF_LOST),
    )


def _text(encoded: bytes) -> str:
    text = encoded.decode("utf-8")
    if not text.isprintable():
        raise ValueError("a text has unprintable characters")
    return text


def _time(seconds: float) -> float:
    # Also false for what is not a number.
    if not 0 <= seconds < 1e12:
        raise ValueError("a time is out of range")
    return seconds
