"""Describe a unit that is to be adopted: the files and links that define it, and why it cannot be adopted."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from procman.host.systemctl import Systemctl, Unit
from procman.model import Link

PROPERTIES = (
    "ActiveState",
    "BoundBy",
    "ControlGroup",
    "FragmentPath",
    "Id",
    "LoadState",
    "MainPID",
    "Names",
    "RequiredBy",
    "SourcePath",
    "SubState",
    "Transient",
    "TriggeredBy",
    "UnitFileState",
    "UpheldBy",
)

SUFFIX = ".service"

NEEDED_BY = ("RequiredBy", "BoundBy", "UpheldBy")
"""The properties with the units that stop with the unit, fail without it, or start it again."""

BY_LINK = (".wants", ".requires", ".upholds")
"""The ends of the names of directories whose links start units (systemd.unit(5))."""

INIT_SCRIPTS = Path("/etc/init.d")


def unit_name(place: str) -> str:
    """Return the full name of the unit that a source names, perhaps without its suffix."""
    return place if "." in place else place + SUFFIX


def names_of(unit: Unit) -> list[str]:
    """Return the names of a unit: its own, and its aliases."""
    return list(dict.fromkeys([unit.text("Id"), *unit.text("Names").split()]))


def is_set_aside(unit: Unit, directory: Path) -> bool:
    """Return whether the unit's own file is in `directory`, where the administrator or user writes units.

    Otherwise it is a package's, generated, or an instance of a template, and is masked.
    """
    return os.path.lexists(directory / unit.text("Id"))


def files_of(unit: Unit, directory: Path) -> dict[Path, None]:
    """Return the files that are set aside: the unit's own with its drop-ins, or its script in /etc/init.d."""
    script = Path(unit.text("SourcePath"))
    if script.parent == INIT_SCRIPTS:
        return {script: None}
    if not is_set_aside(unit, directory):
        return {}
    found = [directory / name for name in names_of(unit)] + list(_drop_ins(unit, directory))
    return dict.fromkeys(path for path in found if path.is_file() and not path.is_symlink())


def links_of(unit: Unit, directory: Path) -> tuple[Link, ...]:
    """Return the links in `directory` that define the unit, start it, or are its drop-ins."""
    names = names_of(unit)
    found = [directory / name for name in names]
    found += [each / name for each in _below(directory) if each.suffix in BY_LINK for name in names]
    if is_set_aside(unit, directory):
        found += _drop_ins(unit, directory)
    return tuple(Link(path, str(path.readlink())) for path in found if path.is_symlink())


def starts(link: Link) -> bool:
    """Return whether a link starts its unit with another one, such as multi-user.target."""
    return link.path.parent.suffix in BY_LINK


def _drop_ins(unit: Unit, directory: Path) -> Iterator[Path]:
    for name in names_of(unit):
        yield from sorted((directory / f"{name}.d").glob("*.conf"))


def _below(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def is_going(unit: Unit) -> bool:
    """Return whether the unit runs, or is about to be started again."""
    return unit.text("ActiveState") in ("active", "activating", "reloading", "deactivating")


def problem_of(unit: Unit, adopted: Collection[str], others: Mapping[str, Unit], links: Iterable[Link]) -> str:
    """Return why the unit cannot be adopted, with the remedy; empty if it can.

    `adopted` are the names of all units to be adopted, `others` the units that depend on them, and `links` the links
    that are removed with this one.
    """
    name, state = unit.name, unit.text("LoadState")
    if state == "masked":
        return f"it is masked, so nothing runs it. Remove it from adopts, or allow it again: systemctl unmask {name}"
    if state == "not-found" and not is_going(unit):
        return "systemd does not know it. Remove it from adopts, or correct its name: systemctl list-unit-files"
    if state not in ("loaded", "not-found"):
        return f"systemd cannot read it. See systemctl status {name}"
    if unit.text("Transient") == "yes":
        return f"systemd-run started it, so it could not be restored. Stop it: systemctl stop {name}"
    return _problem_of_starters(unit, others) or _problem_of_dependents(unit, adopted, others, links)


def _problem_of_starters(unit: Unit, others: Mapping[str, Unit]) -> str:
    for name in unit.text("TriggeredBy").split():
        other = others[name]
        if is_going(other) or other.text("UnitFileState") == "enabled":
            return f"{name} would start it again. Disable that first: systemctl disable --now {name}"
    return ""


def _problem_of_dependents(
    unit: Unit, adopted: Collection[str], others: Mapping[str, Unit], links: Iterable[Link]
) -> str:
    removed = {each.path.parent.name for each in links}
    for needed in NEEDED_BY:
        for name in unit.text(needed).split():
            by_link = {f"{name}.requires", f"{name}.upholds"} & removed
            if name not in adopted and not by_link and is_going(others[name]):
                return f"{name} needs it ({needed}=). Remove that dependency: systemctl edit --full {name}"
    return ""


def related(units: Iterable[Unit], systemctl: Systemctl) -> dict[str, Unit]:
    """Return the units that start or need any of `units`, by name."""
    names = {each for unit in units for key in ("TriggeredBy", *NEEDED_BY) for each in unit.text(key).split()}
    return systemctl.show(sorted(names), ("ActiveState", "UnitFileState"))
