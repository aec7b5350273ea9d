"""Define what the watcher remembers from one check to the next, and read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from procman.host.inactivity import Inactivity
from procman.install.safe_fs.tree import Tree
from procman.install.state import json_records
from procman.install.state.generations import HEALING


@dataclass(frozen=True)
class Case:
    """The history of a program, kept from one check to the next."""

    program: str
    process: str = ""
    code: str = ""
    """The problem in the last checks that a restart would solve."""
    failures: int = 0
    """How many checks in a row found that problem."""
    step: str = ""
    """The last step of healing: `stop`, `kill` or `start` was ordered, or `restarted`; empty if none is in progress."""
    restarts: tuple[float, ...] = ()
    """When a restart was ordered within the last hour, in seconds of the monotonic clock."""
    gave_up: bool = False
    seen: str = ""
    """The most severe level and code of the last check."""
    looks: int = 0
    """How many checks in a row have found that."""
    told: str = ""
    """The level and code of the last event; empty if the program was healthy."""
    inactivity: Inactivity | None = None
    """What was seen of its main process since its heartbeat is old; None if it is not."""
    ended: float = 0.0
    """When the last end of a main process that has its event was, in seconds since the epoch; 0: none has."""
    inside: float = 0.0
    """The time of the program's own last event that was passed to `on_event`; 0: none was."""


@dataclass(frozen=True)
class HealingHistory:
    """The history of a project; worthless after a boot, because the monotonic clock restarts."""

    boot_id: str
    cases: tuple[Case, ...] = ()


def read_healing_history(tree: Tree, state: Path, boot_id: str) -> HealingHistory:
    """Return the history of this boot; an empty one if it cannot be read, because it covers one hour at most."""
    history = json_records.read(tree, HealingHistory, state / HEALING)
    return history if history and history.boot_id == boot_id else HealingHistory(boot_id)
