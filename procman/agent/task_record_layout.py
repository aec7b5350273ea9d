"""Define where in the record of running tasks each part is, and how it is encoded; `task_record.py` reads it.

The file has a header and `SLOTS` slots, all little-endian. The first byte of a slot shows whether it is free, and its
checksum whether the rest is complete. That byte is written last and cleared first, so that a process killed at any
moment leaves every other slot intact and this one either free or complete.

Behind the slots are `MARKS` marks, one for each thread that runs tasks, or two for each pool process: which task it
began last, and whether the body of that task has ended (`task_marks.py`).
"""

import struct
import zlib
from typing import Any, Optional

SLOTS = 256
MOST_ID = 128
"""The bytes of a task id that are kept; Celery's own have `USUAL_ID`."""
USUAL_ID = 36
MOST_NAME = 200
MOST_BOOT_ID = 64

MAGIC = b"pmtasks3"
ANY_MAGIC = b"pmtasks"
"""How the records of other versions begin."""
CHECKSUM = struct.Struct("<I")
START = struct.Struct("<8sIHHIdd64s")
"""Magic bytes, checksum of the rest, size and number of slots, pid, start by the monotonic and the wall clock, boot
id."""
START_TICKS_AT = 112
START_TICKS = struct.Struct("<Q")
"""When the kernel started the process, in clock ticks after the boot (proc(5)); then a checksum. Setting the clock does
not change it."""
UNRECORDED = 128
"""The offset of the number of running tasks that had no slot."""
BROKER_AT = 136
BROKER = struct.Struct("<16sd")
"""The name of kombu's transport, and after how many seconds it delivers an unacknowledged message again (0: that is not
its way); then a checksum."""
MOST_TRANSPORT = 16
HEADER_SIZE = 256

FREE, USED = 0, 0x5A
"""The first byte of a slot. No single wrong bit makes one of the other."""
PENDING_AT, PENDING, ON_ITS_WAY = 1, 0x5A, 0x33
"""Where in a slot it is noted that the broker does not know yet, or perhaps, of an early acknowledgement."""
SLOT_BODY = 2
"""Where in a slot the rest begins."""
FRONT = "<BBBxIdd"
"""Flags, lengths of id and name, pid of the pool process (0: none or unknown), start by both clocks; then id, name,
checksum."""
FRONT_SIZE = struct.calcsize(FRONT)
PID_AT, TIMES_AT, ID_AT = SLOT_BODY + 4, SLOT_BODY + 8, SLOT_BODY + FRONT_SIZE
"""Where in a slot these are, whatever its lengths."""
SLOT_SIZE = SLOT_BODY + FRONT_SIZE + MOST_ID + MOST_NAME + CHECKSUM.size
ACKS_LATE, REJECTED_IF_LOST, IS_CUT, SENT_AGAIN_IF_LOST = 1, 2, 4, 8

MARKS = 512
MARK = struct.Struct("<IddB3x40s")
"""Pid, when that process or thread took the mark, start of the task's body, both by the monotonic clock, `ENDED` if it
has ended, and the begin of the task's id."""
TAKEN_AT, BEGUN_AT, STATE_AT, MARKED_ID_AT = 4, 12, 20, 24
TAKEN = struct.Struct("<d")
MARKED_ID = 40
ENDED = 0x5A
MARKS_AT = HEADER_SIZE + SLOTS * SLOT_SIZE
SIZE = MARKS_AT + MARKS * MARK.size

checksum = zlib.adler32
"""Returns the checksum of a part of the record. Unlike a CRC it needs no table, which would push the worker's own data
out of the processor's cache."""


def header(boot_id: Optional[str], pid: int, started: float, started_wall: float) -> bytes:
    """Return the header of a new record, with no unrecorded task."""
    name = (boot_id or "").encode("ascii", "replace")[:MOST_BOOT_ID]
    fields = START.pack(MAGIC, 0, SLOT_SIZE, SLOTS, pid, started, started_wall, name)
    return (MAGIC + CHECKSUM.pack(checksum(fields[12:])) + fields[12:]).ljust(HEADER_SIZE, b"\0")


def broker(transport: str, visibility_seconds: Optional[float]) -> bytes:
    """Return what belongs at `BROKER_AT`."""
    content = BROKER.pack(transport.encode("ascii", "replace")[:MOST_TRANSPORT], visibility_seconds or 0.0)
    return content + CHECKSUM.pack(checksum(content))


def start_ticks(ticks: int) -> bytes:
    """Return what belongs at `START_TICKS_AT`."""
    content = START_TICKS.pack(ticks)
    return content + CHECKSUM.pack(checksum(content))


def flags(acks_late: bool, is_rejected_if_lost: bool, is_sent_again_if_lost: bool = False) -> int:
    """Return the flags of a task."""
    again = is_sent_again_if_lost * SENT_AGAIN_IF_LOST
    return acks_late * ACKS_LATE | is_rejected_if_lost * REJECTED_IF_LOST | again


def slot_offset(number: int) -> int:
    """Return where a slot begins in the file."""
    return HEADER_SIZE + number * SLOT_SIZE


def mark_offset(number: int) -> int:
    """Return where a mark begins in the file."""
    return MARKS_AT + number * MARK.size


def name_of(text: str) -> bytes:
    """Return the bytes of a printable name that are kept."""
    return _cut(text.encode("utf-8"), MOST_NAME)


def content_structure(id_length: int, name_length: int) -> Any:
    """Return the structure of what a slot has between `SLOT_BODY` and its checksum."""
    return struct.Struct("%s%ds%ds" % (FRONT, id_length, name_length))


def content(flags: int, pool_pid: int, started: float, started_wall: float, task_id: bytes, name: bytes) -> bytes:
    """Return the content of a slot; an id that is too long is cut, `name` is of `name_of`."""
    if len(task_id) > MOST_ID:
        task_id, flags = _cut(task_id, MOST_ID), flags | IS_CUT
    structure = content_structure(len(task_id), len(name))
    found: bytes = structure.pack(flags, len(task_id), len(name), pool_pid, started, started_wall, task_id, name)
    return found


def marked_id(task_id: str) -> bytes:
    """Return what the mark of a task with this id has."""
    return task_id.encode("utf-8", "replace")[:MARKED_ID].ljust(MARKED_ID, b"\0")


def _cut(encoded: bytes, most: int) -> bytes:
    """Return at most `most` bytes, without half a character at their end."""
    return encoded if len(encoded) <= most else encoded[:most].decode("utf-8", "ignore").encode("utf-8")
