"""Define the record of running tasks, and read one without trusting its author.

A worker keeps it in a file of fixed size that is mapped into its memory (`task_recorder.py`), so that the file shows
after `kill -9` which tasks were running. `procman install` installs this file beside the launcher; procman imports the
same code.

The file has a header and `SLOTS` slots, all little-endian. The first byte of a slot shows whether it is free, and its
checksum whether the rest is complete. That byte is written last and cleared first, so that a process killed at any
moment leaves every other slot intact and this one either free or complete.

Behind the slots are `MARKS` marks, one for each process or thread that runs tasks: which task it began last, and
whether the body of that task has ended (`task_marks.py`).
"""

import struct
from typing import List, NamedTuple, Optional, Tuple

FILE = "tasks.record"
"""The name of the file in the program's run directory."""
KEPT = 5
"""How many records of earlier processes are kept, because they ended while tasks were running."""
FILES = (FILE, *("%s.%d" % (FILE, number) for number in range(1, KEPT + 1)))
"""The names of all records, newest first."""

SLOTS = 256
MOST_ID = 128
"""The bytes of a task id that are kept; Celery's own have 36."""
MOST_NAME = 200
MOST_BOOT_ID = 64

CHECKSUM = struct.Struct("<I")
START = struct.Struct("<8sIHHIdd64s")
"""Magic bytes, checksum of the rest, size and number of slots, pid, start by the monotonic and the wall clock, boot
id."""
UNRECORDED = 128
"""The offset of the number of running tasks that had no slot."""
BROKER_AT = 136
BROKER = struct.Struct("<16sd")
"""The name of kombu's transport, and after how many seconds it delivers an unacknowledged message again (0: that is not
its way); then a checksum."""
MOST_TRANSPORT = 16
START_TICKS_AT = 112
START_TICKS = struct.Struct("<Q")
"""When the kernel started the process, in clock ticks after the boot (proc(5)); then a checksum. Setting the clock does
not change it. Earlier agents do not write it."""
HEADER_SIZE = 256
FREE, USED = 0, 0x5A
"""The first byte of a slot. No single wrong bit makes one of the other."""
SLOT_BODY = 1
"""Where in a slot the rest begins."""
FRONT = struct.Struct("<BBBxIdd")
"""Flags, lengths of id and name, pid of the pool process (0: none or unknown), start by both clocks; then id, name,
checksum."""
SLOT_SIZE = SLOT_BODY + CHECKSUM.size + FRONT.size + MOST_ID + MOST_NAME
MARKS = 256
MARK = struct.Struct("<IIdB")
"""Pid, digest of the task id, start of the task's body by the monotonic clock, `ENDED` if it has ended."""
MARK_SIZE = 32
MARK_STATE = 16
"""The offset of the last field of a mark."""
ENDED = 0x5A
PENDING_AT, PENDING, ON_ITS_WAY = 24, 0x5A, 0x33
"""Where in the mark with a slot's number it is noted that the broker does not know yet, or perhaps, of an early
acknowledgement."""
SIZE_BEFORE = HEADER_SIZE + SLOTS * SLOT_SIZE
"""The size of a record without marks, which agents of procman 0.2.0 and earlier write."""
SIZE = SIZE_BEFORE + MARKS * MARK_SIZE

PRIME = 2**30 - 35
"""The greatest that Python divides by in one step."""

MAGIC, MAGIC_BEFORE = b"pmtasks2", b"pmtasks1"
ACKS_LATE, REJECTED_IF_LOST, IS_CUT, SENT_AGAIN_IF_LOST = 1, 2, 4, 8

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


def header(boot_id: Optional[str], pid: int, started: float, started_wall: float) -> bytes:
    """Return the header of a new record, with no unrecorded task."""
    name = (boot_id or "").encode("ascii", "replace")[:MOST_BOOT_ID]
    fields = START.pack(MAGIC, 0, SLOT_SIZE, SLOTS, pid, started, started_wall, name)
    return (MAGIC + CHECKSUM.pack(_checksum(fields[12:])) + fields[12:]).ljust(HEADER_SIZE, b"\0")


