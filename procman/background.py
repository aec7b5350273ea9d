"""Calls in threads of their own: beside other work, several at once, or given up after a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Generic, TypeVar

from procman.errors import ProcmanError

T = TypeVar("T")


class Background(Generic[T]):
    """A call, carried out in a thread from the moment this is made.

    The thread is a daemon: it keeps no process from ending. `when_done` is called in it with the finished call.
    """

    def __init__(self, call: Callable[[], T], when_done: Callable[[Background[T]], object] | None = None) -> None:
        self._call = call
        self._when_done = when_done
        self._answers: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answers.append(self._call())
        except BaseException as error:  # raised again by result()
            self._error = error
        if self._when_done:
            self._when_done(self)

    def result(self, timeout: float | None = None) -> T:
        """Return what the call returns, or raise what it raises; ProcmanError if that takes over `timeout` seconds."""
        self._thread.join(timeout)
        if self._error:
            raise self._error
        if not self._answers:
            # A disk that is gone holds up every program that looks at it (R10).
            raise ProcmanError(
                f"no answer within {timeout:g} s: something that was looked at hangs",
                hint="See whether every disk answers: df; and the kernel's log: dmesg. More time: --timeout",
            )
        return self._answers[0]


def batches(items: Iterable[T], size: int, alike: Callable[[T], object]) -> Iterator[list[T]]:
    """Yield `items` in order, at most `size` together, but never two together that are not `alike`."""
    for _, group in groupby(items, alike):
        while batch := list(islice(group, size)):
            yield batch


def side_by_side(calls: Sequence[Callable[[], T]]) -> Iterator[T]:
    """Carry out `calls`, each in a thread of its own, and yield what each returns as it ends; raise what one raises.

    A single one runs in the caller's own thread. An interruption of the caller waits for none of them.
    """
    if len(calls) == 1:
        yield calls[0]()
        return
    done: queue.SimpleQueue[Background[T]] = queue.SimpleQueue()
    for call in calls:
        Background(call, done.put)
    for _ in calls:
        yield done.get().result()
