"""Send a signal to the main process of a program, and to no process that has reused its pid or is not its user's (S3).

The process manager reports the pid. A descriptor is opened for that process first; then the process manager must report
the same pid again, or that of the keeper whose child it is.
"""

from __future__ import annotations

import signal

from procman.accounts import user_id
from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.host.held_process import held, send_to_held
from procman.host.process import identity
from procman.host.signal_permission import require_permission
from procman.model import InstalledProgram, State
from procman.monitoring.kept import is_child

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
    try:
        with held(pid) as descriptor:
            [state] = controller.states([program])
            is_own = state.pid == pid or (program.overlap_max > 0 and is_child(pid, state.pid or 0))
            if not is_own or identity(pid) != process:
                raise ProcessLookupError
            if not state.desired or state.state not in MAY_GET[number is signal.SIGKILL]:
                raise ProcessChanged(f"{program.name}: it is now {state.state.value}")
            user = user_id(program.user)
            require_permission(program.name, pid, () if user is None else (user,), controller.reporter())
            send_to_held(pid, descriptor, number)
    except ProcessLookupError:
        raise ProcessChanged(f"{program.name}: process {pid} has ended in the meantime") from None
    except PermissionError:
        raise ProcmanError(
            f"{program.name}: no permission to send a signal to its process {pid}",
            hint="Run this as root or as the user of the programs.",
        ) from None
