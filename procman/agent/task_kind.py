"""Prepare once what the runs of one task have in common in the record."""

from typing import Any

from . import task_record_layout as layout
from .worker_state import printable


class Kind:
    """A task as messages name it; a message can give its own name (`shadow`)."""

    __slots__ = (
        "acks_late",
        "flags",
        "front",
        "is_rejected_if_lost",
        "longest",
        "name",
        "name_bytes",
        "pending",
        "task",
    )

    def __init__(self, name: Any, task: Any) -> None:
        self.task = task
        self.name: str = name if isinstance(name, str) and name.isprintable() else printable(name)
        self.acks_late, self.is_rejected_if_lost = bool(task.acks_late), bool(task.reject_on_worker_lost)
        is_sent_again = bool(getattr(task, "retry_on_worker_lost", None))
        self.flags = layout.flags(self.acks_late, self.is_rejected_if_lost, is_sent_again)
        self.pending = 0 if self.acks_late else layout.PENDING
        self.longest = -1.0
        """How many seconds its longest run took; negative if none has ended."""
        self.name_bytes = layout.name_of(self.name)
        self.front = bytes((self.flags, layout.USUAL_ID, len(self.name_bytes), 0))
        """How the content of a slot begins, of a run with an id of the usual length."""
