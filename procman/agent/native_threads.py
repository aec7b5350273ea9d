"""Start threads of the operating system, even if gevent or eventlet have patched `threading`."""

import _thread
import signal
from typing import Any, Callable

# Saved before anything is patched. These threads do not keep the process from exiting, and no child inherits one.
_start_new_thread = _thread.start_new_thread
_allocate_lock = _thread.allocate_lock


def start_thread(run: Callable[..., None], *arguments: Any) -> None:
    """Call `run` in a new thread that receives no signals: they must reach Celery's main thread.

    Returns once the thread runs: a process that exits earlier can crash (seen with Python 3.11.2).
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
