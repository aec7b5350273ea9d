"""The systemd units of supervisord: procman's own is started, stopped and enabled, the host's is only read again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from procman.host import systemd_host
from procman.host.systemctl import NoSuchUnit, Systemctl, Unit
from procman.host.unit_names import unit_at
from procman.model import Scope

UNIT = "procman-supervisord.service"
"""What runs procman's own supervisord."""

TIMEOUT_SECONDS = 5.0


class Service:
    """The units of supervisord in the systemd of SCOPE; procman's own stands in the directory UNITS if it is wished."""

    def __init__(self, scope: Scope, units: Path) -> None:
        self._scope = scope
        self._path = units / UNIT
        self._systemctl = Systemctl(scope, TIMEOUT_SECONDS)

    def can_start(self) -> bool:
        """Say whether procman's own is in place and its systemd runs, so that nobody else should start supervisord."""
        return self._path.exists() and systemd_host.unreachable(self._scope) is None

    def main_pid(self) -> int | None:
        """Return the process that systemd runs as procman's own supervisord; None: it runs none."""
        if systemd_host.unreachable(self._scope):
            return None
        return self._show().number("MainPID") or None

    def start(self) -> None:
        """Start procman's own; returns once systemd has run it."""
        self._read_again()
        self._systemctl.order("start", UNIT)

    def reload(self, sections: Sequence[Path]) -> None:
        """Have systemd read SECTIONS again, as far as they are its own; procman's starts at boot while it is there."""
        names = {unit for section in sections if (unit := unit_at(section))}
        if not names or systemd_host.unreachable(self._scope):
            return
        # NeedDaemonReload= overlooks a drop-in whose directory is new (systemd 252).
        self._systemctl.order("daemon-reload")
        if UNIT in names and not self._path.exists():
            with contextlib.suppress(NoSuchUnit):
                self._systemctl.order("disable", UNIT)
        elif UNIT in names and self._show().text("UnitFileState") == "disabled":
            self._systemctl.order("enable", UNIT)

    def retire(self) -> None:
        """Stop procman's own, if systemd runs it, and have it started at boot no more; its file may be gone already."""
        if systemd_host.unreachable(self._scope):
            return
        unit = self._show()
        is_another = unit.text("FragmentPath") not in ("", str(self._path))
        if is_another or (not unit.is_known and unit.has_ended):
            return
        # Restart= would bring back a supervisord that is shut down in any other way; and what starts it at boot is a
        # link, which is there also when its file is gone.
        for verb in ("stop", "disable", "reset-failed"):
            with contextlib.suppress(NoSuchUnit):
                self._systemctl.order(verb, UNIT)
        self._read_again()

    def command(self, verb: str) -> str:
        """Return an order about procman's own as a person would give it."""
        return self._systemctl.command(verb, UNIT.removesuffix(".service"))

    def _read_again(self) -> None:
        unit = self._show()
        if unit.text("NeedDaemonReload") == "yes" or unit.is_known is not self._path.exists():
            self._systemctl.order("daemon-reload")

    def _show(self) -> Unit:
        return self._systemctl.show([UNIT])[UNIT]
