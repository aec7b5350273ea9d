"""PM601 to PM603: check the installed files, whether restarts are due, and free disk space."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from procman.model import Level, Result
from procman.monitoring.checks.inputs import ProjectSnapshot

MIB = 1024 * 1024


def check_in_sync(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the installed files and procman.toml are unchanged since the install (PM601)."""
    if running.is_half_removed:
        yield Result("PM601", None, Level.WARNING, "an uninstall was interrupted", "procman uninstall")
    elif running.is_whole:
        level = Level.WARNING if running.differences else Level.OK
        hint = "procman diff, then procman install" if running.differences else ""
        yield Result("PM601", None, level, "; ".join(running.differences), hint)


def check_restart_due(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield which programs run with an older launcher or environment file than the current one (PM602)."""
    for snapshot in running.programs:
        level = Level.WARNING if snapshot.restart_due else Level.OK
        hint = f"procman restart {snapshot.program.name}" if snapshot.restart_due else ""
        detail = f"a restart is due: {snapshot.restart_due}" if snapshot.restart_due else ""
        yield Result("PM602", snapshot.program.name, level, detail, hint)


def check_space(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the free space of each disk that the project writes to, once per disk (PM603)."""
    disks: dict[int, tuple[_Place, list[str]]] = {}
    for path, purpose in running.places.items():
        place = _existing(path)
        if place:
            disks.setdefault(place.device, (place, []))[1].append(purpose)
    for place, purposes in disks.values():
        yield _space(place, purposes, running.manifest.health.free_space_mib)


class _Place(NamedTuple):
    """A directory, which may be renamed at any moment, and what was found out about it at once."""

    path: Path
    device: int
    disk: os.statvfs_result


def _existing(path: Path) -> _Place | None:
    """Return `path`, or the nearest directory above it that this user can see."""
    for place in (path, *path.parents):
        with suppress(OSError):
            return _Place(place, place.stat().st_dev, os.statvfs(place))
    return None


def _space(place: _Place, purposes: list[str], least: int) -> Result:
    path, found = place.path, place.disk
    # f_bavail is what an ordinary user can still use.
    mib = found.f_bavail * found.f_frsize / MIB
    values = {f"free_mib_{path}": float(round(mib))}
    if found.f_blocks == 0 or mib >= least:
        return Result("PM603", None, Level.OK, "", "", values if found.f_blocks else {})
    level = Level.CRITICAL if mib < least / 10 else Level.WARNING
    detail = f"only {mib:.0f} MiB free on the disk of {path}, used for {', '.join(sorted(set(purposes)))}"
    return Result("PM603", None, level, detail, f"df -h {path}", values)
