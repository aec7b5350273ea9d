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
from .mapped_file import writer

ENDINGS = ("mark_as_done", "mark_as_failure", "mark_as_retry")
"""The methods of a result backend that Celery calls first after a task's code."""


class Mark:
    """The mark of one process or thread, which has begun no task."""

    __slots__ = ("begin", "current", "file", "has_ended", "offset", "state")

    def __init__(self, file: Any, number: int) -> None:
        offset = layout.mark_offset(number)
        writer(file, layout.MARK)(offset, os.getpid(), monotonic(), 0.0, 0, b"")
        self.begin = writer(file, layout.BEGUN)
        """Writes at `offset` that the code of a task begins."""
        self.file, self.offset, self.state = file, offset + layout.BEGUN_AT, offset + layout.STATE_AT
        self.current: Any = None
        """The id of the task in progress; tasks that it calls itself have none."""
        self.has_ended = False
        """Whether the code of that task has ended."""


class TaskMarks:
    """The marks of the processes or threads of a worker."""

    def __init__(self, file: Callable[[], Any]) -> None:
        self._file = file
        """Returns the record, or None if there is none yet."""
        self._marks: Dict[int, Mark] = {}
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
        self._marks, self._has_threads = {}, False
        file = self._file()
        if file is not None and 0 <= number < layout.MARKS // 2:
            older = min((2 * number, 2 * number + 1), key=lambda each: _taken(file, each))
            self._marks[get_ident()] = Mark(file, older)

    # Each task takes this way, so it makes few calls.

    def begin(self, task_id: Any) -> None:
        """Mark that the code of a task begins."""
        try:
            mark = self._marks.get(get_ident()) or self._new_mark()
            if mark is not None and mark.current is None:
                mark.current, mark.has_ended = task_id, False
                mark.begin(mark.offset, monotonic(), 0, task_id.encode())
        except Exception:  # noqa: S110  # then the end of this task is unknown
            pass

    def end(self, task_id: Any) -> None:
        """Mark that the code of a task has ended."""
        try:
            mark = self._marks.get(get_ident())
            if mark is not None and mark.current == task_id and not mark.has_ended:
                mark.file[mark.state] = layout.ENDED
                mark.has_ended = True
        except Exception:  # noqa: S110
            pass

    def leave(self, task_id: Any) -> None:
        """Mark that a task has ended, whatever its backend did."""
        mark = self._marks.get(get_ident())
        if mark is not None and mark.current == task_id:
            if not mark.has_ended:
                self.end(task_id)
            mark.current = None

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


def follow(marks: TaskMarks, pool: Optional[str]) -> None:
    """Mark the tasks of this worker and of the pool processes that it will fork; call it before the pool starts."""
    signals: Any = importlib.import_module("celery.signals")
    base: Any = importlib.import_module("celery.backends.base")
    if pool == "prefork":
        process: Any = importlib.import_module("billiard.process")
        signals.worker_process_init.connect(
            lambda **_: marks.use_process(getattr(process.current_process(), "index", -1)), weak=False
        )
    elif pool in ("solo", "threads"):
        marks.use_threads()
    else:
        return
    trace: Any = importlib.import_module("celery.app.trace")
    for signal in (signals.task_prerun, signals.task_postrun):
        signal.connect(_receive, weak=False)
    trace.send_prerun = _before(marks.begin, trace.send_prerun, signals.task_prerun)
    trace.send_postrun = _after(marks.leave, trace.send_postrun, signals.task_postrun)
    for name in ENDINGS:
        setattr(base.Backend, name, _ending(getattr(base.Backend, name), marks))


# As receivers of the signals, the two functions would cost a task five times as much: Celery looks for the receivers of
# the task, and calls each with all that it knows.


def _receive(**_: Any) -> None:
    """Receive a signal, because Celery sends none that has no receiver."""


def _before(act: Callable[[Any], None], send: Callable[..., Any], signal: Any) -> Callable[..., None]:
    def act_and_send(task_id: Any = None, **more: Any) -> None:
        act(task_id)
        if len(signal.receivers) > 1:
            send(task_id=task_id, **more)

    return act_and_send


def _after(act: Callable[[Any], None], send: Callable[..., Any], signal: Any) -> Callable[..., None]:
    def send_and_act(task_id: Any = None, **more: Any) -> None:
        try:
            if len(signal.receivers) > 1:
                send(task_id=task_id, **more)
        finally:
            act(task_id)

    return send_and_act


def _ending(method: Callable[..., Any], marks: TaskMarks) -> Callable[..., Any]:
    def end_and_store(self: Any, task_id: Any, *arguments: Any, **more: Any) -> Any:
        marks.end(task_id)
        return method(self, task_id, *arguments, **more)

    return end_and_store
