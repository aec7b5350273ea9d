"""Stops units so that running tasks finish, and waits for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from procman.backends.base import Progress
from procman.backends.graceful_stop import StopWait
from procman.host import systemd_host
from procman.host.systemctl import Systemctl, Unit


def stop_gracefully(systemctl: Systemctl, limits: Mapping[str, float], progress: Progress) -> None:
    """Stop units side by side and return when all have ended; LIMITS maps each to the longest its tasks may take.

    What does not run counts as ended. May be repeated after an interruption anywhere. Raises ProcmanError when one
    takes longer than systemd should give it.
    """
    stop = _Stop(systemctl, limits, progress)
    wait = StopWait(progress)
    while units := stop.pending():
        stop.give_orders(units, wait.elapsed)
        wait.sleep({_program(unit): stop.limit(unit) for unit in units})


def is_stopped_gracefully(unit: Unit) -> bool:
    """Say whether systemd itself would stop it without losing tasks: TERM to the main process, and to no other.

    It would not where a drop-in says so, nor once the unit's file is gone and systemd has been told to look: then it
    falls back to its defaults, and stops all processes at once.
    """
    return unit.text("KillMode") == "mixed"


class _Stop:
    """A stop under way: what was ordered of which unit."""

    def __init__(self, systemctl: Systemctl, limits: Mapping[str, float], progress: Progress) -> None:
        self._systemctl = systemctl
        self._limits = dict(limits)
        self._progress = progress
        self._ordered: set[str] = set()
        self._signalled: dict[str, int] = {}

    def pending(self) -> list[Unit]:
        """Return the units that have not ended yet."""
        units = self._systemctl.show(list(self._limits)).values()
        for unit in units:
            if unit.has_ended:
                del self._limits[unit.name]
                if unit.text("Result") == "timeout":
                    self._progress(f"{_program(unit)} did not end within its stop timeout and was killed")
        return [unit for unit in units if not unit.has_ended]

    def give_orders(self, units: Sequence[Unit], elapsed: float) -> None:
        """Order systemd to stop UNITS; where it would lose tasks, TERM goes to the main process alone first."""
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
            # In one order, so that systemd keeps beat's place before the others.
            self._systemctl.order("stop", "--no-block", *stopped)
            self._ordered.update(stopped)

    def limit(self, unit: Unit) -> float:
        """Return how many seconds the stop of `unit` may take, as it is under way."""
        loaded = systemd_host.seconds(unit.text("TimeoutStopUSec"))
        longest = max(self._limits[unit.name], loaded or 0)
        # After an order, systemd's own clock runs; before, with TERM to the main process alone, ours did.
        return longest if is_stopped_gracefully(unit) else self._limits[unit.name] + (loaded or 0)


def _program(unit: Unit) -> str:
    return unit.name.removesuffix(".service")
