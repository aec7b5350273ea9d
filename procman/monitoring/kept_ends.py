"""Combine how the processes of a worker that overlaps ended, which only its keeper learns, with the process manager's
record of the ends of keepers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from procman.agent.process_end import EXIT_STATUS
from procman.backends.base import Controller
from procman.backends.run_history import FORCED
from procman.install.state.manifest import Manifest
from procman.model import NO_HISTORY, End, InstalledProgram, RunHistory
from procman.monitoring.keeper_state import keeper_state

SAME_SECONDS = 5.0
"""How long after the end of its last process a keeper may end, for the process manager."""
START_SECONDS = 120.0
"""How long before a worker its keeper may have started: systemd's record of that start must not be cut off."""
MOST = 20
LONGEST = 40
KILLED_BY = "killed by "


class NotedEnd(NamedTuple):
    """The end of a process, as its keeper noted it."""

    end: End
    keeper: int
    is_last: bool
    """Whether the keeper ended with it."""


def histories(
    manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram], since: float
) -> dict[str, RunHistory]:
    """Return the histories of `programs`, with the ends of all their processes."""
    overlaps = any(program.overlap_max for program in programs)
    found = dict(controller.histories(programs, since - START_SECONDS if overlaps else since))
    for program in programs:
        noted = noted_ends(keeper_state(manifest, program))
        if program.overlap_max:
            found[program.name] = combined(found.get(program.name, NO_HISTORY), noted, noted)
    return found


def noted_ends(state: Mapping[str, Any]) -> list[NotedEnd]:
    """Return the ends in a keeper's `state`, which is not trusted, oldest first."""
    entries = state.get("ends")
    found = map(_noted, entries[-MOST:]) if isinstance(entries, list) else ()
    return [each for each in found if each]


def combined(history: RunHistory, noted: Sequence[NotedEnd], more: Iterable[NotedEnd]) -> RunHistory:
    """Return `history` with the end of a keeper replaced by that of its last process, if `noted`, and with `more`."""
    ends, used = [], []
    for end in history.ends:
        last = next((each for each in noted if _is_of_last(each, end)), None)
        used += [last] if last else []
        ends.append(_as_recorded(last.end, end) if last else end._replace(of_keeper=True))
    ends += [each.end for each in more if each not in used]
    return history._replace(ends=tuple(sorted(ends, key=lambda end: end.at)))


def _is_of_last(noted: NotedEnd, keeper: End) -> bool:
    is_one = noted.is_last and keeper.pid in (None, noted.keeper)
    return is_one and abs(keeper.at - noted.end.at) <= SAME_SECONDS


def _as_recorded(noted: End, recorded: End) -> End:
    return noted._replace(by_kernel=recorded.by_kernel, is_repeated=recorded.is_repeated)


def _noted(entry: Any) -> NotedEnd | None:
    try:
        at, started, how = float(entry["at"]), float(entry["started"]), str(entry["how"])
        pid, keeper = int(entry["pid"]), int(entry["keeper"])
    except (LookupError, TypeError, ValueError):
        return None
    is_end = len(how) <= LONGEST and how.isprintable() and how.startswith((KILLED_BY, EXIT_STATUS))
    # An end in the future would hide those after it.
    if not is_end or not 0 <= started <= at <= time.time():
        return None
    is_forced = entry.get("is_forced") is True
    end = End(at, FORCED if is_forced else how, pid, started, is_forced)
    return NotedEnd(end, keeper, entry.get("is_last") is True)
