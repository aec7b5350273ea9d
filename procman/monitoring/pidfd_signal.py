"""Send a signal to the main process of a program, and to no process that has reused its pid or is not its user's (S3).

The process manager reports the pid. A descriptor is opened for that process first; then the process manager must report
the same pid again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from procman.accounts import user_id
from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.host.process import identity
from procman.host.signal_permission import require_permission
from procman.model import InstalledProgram, State

MAY_GET = {False: (State.RUNNING,), True: (State.RUNNING, State.STOPPING)}
"""The states in which a process may get a signal, by whether that is SIGKILL: a frozen one does not end by itself."""


class ProcessChanged(ProcmanError):
    """The process has been replaced, or must no longer be signalled."""


def send(controller: Controller, program: InstalledProgram, process: str, number: signal.Signals) -> None:
    """Send the signal `number` to the main process of `program`, if it is still `process` and should still run.

    Raises ProcessChanged, SignalRefused if it is not a process of the program's user, or ProcmanError without
    permission to send a signal.
    """
    pid = int(process.split()[0])
    with _held(pid) as descriptor:
        [state] = controller.states([program])
        if state.pid != pid or identity(pid) != process:
            raise ProcessChanged(f"{program.name}: process {pid} has ended in the meantime")
        if not state.desired or state.state not in MAY_GET[number is signal.SIGKILL]:
            raise ProcessChanged(f"{program.name}: it is now {state.state.value}")
        user = user_id(program.user)
        require_permission(program.name, pid, () if user is None else (user,), controller.reporter())
        try:
            if descriptor is None:
                os.kill(pid, number)
            else:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            raise ProcessChanged(f"{program.name}: process {pid} has ended in the meantime") from None
        except PermissionError:
            raise ProcmanError(
                f"{program.name}: no permission to send a signal to its process {pid}",
                hint="Run this as root or as the user of the programs.",
            ) from None


@contextmanager
def _held(pid: int) -> Iterator[int | None]:
    """Yield a descriptor that always means this process; None if the kernel has no pidfd_open(2)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise ProcessChanged(f"process {pid} has ended in the meantime") from None
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