def broker(transport: str, visibility_seconds: Optional[float]) -> bytes:
    """Return what belongs at `BROKER_AT`."""
    content = BROKER.pack(transport.encode("ascii", "replace")[:MOST_TRANSPORT], visibility_seconds or 0.0)
    return content + CHECKSUM.pack(_checksum(content))


def start_ticks(ticks: int) -> bytes:
    """Return what belongs at `START_TICKS_AT`."""
    content = START_TICKS.pack(ticks)
    return content + CHECKSUM.pack(_checksum(content))


def flags(acks_late: bool, is_rejected_if_lost: bool, is_sent_again_if_lost: bool = False) -> int:
    """Return the flags of a task."""
    again = is_sent_again_if_lost * SENT_AGAIN_IF_LOST
    return acks_late * ACKS_LATE | is_rejected_if_lost * REJECTED_IF_LOST | again


def digest(task_id: str) -> int:
    """Return the number by which a mark names a task."""
    return _checksum(task_id.encode("utf-8", "replace")[:MOST_ID])


def mark_offset(number: int) -> int:
    """Return where a mark begins in the file."""
    return SIZE_BEFORE + number * MARK_SIZE


def pending_offset(number: int) -> int:
    """Return where `PENDING` is for the task in a slot."""
    return mark_offset(number) + PENDING_AT


def name_of(text: str) -> bytes:
    """Return the bytes of a printable name that are kept."""
    return _cut(text.encode("utf-8"), MOST_NAME)


def body(flags: int, pool_pid: int, started: float, started_wall: float, task_id: bytes, name: bytes) -> bytes:
    """Return what belongs in a slot, at `SLOT_BODY`; an id that is too long is cut, `name` is of `name_of`."""
    if len(task_id) > MOST_ID:
        task_id, flags = _cut(task_id, MOST_ID), flags | IS_CUT
    content = FRONT.pack(flags, len(task_id), len(name), pool_pid, started, started_wall) + task_id + name
    return content + _checksum(content).to_bytes(4, "little")


def offset_of(number: int) -> int:
    """Return where a slot begins in the file."""
    return HEADER_SIZE + number * SLOT_SIZE


def read(content: bytes) -> TaskRecord:
    """Return what the bytes of a record mean; at most `SIZE` of them count.

    Raises ValueError with the reason. The file's author is not trusted: numbers are finite and texts printable, so that
    they can be shown on a terminal. A slot whose checksum is wrong is only counted.
    """
    record = _read_header(content)
    tasks: List[RunningTask] = []
    damaged = 0
    for number in range(SLOTS):
        slot = content[offset_of(number) : offset_of(number + 1)]
        if slot[0] == FREE:
            continue
        body = _checked(slot)
        if body is None:
            damaged += 1
        else:
            pending = content[pending_offset(number)] if content[: len(MAGIC)] == MAGIC else 0
            task = _read_body(body)._replace(is_unacknowledged=pending == PENDING)
            tasks.append(task._replace(may_be_acknowledged=pending == ON_ITS_WAY))
    marks = _read_marks(content)
    tasks = [task._replace(progress=_progress(task, record.pid, marks)) for task in tasks]
    return record._replace(tasks=tuple(sorted(tasks, key=lambda task: task.started)), damaged=damaged)


class Mark(NamedTuple):
    """What a process or thread notes about the task that it began last."""

    pid: int
    digest: int
    began: float
    state: int


def _read_marks(content: bytes) -> List[Mark]:
    if content[: len(MAGIC)] != MAGIC:
        return []
    found = (Mark(*MARK.unpack_from(content, mark_offset(number))) for number in range(MARKS))
    return [mark for mark in found if mark.pid]


