"""Turn each request for a graceful stop into Celery's flag, and let the event loop see it at once: Celery 4.4 to 5.7.

Celery 4.4 and 5.1 raise in the handler of TERM, wherever the main thread is, if Python counts one thread: a task of the
solo pool would be aborted. A shutdown by remote control raises inside the event loop in every version.
"""

import atexit
import importlib
import os
import sys
from typing import Any

# Saved before gevent or eventlet can replace it in the module: its own cannot be called in a signal handler.
_write = os.write

WARM = "Warm"


class StopRequests:
    """The requests to stop this process."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self._how = ""
        self._read_end, self._write_end = os.pipe()
        for end in (self._read_end, self._write_end):
            os.set_blocking(end, False)

    def follow(self) -> None:
        """Follow them from now on."""
        signals = importlib.import_module("celery.signals")
        signals.worker_shutting_down.connect(self._note, weak=False)
        self._flag_instead_of_raising(sys.modules.get("celery.apps.worker"))
        commands = importlib.import_module("celery.worker.control").Panel.data
        commands["shutdown"] = self._flagging(commands["shutdown"])

    def wake(self, hub: Any) -> None:
        """Let a signal end the wait of `hub`, which Python would resume; call it for each connection."""
        if self._read_end not in hub.readers:
            hub.add_reader(self._read_end, self._drain)

    def _drain(self) -> None:
        try:
            os.read(self._read_end, 4096)
        except BlockingIOError:
            pass

    def _note(self, how: str = "", **_: Any) -> None:
        # Runs inside the signal handler.
        self._how = how
        # After HUP, Celery would start again at its exit.
        start_again: Any = getattr(sys.modules.get("celery.apps.worker"), "_reload_current_worker", None)
        atexit.unregister(start_again)
        try:
            _write(self._write_end, b".")
        except OSError:
            pass

    def _flag_instead_of_raising(self, handlers: Any) -> None:
        count = getattr(handlers, "active_thread_count", None)
        if count is not None:
            handlers.active_thread_count = lambda: 2 if self._how == WARM else count()

    def _flagging(self, shutdown: Any) -> Any:
        def shutdown_by_flag(*arguments: Any, **more: Any) -> Any:
            try:
                return shutdown(*arguments, **more)
            except SystemExit as stop:
                self._state.should_stop = 0 if stop.code is None else stop.code
                return None

        return shutdown_by_flag
