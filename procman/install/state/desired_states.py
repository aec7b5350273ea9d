"""Desired states: whether a program should run by its last stop, or its restart in progress, one file per program.

A process manager forgets both: a supervisord that died does not know which programs had been stopped on purpose (R11),
and one whose client was killed in the middle of a restart reports a program that someone stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from procman.install.safe_fs.tree import Tree
from procman.install.state import json_records
from procman.records import record

DIRECTORY = "desired"


@record(frozen=True)
class DesiredState:
    """An order to stop a program, or to restart it; it ends when the program is started, and when the host boots."""

    program: str
    desired: bool
    """Whether the program should run: False after a stop, True during a restart."""
    by: str
    """The user who gave it."""
    at: float
    """Seconds since the epoch."""
    boot_id: str
    process: str
    """The identity of the procman process that carries it out."""


def write_desired(tree: Tree, state: Path, desired: DesiredState, directory_mode: int) -> None:
    """Record `desired` in place of any earlier one of its program."""
    tree.make_directory(state / DIRECTORY, directory_mode)
    tree.write(_path(state, desired.program), json_records.to_bytes(desired), 0o644)
    tree.sync()


def remove_desired(tree: Tree, state: Path, program: str) -> None:
    """Forget the order about `program`, if there is one."""
    if tree.look(_path(state, program)) is not None:
        tree.remove(_path(state, program))
        tree.sync()


def read_desired(tree: Tree, state: Path, boot_id: str) -> Mapping[str, DesiredState]:
    """Return the orders of the boot `boot_id` by program; one that cannot be read counts as none."""
    found = {}
    for name in tree.names(state / DIRECTORY):
        program, dot, suffix = name.rpartition(".")
        order = json_records.read(tree, DesiredState, _path(state, program)) if dot and suffix == "json" else None
        if order and (order.program, order.boot_id) == (program, boot_id):
            found[program] = order
    return found


def _path(state: Path, program: str) -> Path:
    return state / DIRECTORY / f"{program}.json"
