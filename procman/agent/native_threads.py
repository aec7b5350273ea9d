"""Threads of the operating system, also where gevent or eventlet make something else of `threading`."""

import _thread
import signal
from typing import Any, Callable

# Taken before anything is patched. Neither keeps the process from ending, and no child inherits one.
_start_new_thread = _thread.start_new_thread
_allocate_lock = _thread.allocate_lock


def start_thread(run: Callable[..., None], *arguments: Any) -> None:
    """Call RUN in a thread of its own, to which no signal is delivered: all of them are Celery's main thread's.

    Returns when that thread runs. A process that ends before crashes instead (seen with Python 3.11.2).
    """
    waits = _allocate_lock()
    waits.acquire()
    _start_new_thread(_run_without_signals, (waits, run, arguments))
    waits.acquire()


def _run_without_signals(waits: Any, run: Callable[..., None], arguments: Any) -> None:
    waits.release()
    signals = signal.valid_signals() if hasattr(signal, "valid_signals") else set(signal.Signals)  # Python 3.7
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    run(*arguments)