def _progress(task: RunningTask, main_pid: int, marks: List[Mark]) -> str:
    if task.is_cut:
        return ""
    number = digest(task.id)
    # A process that runs a task again has a mark of the run before.
    own = [mark for mark in marks if mark.pid == (task.pool_pid or main_pid)]
    run = [mark for mark in own if mark.digest == number and mark.began >= task.started - ROUNDING_SECONDS]
    if run:
        return FINISHED if run[-1].state == ENDED else BEGUN
    # Threads take a mark with their first task, and more threads than marks have none.
    return WAITING if own and task.pool_pid else ""


def _read_header(content: bytes) -> TaskRecord:
    size = {MAGIC: SIZE, MAGIC_BEFORE: SIZE_BEFORE}.get(content[: len(MAGIC)])
    if size is None or len(content) < size:
        raise ValueError("it is not a record of tasks")
    _, checksum, slot_size, slots, pid, started, started_wall, boot_id = START.unpack_from(content)
    if checksum != _checksum(content[12 : START.size]) or (slot_size, slots) != (SLOT_SIZE, SLOTS):
        raise ValueError("its header is damaged")
    [unrecorded] = CHECKSUM.unpack_from(content, UNRECORDED)
    name = _text(boot_id.rstrip(b"\0"))
    record = TaskRecord(name or None, pid, _time(started), _time(started_wall), unrecorded=unrecorded)
    transport, visibility = _read_broker(content)
    return record._replace(start_ticks=_read_start_ticks(content), transport=transport, visibility_seconds=visibility)


def _read_start_ticks(content: bytes) -> Optional[int]:
    end = START_TICKS_AT + START_TICKS.size
    [ticks] = START_TICKS.unpack_from(content, START_TICKS_AT)
    [checksum] = CHECKSUM.unpack_from(content, end)
    # Records that do not have it have zeros there, which are their own checksum.
    return int(ticks) or None if checksum == _checksum(content[START_TICKS_AT:end]) else None


def _read_broker(content: bytes) -> Tuple[str, Optional[float]]:
    end = BROKER_AT + BROKER.size
    [checksum] = CHECKSUM.unpack_from(content, end)
    encoded, visibility = BROKER.unpack_from(content, BROKER_AT)
    if checksum != _checksum(content[BROKER_AT:end]):
        return "", None
    return _text(encoded.rstrip(b"\0")), _time(visibility) or None


def _checked(slot: bytes) -> Optional[bytes]:
    """Return the content of a slot in use; None if it is damaged."""
    _, id_length, name_length, *_ = FRONT.unpack_from(slot, SLOT_BODY)
    end = SLOT_BODY + FRONT.size + id_length + name_length
    content = slot[SLOT_BODY:end]
    is_whole = slot[0] == USED and slot[end : end + CHECKSUM.size] == CHECKSUM.pack(_checksum(content))
    return content if is_whole else None


def _read_body(content: bytes) -> RunningTask:
    flags, id_length, name_length, pool_pid, started, started_wall = FRONT.unpack_from(content)
    if id_length > MOST_ID or name_length > MOST_NAME:
        raise ValueError("a text is too long")
    texts = content[FRONT.size :]
    # The worker does not spend the time to look at every character of an id.
    task_id = texts[:id_length].decode("utf-8")
    shown = "".join(each if each.isprintable() else "?" for each in task_id)
    return RunningTask(
        id=shown,
        name=_text(texts[id_length : id_length + name_length]),
        started=_time(started),
        started_wall=_time(started_wall),
        pool_pid=pool_pid or None,
        acks_late=bool(flags & ACKS_LATE),
        is_rejected_if_lost=bool(flags & REJECTED_IF_LOST),
        is_cut=bool(flags & IS_CUT) or shown != task_id,
        is_sent_again_if_lost=bool(flags & SENT_AGAIN_IF_LOST),
    )


def _checksum(content: bytes) -> int:
    # Unlike a CRC it needs no table, which would push the worker's own data out of the processor's cache.
    return int.from_bytes(content, "little") % PRIME


def _cut(encoded: bytes, most: int) -> bytes:
    """Return at most `most` bytes, without half a character at their end."""
    return encoded if len(encoded) <= most else encoded[:most].decode("utf-8", "ignore").encode("utf-8")


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
