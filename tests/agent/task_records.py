"""Records of running tasks, as a worker writes them."""

from __future__ import annotations

from procman.agent import task_record_layout as layout
from procman.agent.task_record import BEGUN, FINISHED, SIZE, WAITING, RunningTask

BOOT = "9f1d3c44-7a57-4a86-b6e2-6f3c7ed0a5c1"
BEGAN = 1795999980.0


def record_of(
    *tasks: RunningTask,
    pid: int = 4242,
    began: float = BEGAN,
    unrecorded: int = 0,
    boot: str = BOOT,
    transport: str = "",
    visibility: float | None = None,
    ticks: int = 0,
) -> bytearray:
    """Return the record of a process that began at `began`, in seconds since the epoch, with the marks of its tasks."""
    content = bytearray(SIZE)
    parts = [(0, layout.header(boot, pid, 100.0, began)), (layout.UNRECORDED, unrecorded.to_bytes(4, "little"))]
    if ticks:
        parts.append((layout.START_TICKS_AT, layout.start_ticks(ticks)))
    if transport:
        parts.append((layout.BROKER_AT, layout.broker(transport, visibility)))
    parts += [(layout.slot_offset(number), slot(task)) for number, task in enumerate(tasks)]
    parts += [(layout.mark_offset(number), mark(task, pid)) for number, task in enumerate(tasks)]
    for begin, part in parts:
        content[begin : begin + len(part)] = part
    return content


def slot(task: RunningTask) -> bytes:
    """Return a slot in use."""
    flags = layout.flags(task.acks_late, task.is_rejected_if_lost, task.is_sent_again_if_lost)
    name = layout.name_of(task.name)
    flags |= task.is_cut * layout.IS_CUT
    content = layout.content(flags, task.pool_pid or 0, task.started, task.started_wall, task.id.encode(), name)
    return bytes((layout.USED, 0)) + content + layout.CHECKSUM.pack(layout.checksum(content))


def mark(task: RunningTask, main_pid: int) -> bytes:
    """Return the mark of the process or thread that runs `task`; empty if that is unknown."""
    if not task.progress:
        return b""
    pid = task.pool_pid or main_pid
    if task.progress == WAITING:
        return layout.MARK.pack(pid, 1.0, 0.0, 0, b"")
    assert task.progress in (BEGUN, FINISHED)
    state = layout.ENDED if task.progress == FINISHED else 0
    return layout.MARK.pack(pid, 1.0, task.started, state, layout.marked_id(task.id))
