"""Signal a process by a descriptor (pidfd_open(2)), so that no process that has reused its pid gets the signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from procman.errors import ProcmanError
from procman.host.process import identity


@contextmanager
def held(pid: int) -> Iterator[int | None]:
    """Yield a descriptor that always means this process; None if the kernel has no pidfd_open(2).

    Raises ProcessLookupError if there is no such process.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def send_to_held(pid: int, descriptor: int | None, number: signal.Signals) -> None:
    """Send the signal `number` to the process that `held` yielded `descriptor` for."""
    if descriptor is None:
        os.kill(pid, number)
    else:
        signal.pidfd_send_signal(descriptor, number)


def signal_process(process: str, number: signal.Signals) -> bool:
    """Send the signal `number` to `process`, an `identity`; return False if that process has ended.

    Raises ProcmanError without permission.
    """
    pid = int(process.split()[0])
    try:
        with held(pid) as descriptor:
            if identity(pid) != process:
                return False
            send_to_held(pid, descriptor, number)
            return True
    except ProcessLookupError:
        return False
    except PermissionError:
        raise ProcmanError(
            f"no permission to send a signal to process {pid}", hint="Run the same command with sudo."
        ) from None
