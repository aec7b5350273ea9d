"""End workers and beats gracefully, whatever started them: only their main processes get a signal, and tasks finish."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from procman.backends.base import Progress
from procman.backends.graceful_stop import StopWait
from procman.host.celery_processes import is_celery, is_of_pool, mains_among, shells_in_front
from procman.host.held_process import signal_process
from procman.host.process import identity, stat_fields
from procman.host.process_table import look_at

Processes = Callable[[], Collection[int]]
"""Returns the processes that belong to a program at the moment, without those that they started if they are listed."""

SHELL_SECONDS = 5.0
"""How long a shell in front of Celery may take to exit once Celery has."""


@dataclass
class _Found:
    """The processes found so far, by `identity`."""

    mains: set[str] = field(default_factory=set)
    """Those that got SIGTERM, once: a second one makes some versions of Celery lose their tasks."""
    pools: set[str] = field(default_factory=set)
    shells: set[str] = field(default_factory=set)
    """Those that are suspended."""

    def running(self) -> list[str]:
        """Return the workers, beats and pool processes that still run."""
        return [each for each in self.mains | self.pools if is_running(each)]


def drain(label: str, processes: Processes, seconds: int, progress: Progress) -> str:
    """End the workers and beats among `processes` gracefully and return what was done; empty if there were none.

    Those left after `seconds` are killed. A shell in front of Celery is suspended meanwhile, so that it starts nothing
    after it, and then ended; after an interruption it stays suspended until this is repeated. Raises ProcmanError
    without permission, or if a process does not end even so.
    """
    found, wait, killed = _Found(), StopWait(progress), False
    while _end_mains(found, processes()) or found.running():
        if wait.elapsed > seconds:
            killed = True
            send_all(found.running(), signal.SIGKILL)
        wait.sleep({label: seconds})
    _end_shells(found.shells, label, progress)
    if killed:
        return f"killed after {seconds} s; its running tasks may be lost"
    return "stopped gracefully" if found.mains or found.pools else ""


def is_running(process: str) -> bool:
    """Return whether `process`, an `identity`, runs: it is neither gone nor a zombie."""
    pid = int(process.split()[0])
    return identity(pid) == process and stat_fields(pid)[:1] not in ([], [b"Z"])


def send_all(processes: Iterable[str], *numbers: signal.Signals) -> None:
    """Send each of `numbers` to all `processes`, which are identities. Raises ProcmanError without permission."""
    for process in processes:
        for number in numbers:
            signal_process(process, number)


def _end_mains(found: _Found, pids: Collection[int]) -> bool:
    """Send SIGTERM to the main processes among `pids` that have not got it; return whether there was one."""
    by_identity = {identity(main.pid): main for main in mains_among(pids)}
    new = {name: main for name, main in by_identity.items() if name and name not in found.mains | found.pools}
    pools = {name for name, main in new.items() if is_of_pool(main.pid)}
    tree = look_at([main.pid for main in new.values()], ())
    found.pools |= {identity(each.pid) for each in tree.values() if is_celery(each)} - {*new, ""} | pools
    shells = {identity(pid) for pid in shells_in_front(new.values(), pids)} - {""}
    send_all(shells, signal.SIGSTOP)
    found.shells |= shells
    found.mains |= new.keys() - pools
    send_all(new.keys() - pools, signal.SIGTERM)
    return bool(new)


def _end_shells(shells: Collection[str], label: str, progress: Progress) -> None:
    send_all(shells, signal.SIGTERM, signal.SIGCONT)
    wait = StopWait(progress)
    while any(is_running(each) for each in shells):
        if wait.elapsed > SHELL_SECONDS:
            send_all(shells, signal.SIGKILL)
        wait.sleep({label: SHELL_SECONDS})
