"""Stop units so that running tasks finish, and wait for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from procman.backends.base import Progress
from procman.backends.graceful_stop import StopWait
from procman.host import systemd_host
from procman.host.systemctl import Systemctl, Unit


def stop_gracefully(systemctl: Systemctl, limits: Mapping[str, float], progress: Progress) -> None:
    """Stop units in parallel and return when all have exited; `limits` maps each unit to its stop timeout in seconds.

    A unit that is not running counts as exited. Can be repeated after an interruption at any point. Raises ProcmanError
    if a unit is still running after systemd should have killed it.
    """
    stop = _Stop(systemctl, limits, progress)
    wait = StopWait(progress)
    while units := stop.pending():
        stop.give_orders(units, wait.elapsed)
        wait.sleep({_program(unit): stop.limit(unit) for unit in units})


def is_stopped_gracefully(unit: Unit) -> bool:
    """Return whether systemd stops the unit without losing tasks, with TERM to the main process only.

    It does not if a drop-in changes KillMode=, or if the unit file was removed and systemd has reloaded its
    configuration: systemd then uses its default and sends TERM to all processes.
    """
    return unit.text("KillMode") == "mixed"


class _Stop:
    """A stop in progress, with the commands already given for each unit."""

    def __init__(self, systemctl: Systemctl, limits: Mapping[str, float], progress: Progress) -> None:
        self._systemctl = systemctl
        self._limits = dict(limits)
        self._progress = progress
        self._ordered: set[str] = set()
        self._signalled: dict[str, int] = {}

    def pending(self) -> list[Unit]:
        """Return the units that have not exited yet."""
        units = self._systemctl.show(list(self._limits)).values()
        for unit in units:
            if unit.has_ended:
                del self._limits[unit.name]
                if unit.text("Result") == "timeout":
                    self._progress(f"{_program(unit)} did not stop within its stop timeout and was killed")
        return [unit for unit in units if not unit.has_ended]

    def give_orders(self, units: Sequence[Unit], elapsed: float) -> None:
        """Stop `units` through systemd; if that would lose tasks, send TERM to the main process only first."""
        stopped = []
        for unit in units:
            pid = unit.number("MainPID") or 0
            if unit.text("ActiveState") == "deactivating" or (unit.name in self._ordered and unit.job):
                continue
            if is_stopped_gracefully(unit) or not pid or elapsed > self._limits[unit.name]:
                stopped.append(unit.name)
            elif self._signalled.get(unit.name) != pid:
                self._signalled[unit.name] = pid
                self._systemctl.order("kill", "--kill-who=main", "--signal=TERM", unit.name)
        if stopped:
            # In one command, so that systemd stops beat before the workers.
            self._systemctl.order("stop", "--no-block", *stopped)
            self._ordered.update(stopped)

    def limit(self, unit: Unit) -> float:
        """Return the total number of seconds that the stop of `unit` may take, from its beginning."""
        loaded = systemd_host.seconds(unit.text("TimeoutStopUSec"))
        longest = max(self._limits[unit.name], loaded or 0)
        # systemd's timeout begins with its stop job; if TERM goes to the main process only, procman's own comes first.
        return longest if is_stopped_gracefully(unit) else self._limits[unit.name] + (loaded or 0)


def _program(unit: Unit) -> str:
    return unit.name.removesuffix(".service")
