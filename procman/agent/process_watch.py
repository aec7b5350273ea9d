"""Watch a process with an old heartbeat from inside its container, and report what a verdict needs to know of it."""

import os
import time

from .light_typing import Dict, Iterable, List
from .process_evidence import sample
from .process_stat import PARENT, stat_fields
from .verdict import NO_EVIDENCE, Evidence

SAMPLE_SECONDS = 1.0
"""How often to look at the process."""


def watch(pid: int, interval: float) -> Evidence:
    """Watch it until it acts, at most for as long as it would need to write two heartbeats, one every `interval`."""
    begin = time.monotonic()
    first = last = sample(pid, _descendants_of)
    while first is not None and last is not None and first.main == last.main and not (last.is_stopped or last.excuse):
        if time.monotonic() - begin > 2 * interval:
            break
        time.sleep(min(SAMPLE_SECONDS, interval))
        last = sample(pid, _descendants_of)
    if first is None or last is None:
        return NO_EVIDENCE
    acted = first.main != last.main
    return Evidence(
        idle_seconds=0.0 if acted else time.monotonic() - begin,
        acted=acted,
        is_stopped=last.is_stopped,
        works=first.children != last.children,
        excuse=last.excuse,
        waits=last.waits,
    )


def _descendants_of(pid: int) -> Iterable[int]:
    """Return the processes below another, by reading all that this container shows."""
    children: Dict[int, List[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = stat_fields(name)
        if fields:
            children.setdefault(int(fields[PARENT]), []).append(int(name))
    found: List[int] = []
    waiting = list(children.get(pid, ()))
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], ())
    return found
