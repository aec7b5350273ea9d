"""Hold and release programs: an administrator's order not to heal them, and its end."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from procman.accounts import invoking_user
from procman.errors import ConfigurationError
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import Event, append_event
from procman.install.state.holds import Hold, remove_hold, write_hold
from procman.lookup import Installed
from procman.model import InstalledProgram, Kind
from procman.program_names import resolve

UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}

MOST_DAYS = 3650
"""Ten years. A longer hold is one without an end, and no calendar shows dates after the year 9999."""


def hold(
    installed: Installed, names: Sequence[str], seconds: float | None, reason: str, environment: Mapping[str, str]
) -> list[Hold]:
    """Hold the programs in `names` for `seconds`, or until they are released; a second hold replaces the first."""
    manifest, now, person = installed.manifest, time.time(), invoking_user(environment)
    holds = []
    with Tree() as tree:
        for program in _meant(installed, names):
            until = None if seconds is None else now + seconds
            held = Hold(program.name, person, now, until, reason)
            write_hold(tree, manifest.directories.state, held, manifest.directory_mode)
            append_event(tree, manifest.directories.state, Event(now, program.name, "held", reason=reason, by=person))
            holds.append(held)
    return holds


def release(
    installed: Installed, names: Sequence[str], environment: Mapping[str, str]
) -> list[tuple[InstalledProgram, bool]]:
    """Release the programs in `names`, and return for each whether it was held."""
    manifest, person = installed.manifest, invoking_user(environment)
    done = []
    with Tree() as tree:
        for program in _meant(installed, names):
            was_held = remove_hold(tree, manifest.directories.state, program.name)
            if was_held:
                append_event(tree, manifest.directories.state, Event(time.time(), program.name, "released", by=person))
            done.append((program, was_held))
    return done


def seconds_of(text: str) -> float:
    """Return the seconds of a length of time: `90s`, `30min`, `2h`, `1d`, `1h30min`.

    Raises ConfigurationError if it is not a length of time, or longer than `MOST_DAYS`.
    """
    parts = re.findall(r"(\d+)\s*(s|min|m|h|d)\s*", text)
    # Floats accept any number of digits.
    total = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not total or not re.fullmatch(r"(\d+\s*(s|min|m|h|d)\s*)+", text):
        raise ConfigurationError(
            [f"--for: {text!r} is not a length of time"], hint="Write 90s, 30min, 2h, 1d or 1h30min, for example."
        )
    if total > MOST_DAYS * UNITS["d"]:
        raise ConfigurationError(
            [f"--for: {text:.40} is too long: at most {MOST_DAYS}d"],
            hint="Without --for, a program is held until it is released.",
        )
    return total


def _meant(installed: Installed, names: Sequence[str]) -> list[InstalledProgram]:
    programs = [each for each in installed.manifest.programs if each.kind is not Kind.HEALTH]
    return resolve(installed.manifest.project, programs, names)
