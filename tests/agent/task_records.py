"""Records of running tasks, as a worker writes them."""

from __future__ import annotations

from procman.agent import task_record
from procman.agent.task_record import SIZE, RunningTask, header, offset_of

BOOT = "9f1d3c44-7a57-4a86-b6e2-6f3c7ed0a5c1"
BEGAN = 1795999980.0


def record_of(*tasks: RunningTask, pid: int = 4242, began: float = BEGAN, unrecorded: int = 0) -> bytearray:
    """Return the record of a process that began at `began`, in seconds since the epoch."""
    content = bytearray(SIZE)
    parts = [(0, header(BOOT, pid, 100.0, began)), (task_record.UNRECORDED, unrecorded.to_bytes(4, "little"))]
    parts += [(offset_of(number), slot(task)) for number, task in enumerate(tasks)]
    for begin, part in parts:
        content[begin : begin + len(part)] = part
    return content


def slot(task: RunningTask) -> bytes:
    """Return a slot in use."""
    flags = task_record.flags(task.acks_late, task.is_rejected_if_lost) | task.is_cut * task_record.IS_CUT
    name = task_record.name_of(task.name)
    body = task_record.body(flags, task.pool_pid or 0, task.started, task.started_wall, task.id.encode(), name)
    return bytes((task_record.USED,)) + body
