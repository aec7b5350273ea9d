"""Control the systemd unit of procman's own supervisord, and reload the drop-in for the host's."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from procman.host import systemd_host
from procman.host.systemctl import NoSuchUnit, Systemctl, Unit
from procman.host.unit_names import unit_at
from procman.model import Scope

UNIT = "procman-supervisord.service"
"""The unit of procman's own supervisord."""

TIMEOUT_SECONDS = 5.0


class Service:
    """The unit of procman's own supervisord in the directory `units`, if installed, and the systemd of `scope`."""

    def __init__(self, scope: Scope, units: Path) -> None:
        self._scope = scope
        self._path = units / UNIT
        self._systemctl = Systemctl(scope, TIMEOUT_SECONDS)

    def can_start(self) -> bool:
        """Return whether the unit is installed and its systemd is running, so that systemd should start supervisord."""
        return self._path.exists() and systemd_host.unreachable(self._scope) is None

    def main_pid(self) -> int | None:
        """Return the pid of procman's own supervisord if systemd runs it, else None."""
        if systemd_host.unreachable(self._scope):
            return None
        return self._show().number("MainPID") or None

    def start(self) -> None:
        """Start the unit; return once systemd has executed supervisord."""
        self._read_again()
        self._systemctl.order("start", UNIT)

    def reload(self, sections: Sequence[Path]) -> None:
        """Make systemd read the units and drop-ins in `sections`, and enable procman's own unit if it exists."""
        names = {unit for section in sections if (unit := unit_at(section))}
        if not names or systemd_host.unreachable(self._scope):
            return
        # NeedDaemonReload= misses a drop-in in a new directory (systemd 252).
        self._systemctl.order("daemon-reload")
        if UNIT in names and not self._path.exists():
            with contextlib.suppress(NoSuchUnit):
                self._systemctl.order("disable", UNIT)
        elif UNIT in names and self._show().text("UnitFileState") == "disabled":
            self._systemctl.order("enable", UNIT)

    def retire(self) -> None:
        """Stop and disable the unit, if systemd knows it; the file may already be removed."""
        if systemd_host.unreachable(self._scope):
            return
        unit = self._show()
        is_another = unit.text("FragmentPath") not in ("", str(self._path))
        if is_another or (not unit.is_known and unit.has_ended):
            return
        # Restart= would start a supervisord again that is shut down in any other way; and the link that starts it at
        # boot remains even if the unit file was removed.
        for verb in ("stop", "disable", "reset-failed"):
            with contextlib.suppress(NoSuchUnit):
                self._systemctl.order(verb, UNIT)
        self._read_again()

    def command(self, verb: str) -> str:
        """Return the command line for `verb` on the unit, for display."""
        return self._systemctl.command(verb, UNIT.removesuffix(".service"))

    def _read_again(self) -> None:
        unit = self._show()
        if unit.text("NeedDaemonReload") == "yes" or unit.is_known is not self._path.exists():
            self._systemctl.order("daemon-reload")

    def _show(self) -> Unit:
        return self._systemctl.show([UNIT])[UNIT]
