"""Signals to the main process of a program: to that process and no other, whatever pids are used again meanwhile (S3).

The pid comes from the process manager. It is held fast by a descriptor first; then the process manager is asked once
more whether that is still the one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.host.process import start_ticks
from procman.model import InstalledProgram, State


class ProcessChanged(ProcmanError):
    """The process is another one by now, or is not to be signalled any more."""


def identity(pid: int | None) -> str:
    """Return a text that is the same for the same process only; empty where there is none."""
    ticks = None if pid is None else start_ticks(pid)
    return "" if ticks is None else f"{pid} {ticks}"


def send(controller: Controller, program: InstalledProgram, process: str, number: signal.Signals) -> None:
    """Send the signal NUMBER to the main process of PROGRAM, if that is still PROCESS and is still to run.

    Raises ProcessChanged, and ProcmanError where it may not be signalled.
    """
    pid = int(process.split()[0])
    with _held(pid) as descriptor:
        [state] = controller.states([program])
        if state.pid != pid or identity(pid) != process:
            raise ProcessChanged(f"{program.name}: process {pid} has ended meanwhile")
        if not state.desired or state.state is not State.RUNNING:
            raise ProcessChanged(f"{program.name}: it is {state.state.value} by now")
        try:
            if descriptor is None:
                os.kill(pid, number)
            else:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            raise ProcessChanged(f"{program.name}: process {pid} has ended meanwhile") from None
        except PermissionError:
            raise ProcmanError(
                f"{program.name}: its process {pid} may not be signalled",
                hint="Run this as root, or as the user of the programs.",
            ) from None


@contextmanager
def _held(pid: int) -> Iterator[int | None]:
    """Hold PID fast: the descriptor means this very process for ever. None where the kernel cannot do that."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise ProcessChanged(f"process {pid} has ended meanwhile") from None
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
