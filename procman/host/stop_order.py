"""Whether the units that tasks need, such as the database's, stop only after the programs, and how to achieve that."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from procman.backends.base import StopOrder
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.local_units import canonical
from procman.host.systemctl import Systemctl, Unit
from procman.host.unit_file import settings_of
from procman.model import MARKER, Scope

TIMEOUT_SECONDS = 5.0

PROPERTIES = ("After", "DropInPaths", "FragmentPath", "LoadState", "TriggeredBy", "UnitFileState")

NOT_FOR_USERS = "a user's systemd cannot order programs after units of the host"


def order_by_key(after: Iterable[str], units: Sequence[str], marker: str) -> StopOrder:
    """Return the order of `units`, which an install will order after those in `after`; `marker` as `ordered_after`."""
    return StopOrder(frozenset({*_with_names(after), *ordered_after(units, marker)}), uses_after=True)


def order_of_user() -> StopOrder:
    """Return the order of the calling user's systemd, and so of everything that it runs."""
    unit = f"user@{os.geteuid()}.service"
    return StopOrder(ordered_after([unit], MARKER), uses_after=False, unit=unit, reason=NOT_FOR_USERS)


def ordered_after(units: Sequence[str], marker: str) -> frozenset[str]:
    """Return the units that all of the loaded system units among `units` are ordered after; aliases are resolved.

    `After=` in a file with `marker` does not count: that is the project's own, which its next install writes again.
    """
    known = [_after(each, marker) for each in _show(units) if each.is_known]
    return frozenset.intersection(*known) if known else frozenset()


def _after(unit: Unit, marker: str) -> frozenset[str]:
    ours, others = set[str](), set[str]()
    for path in (unit.text("FragmentPath"), *unit.text("DropInPaths").split()):
        text = _read(path)
        named = [each.value.split() for each in settings_of(text) if (each.section, each.name) == ("Unit", "After")]
        (ours if marker in text else others).update(*named)
    return frozenset(unit.text("After").split()) - (_with_names(ours) - _with_names(others))


def _with_names(units: Iterable[str]) -> set[str]:
    """Return `units` and the units that are meant by those of them that are aliases."""
    named = set(units)
    return named | set(map(canonical, named))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace") if path else ""
    except OSError:
        return ""


def not_started_at_boot(after: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each of the units `after` that nothing starts at boot, with the remedy."""
    for unit in _show(after) if systemd_host.BOOTED.is_dir() else ():
        if unit.text("UnitFileState") == "disabled" and not unit.text("TriggeredBy"):
            yield (
                f"{unit.name}, which the key after names, is disabled: nothing starts it at boot, because procman only "
                f"orders it: systemctl enable {unit.name.removesuffix('.service')}"
            )


def _show(units: Sequence[str]) -> list[Unit]:
    try:
        return list(Systemctl(Scope.SYSTEM, TIMEOUT_SECONDS).show(units, PROPERTIES).values())
    except ProcmanError:
        return []


def warning_about(after: Sequence[str], order: StopOrder | None) -> str | None:
    """Return how a shutdown would lose tasks although `after` names the units that they need, with the remedy."""
    if not after or (order and order.uses_after):
        return None
    if order is None:
        return (
            "systemd is not running here, so the key after has no effect: remove it, and stop the programs before the "
            "services that their tasks need"
        )
    missing = [unit for unit in after if order.units.isdisjoint(_with_names([unit]))]
    if not missing:
        return None
    return f"{too_early(missing)}, because {order.reason}: the key after has no effect. {remedy_for(missing, order)}"


def too_early(units: Sequence[str]) -> str:
    """Return what happens at a shutdown if nothing orders `units`."""
    return f"at a shutdown or reboot, {', '.join(units)} may stop before running tasks have finished"


def remedy_for(units: Sequence[str], order: StopOrder) -> str:
    """Return what to type so that `units` stop after the programs, if the key `after` alone does not achieve that."""
    name = order.unit.removesuffix(".service") if order.unit else "UNIT, where UNIT is the unit that starts supervisord"
    edit = f"run systemctl edit {name}, and add the lines:\n[Unit]\nAfter={' '.join(units)}"
    if not order.remedy:
        return f"As root, {edit}"
    return f"{order.remedy} Or {edit}" if order.unit else order.remedy
