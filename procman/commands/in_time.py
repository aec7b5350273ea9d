"""A time limit on whatever may hang: a disk that is gone holds up every program that looks at it (R10)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from procman.errors import ProcmanError

Answer = TypeVar("Answer")


class _Call(threading.Thread, Generic[Answer]):
    """One call, in a thread that does not keep the process from ending."""

    def __init__(self, work: Callable[[], Answer]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.answer: list[Answer] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer.append(self._work())
        except BaseException as error:
            self.error = error


def in_time(seconds: float, work: Callable[[], Answer]) -> Answer:
    """Return what WORK returns, or raise what it raises; ProcmanError if it takes longer than SECONDS."""
    call = _Call(work)
    call.start()
    call.join(seconds)
    if call.error:
        raise call.error
    if not call.answer:
        raise ProcmanError(
            f"no answer within {seconds:g} s: something that was looked at hangs",
            hint="See whether every disk answers: df; and the kernel's log: dmesg. More time: --timeout",
        )
    return call.answer[0]
