"""End workers and beats gracefully, whatever started them: only their main processes get a signal, and tasks finish."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from procman.backends.base import Progress
from procman.backends.graceful_stop import StopWait
from procman.errors import ProcmanError
from procman.host.celery_processes import (
    is_celery,
    is_of_pool,
    mains_among,
    processes_below,
    starters_of,
    suspended_starters,
)
from procman.host.held_process import signal_process
from procman.host.process import environment_of, identity, stat_fields
from procman.host.process_table import look_at

Processes = Callable[[], Collection[int]]
"""Returns the processes that belong to a program at the moment, without those that they started if they are listed."""

STARTER_SECONDS = 5.0
"""How long a shell or honcho may take to exit once its workers have."""


@dataclass
class _Found:
    """The processes found so far, by `identity`."""

    mains: set[str] = field(default_factory=set)
    """Those that got a signal, once."""
    pools: set[str] = field(default_factory=set)
    starters: set[str] = field(default_factory=set)
    """Those that are suspended."""

    def running(self) -> list[str]:
        """Return the workers, beats and pool processes that still run."""
        return [each for each in self.mains | self.pools if is_running(each)]


def drain(
    label: str,
    processes: Processes,
    seconds: int,
    progress: Progress,
    *,
    main: int = 0,
    stop_signal: str = "TERM",
) -> str:
    """End the workers and beats among `processes` gracefully and return what was done; empty if there were none.

    Those left after `seconds` are killed. A shell or honcho in front of Celery is suspended meanwhile, so that it
    neither starts nor ends a program, and then ended; after an interruption it stays suspended until this is repeated.
    `main` is the process that gets `stop_signal` if none looks like Celery, because a command of the project starts it;
    0: none. Raises ProcmanError without permission, or if a process does not end even so.
    """
    found, killed = _Found(), False
    try:
        if main and not mains_among(processes()):
            _end_tree(found, main, signal.Signals[f"SIG{stop_signal}"])
        killed = _wait(found, label, processes, seconds, progress)
    except ProcmanError:
        send_all(found.starters, signal.SIGCONT)
        raise
    found.starters |= {identity(pid) for pid in suspended_starters(processes())} - {""}
    _end_starters(found.starters, label, progress)
    if killed:
        return f"killed after {seconds} s; its running tasks may be lost"
    return "stopped gracefully" if found.mains or found.pools or found.starters else ""


def _wait(found: _Found, label: str, processes: Processes, seconds: int, progress: Progress) -> bool:
    """End all main processes and return when they have ended, and whether one had to be killed."""
    wait, killed = StopWait(progress), False
    while _end_mains(found, processes()) or found.running():
        if wait.elapsed > seconds:
            killed = True
            send_all(found.running(), signal.SIGKILL)
        wait.sleep({label: seconds})
    return killed


def is_running(process: str) -> bool:
    """Return whether `process`, an `identity`, runs: it is neither gone nor a zombie."""
    pid = int(process.split()[0])
    return identity(pid) == process and stat_fields(pid)[:1] not in ([], [b"Z"])


def pids_of(processes: Iterable[str]) -> list[int]:
    """Return the pids of those `processes`, by `identity`, that still run."""
    return [int(process.split()[0]) for process in processes if process and is_running(process)]


def send_all(processes: Iterable[str], *numbers: signal.Signals) -> None:
    """Send each of `numbers` to all `processes`, which are identities. Raises ProcmanError without permission."""
    for process in processes:
        for number in numbers:
            signal_process(process, number)


def _end_mains(found: _Found, pids: Collection[int]) -> bool:
    """Send the main processes among `pids` the signal that they have not got yet; return whether there was one."""
    by_identity = {identity(main.pid): main for main in mains_among(pids)}
    new = {name: main for name, main in by_identity.items() if name and name not in found.mains | found.pools}
    pools = {name for name, main in new.items() if is_of_pool(main.pid)}
    below = processes_below(main.pid for main in new.values())
    known = look_at(below, ())
    found.pools |= {identity(pid) for pid in below & known.keys() if is_celery(known[pid])} - {*new, ""} | pools
    starters = {identity(pid) for pid in starters_of(new.values(), pids)} - {""}
    send_all(starters, signal.SIGSTOP)
    found.starters |= starters
    found.mains |= new.keys() - pools
    for name in new.keys() - pools:
        signal_process(name, _graceful(new[name].pid))
    return bool(new)


def _graceful(main: int) -> signal.Signals:
    """Return the signal for a graceful stop of a worker or beat."""
    # With this variable, which Heroku's documentation recommends, SIGTERM ends tasks (celery.apps.worker).
    is_remapped = environment_of(main).get("REMAP_SIGTERM") == "SIGQUIT"
    return signal.SIGINT if is_remapped else signal.SIGTERM


def _end_tree(found: _Found, main: int, number: signal.Signals) -> None:
    """Send the signal `number` to `main` alone."""
    found.mains |= {identity(main)} - {""}
    found.pools |= {identity(pid) for pid in processes_below([main])} - {"", *found.mains}
    send_all(found.mains, number)


def _end_starters(starters: Collection[str], label: str, progress: Progress) -> None:
    send_all(starters, signal.SIGTERM, signal.SIGCONT)
    wait = StopWait(progress)
    while any(is_running(each) for each in starters):
        if wait.elapsed > STARTER_SECONDS:
            send_all(starters, signal.SIGKILL)
        wait.sleep({label: STARTER_SECONDS})
