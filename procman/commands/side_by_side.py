"""Several long waits at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], size: int, alike: Callable[[T], object]) -> Iterator[list[T]]:
    """Yield ITEMS in order, as many as SIZE together, but never two together that are not ALIKE."""
    for _, group in groupby(items, alike):
        while batch := list(islice(group, size)):
            yield batch


def side_by_side(work: Sequence[Callable[[], T]]) -> Iterator[T]:
    """Carry out WORK, each in a thread of its own, and yield what each returns as it ends; raise what one raises.

    A single one runs in the caller's own thread. An interruption of the caller waits for none of them.
    """
    if len(work) == 1:
        yield work[0]()
        return
    ended: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
    for each in work:
        threading.Thread(target=partial(_report, each, ended), daemon=True).start()
    for _ in work:
        result = ended.get()
        if isinstance(result, BaseException):
            raise result
        yield result


def _report(work: Callable[[], T], ended: queue.SimpleQueue[T | BaseException]) -> None:
    try:
        ended.put(work())
    except BaseException as error:
        ended.put(error)
