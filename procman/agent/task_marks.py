"""Mark in the record of tasks when the code of a task begins and ends, in the process or thread that runs it.

Pool processes inherit the mapped file, and each writes to its own mark only: a few bytes at the begin of a task and one
at its end. After `kill -9` they show whether an acknowledged task was interrupted: Celery 4.4 to 5.7; no green pool,
whose greenlets come and go.
"""

import importlib
import os
from _thread import get_ident
from time import monotonic
from typing import Any, Callable, Dict, List, Optional

from . import task_record_layout as layout
from .mapped_file import part
from .task_record_layout import MARKED_ID


class Mark:
    """The mark of one process or thread, which has begun no task."""

    __slots__ = ("begun", "current", "id", "state")

    def __init__(self, file: Any, number: int) -> None:
        offset = layout.mark_offset(number)
        file[offset : offset + layout.MARK.size] = layout.MARK.pack(os.getpid(), monotonic(), 0.0, 0, b"")
        self.begun = part(file, offset + layout.BEGUN_AT, 8, "d")
        self.state = part(file, offset + layout.STATE_AT, 1)
        self.id = part(file, offset + layout.MARKED_ID_AT, MARKED_ID)
        self.current: Any = None
        """The id of the task in progress; tasks that it calls itself have none."""


class TaskMarks:
    """The marks of the processes or threads of a worker."""

    def __init__(self, file: Callable[[], Any]) -> None:
        self._file = file
        """Returns the record, or None if there is none yet."""
        self._only: Optional[Mark] = None
        """That of a pool process, whichever of its threads asks."""
        self._marks: Dict[int, Mark] = {}
        """Those of threads."""
        self._has_threads = False
        self._free: List[int] = list(reversed(range(layout.MARKS)))

    def use_threads(self) -> None:
        """Give each thread of this process that begins a task its own mark."""
        self._has_threads = True

    def use_process(self, number: int) -> None:
        """Give this pool process, which has begun no task, one of the two marks of its `number` in the pool.

        It takes the older one: that of its predecessor remains until its own successor comes, so that the main process
        can read it after it has started this one.
        """
        self._only = None
        file = self._file()
        if file is not None and 0 <= number < layout.MARKS // 2:
            older = min((2 * number, 2 * number + 1), key=lambda each: _taken(file, each))
            self._only = Mark(file, older)

    # Each task takes this way, so it makes few calls.

    def begin(self, task_id: Any, task: Any = None) -> None:
        """Mark that the code of a task begins; those that it calls itself, which Celery calls eager, have no mark."""
        try:
            mark = self._only or self._marks.get(get_ident()) or self._new_mark()
            if mark is not None and (mark.current is None or not task.request.is_eager):
                mark.current = task_id
                # Until its id is whole again, a process that is killed here leaves the mark of no task.
                mark.id[0] = 0
                mark.begun[0] = monotonic()
                mark.state[0] = 0
                mark.id[:] = task_id.encode().ljust(MARKED_ID, b"\0")[:MARKED_ID]
        except Exception:  # noqa: S110  # then the end of this task is unknown
            pass

    def end(self, task_id: Any) -> None:
        """Mark that the code of a task has ended."""
        try:
            mark = self._only or self._marks[get_ident()]
            if mark.current == task_id:
                mark.state[0] = layout.ENDED
        except Exception:  # noqa: S110  # this thread has no mark
            pass

    def leave(self) -> None:
        """Mark that the task of this process or thread has ended, whatever its backend did."""
        try:
            mark = self._only or self._marks[get_ident()]
            if mark.current is not None:
                mark.state[0] = layout.ENDED
                mark.current = None
        except Exception:  # noqa: S110
            pass

    def _new_mark(self) -> Optional[Mark]:
        file = self._file()
        if file is None or not self._has_threads or not self._free:
            return None
        mark = self._marks[get_ident()] = Mark(file, self._free.pop())
        return mark


def _taken(file: Any, number: int) -> float:
    """Return when a mark was taken; 0 if it never was."""
    begin = layout.mark_offset(number) + layout.TAKEN_AT
    [taken] = layout.TAKEN.unpack(file[begin : begin + layout.TAKEN.size])
    return float(taken)


def follow(marks: TaskMarks, app: Any, pool: Optional[str]) -> None:
    """Mark the tasks of this worker and of the pool processes that it will fork; call it before the pool starts."""
    if pool == "prefork":
        signals: Any = importlib.import_module("celery.signals")
        process: Any = importlib.import_module("billiard.process")
        signals.worker_process_init.connect(
            lambda **_: marks.use_process(getattr(process.current_process(), "index", -1)), weak=False
        )
    elif pool in ("solo", "threads"):
        marks.use_threads()
    else:
        return
    # Celery calls both in each task, and they do nothing in its own loaders: receivers of its signals would cost a
    # task several times as much.
    loader, usual = app.loader, importlib.import_module("celery.loaders.base").BaseLoader
    loader.on_task_init = _one_after_another(marks.begin, loader.on_task_init, usual.on_task_init)
    loader.on_process_cleanup = _one_after_another(marks.leave, loader.on_process_cleanup, usual.on_process_cleanup)
    # The methods of a result backend that Celery calls first after a task's code.
    backend: Any = importlib.import_module("celery.backends.base").Backend
    backend.mark_as_done = _ending_well(backend.mark_as_done, marks.end)
    for name in ("mark_as_failure", "mark_as_retry"):
        setattr(backend, name, _ending(getattr(backend, name), marks.end))


def _one_after_another(first: Callable[..., None], second: Any, nothing: Any) -> Callable[..., None]:
    """Return a function that does both; only the first if the second does nothing."""
    if getattr(second, "__func__", None) is nothing:
        return first

    def call_both(*arguments: Any) -> None:
        first(*arguments)
        second(*arguments)

    return call_both


def _ending_well(method: Callable[..., Any], end: Callable[[Any], None]) -> Callable[..., Any]:
    # Celery gives these arguments, and passing them on one by one costs half as much.
    def end_and_store(
        self: Any, task_id: Any, result: Any, request: Any = None, store_result: bool = True, **more: Any
    ) -> Any:
        end(task_id)
        if more:
            return method(self, task_id, result, request, store_result, **more)
        return method(self, task_id, result, request, store_result)

    return end_and_store


def _ending(method: Callable[..., Any], end: Callable[[Any], None]) -> Callable[..., Any]:
    def end_and_store(self: Any, task_id: Any, *arguments: Any, **more: Any) -> Any:
        end(task_id)
        return method(self, task_id, *arguments, **more)

    return end_and_store
