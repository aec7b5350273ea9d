"""Holds: an administrator's instruction not to heal a program, one file per program that only root can write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state import json_records
from procman.records import record

DIRECTORY = "holds"


@record(frozen=True)
class Hold:
    """Who holds a program, since when, and why."""

    program: str
    by: str
    since: float
    """Seconds since the epoch, like the next."""
    until: float | None
    """None: until it is released."""
    reason: str


def hold_path(state: Path, program: str) -> Path:
    """Return the file with the hold of `program`; the program itself reads it, too."""
    return state / DIRECTORY / f"{program}.json"


def write_hold(tree: Tree, state: Path, hold: Hold, directory_mode: int) -> None:
    """Hold a program from now on, replacing any hold it has."""
    tree.make_directory(state / DIRECTORY, directory_mode)
    tree.write(hold_path(state, hold.program), json_records.to_bytes(hold), 0o644)
    tree.sync()


def remove_hold(tree: Tree, state: Path, program: str) -> bool:
    """Release `program`; return whether it was held."""
    path = hold_path(state, program)
    was_there = tree.look(path) is not None
    tree.remove(path)
    tree.sync()
    return was_there


def read_holds(tree: Tree, state: Path, now: float) -> Mapping[str, Hold]:
    """Return the holds in effect at the time `now`, by program.

    A hold that cannot be read is in effect, too, as it is for the program itself: someone intended to hold it.
    """
    found = {}
    for name in tree.names(state / DIRECTORY):
        program, dot, suffix = name.rpartition(".")
        content = tree.read_private(state / DIRECTORY / name) if dot and suffix == "json" else None
        if content is None:
            continue
        hold = _understood(content, state / DIRECTORY / name, program)
        if hold.until is None or hold.until > now:
            found[program] = hold
    return found


def _understood(content: bytes, path: Path, program: str) -> Hold:
    try:
        return json_records.from_bytes(Hold, content, path)
    except ProcmanError as error:
        return Hold(program, "unknown", 0.0, None, error.message)
