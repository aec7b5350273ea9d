"""Write one running task to its slot in the record."""

from typing import Any, Optional, Tuple

from . import task_record_layout as layout
from .mapped_file import is_memory, part
from .task_kind import Kind
from .task_record_layout import PENDING_AT, USED, USUAL_ID, checksum
from .worker_state import printable


class Run:
    """A running task; once it has ended, this object and its slot serve another one."""

    # A worker's memory is cold when a task comes, so each part of it that `write` touches costs more than what it does
    # there: it assigns to parts of the mapped file, and leaves what the task before it has written alike.

    __slots__ = (
        "_begin",
        "_content",
        "_file",
        "_id",
        "_pid",
        "_prepared",
        "_sum",
        "_times",
        "kind",
        "message",
        "request",
        "started",
        "state",
    )

    def __init__(self, file: Any = None, begin: int = 0) -> None:
        """Take the slot that begins at `begin` of the record `file`; without one, the task is only counted."""
        self._file, self._begin = file, begin
        self.state: Any = None
        """The bytes of the slot that show whether it is in use, and whether the acknowledgement is pending; None if
        there is no slot."""
        self.kind: Any = None
        self.started = 0.0
        """By the monotonic clock."""
        self.request: Any = None
        """A weak reference."""
        self.message: Any = None
        """Celery's message, if it is to be acknowledged early."""
        self._prepared: Any = None
        """The kind of the task that was written last."""
        if file is not None:
            self.state = part(file, begin, layout.SLOT_BODY)
            self._pid = part(file, begin + layout.PID_AT, 4, "I")
            self._times = part(file, begin + layout.TIMES_AT, 16, "d")
            self._id = part(file, begin + layout.ID_AT, USUAL_ID)

    def now(self) -> Optional[Tuple[Any, Kind, float]]:
        """Return the request, its kind and its start, for another thread than the one that changes them."""
        reference = self.request
        kind, started = self.kind, self.started
        request = reference and reference()
        return (request, kind, started) if request is not None and self.request is reference else None

    def write(self, kind: Kind, task_id: Any, pool_pid: int, started: float, started_wall: float) -> None:
        """Write a task to the slot, which is free. Raises OSError if the file is not mapped."""
        try:
            encoded, flags = task_id.encode(), kind.flags
        except (AttributeError, UnicodeError):
            encoded, flags = printable(task_id).encode(), kind.flags | layout.IS_CUT
        if self._prepared is not kind or len(encoded) != USUAL_ID or flags != kind.flags:
            self._write_all(kind, layout.content(flags, pool_pid, started, started_wall, encoded, kind.name_bytes))
            return
        self._pid[0] = pool_pid
        times = self._times
        times[0] = started
        times[1] = started_wall
        self._id[:] = encoded
        self._sum[0] = checksum(self._content)
        state = self.state
        state[PENDING_AT] = kind.pending
        # Only now is the slot in use: a process that is killed before this leaves it free.
        state[0] = USED

    def _write_all(self, kind: Kind, content: bytes) -> None:
        """Write a task, whatever was in the slot."""
        self._prepared = None
        begin = self._begin + layout.SLOT_BODY
        end = begin + len(content)
        self._file[begin : end + layout.CHECKSUM.size] = content + layout.CHECKSUM.pack(checksum(content))
        self.state[PENDING_AT] = kind.pending
        self.state[0] = USED
        if is_memory(self._file) and content[: layout.PID_AT - layout.SLOT_BODY] == kind.front:
            self._content = memoryview(self._file)[begin:end]
            self._sum = part(self._file, end, layout.CHECKSUM.size, "I")
            self._prepared = kind
