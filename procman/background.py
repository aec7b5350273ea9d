"""Run calls in threads: in the background, several at once, or with a timeout."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Generic, TypeVar

from procman.errors import ProcmanError

T = TypeVar("T")


class TimedOut(ProcmanError):
    """A call did not end within its time limit; it still runs."""


class Background(Generic[T]):
    """A call that runs in a thread, which starts at once.

    The thread is a daemon, so the process can end before it. It calls `when_done` with the finished call.
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

    @property
    def is_done(self) -> bool:
        """Whether the call has ended."""
        return not self._thread.is_alive()

    def result(self, timeout: float | None = None) -> T:
        """Return the result of the call or raise its exception; ProcmanError if it takes over `timeout` seconds."""
        self._thread.join(timeout)
        if self._error:
            raise self._error
        if not self._answers:
            # Every access to a disk that is gone hangs (R10).
            raise TimedOut(
                f"no result within {timeout:g} s, because a check hangs",
                hint="Check for a disk that hangs (df) and the kernel's log (dmesg). --timeout allows more time.",
            )
        return self._answers[0]


def batches(items: Iterable[T], size: int, alike: Callable[[T], object]) -> Iterator[list[T]]:
    """Yield `items` in order in lists of at most `size`, each of items that are `alike`."""
    for _, group in groupby(items, alike):
        while batch := list(islice(group, size)):
            yield batch


def side_by_side(calls: Sequence[Callable[[], T]]) -> Iterator[T]:
    """Run each of `calls` in its own thread, and yield their results as they end; raise the exception of one.

    A single call runs in the caller's thread. An interruption of the caller does not wait for the calls.
    """
    if len(calls) == 1:
        yield calls[0]()
        return
    import queue  # `status` must not wait for this import

    done: queue.SimpleQueue[Background[T]] = queue.SimpleQueue()
    for call in calls:
        Background(call, done.put)
    for _ in calls:
        yield done.get().result()
