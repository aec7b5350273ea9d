"""Find the time zone in which another process writes local times."""

from __future__ import annotations

import struct
from datetime import timezone, tzinfo
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from procman.host.process import environment_of

SYSTEM = Path("/etc/localtime")
ZONES = "/usr/share/zoneinfo/"


def zone_of(pid: int | None) -> tzinfo:
    """Return the time zone of process `pid`: its TZ variable, else the system's zone; the system's if unknown.

    The C library reads TZ when a process starts, so that later changes of its environment do not count.
    """
    return zone_named(environment_of(pid).get("TZ") if pid is not None else None)


def zone_named(value: str | None) -> tzinfo:
    """Return the time zone that `value` of TZ selects, as in tzset(3); without one, the system's."""
    if value is None or value.removeprefix(":") == str(SYSTEM):
        return _system_zone()
    name = value.removeprefix(":").removeprefix(ZONES)
    if name.startswith("/"):
        # Not opened: root may ask for the zone of another user's process.
        return _system_zone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _zone_by_rule(name)


def _system_zone() -> tzinfo:
    try:
        with SYSTEM.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return timezone.utc


def _zone_by_rule(rule: str) -> tzinfo:
    """Return the zone of a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`; UTC, as the C library does, if it is none."""
    # tzfile(5): a file without transitions, so that the rule at its end counts always.
    block = b"TZif2" + bytes(15) + struct.pack(">6I", 0, 0, 0, 0, 1, 1) + bytes(7)
    try:
        return ZoneInfo.from_file(BytesIO(block + block + b"\n" + rule.encode() + b"\n"))
    except (ValueError, UnicodeError):
        return timezone.utc
