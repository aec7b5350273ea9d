"""Orders: when procman last started, stopped or restarted a program; supervisord's log does not show every order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state import json_records
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram

DIRECTORY = "orders"


@dataclass(frozen=True)
class Orders:
    """When a program was last ordered about, in seconds since the epoch; 0: never."""

    ordered: float = 0.0
    """By a person, to start, stop or restart it."""
    retried: float = 0.0
    """By the watcher, to start it again after its process manager had given up."""


def note_order(manifest: Manifest, programs: Iterable[InstalledProgram]) -> None:
    """Record that `programs` are about to be started, stopped or restarted by a person's order.

    A record that cannot be written prevents no order: at worst, restarts before it are counted.
    """
    _note(manifest, programs, {"ordered": time.time()})


def note_retry(manifest: Manifest, program: InstalledProgram) -> None:
    """Record that the watcher is about to start `program` again."""
    _note(manifest, [program], {"retried": time.time()})


def read_orders(tree: Tree, state: Path, program: str) -> Orders:
    """Return the last orders about `program`; none if they cannot be read."""
    return json_records.read(tree, Orders, _path(state, program)) or Orders()


def orders_of(state: Path, programs: Iterable[str]) -> Mapping[str, Orders]:
    """Return the last orders about each of `programs`."""
    with Tree() as tree:
        return {program: read_orders(tree, state, program) for program in programs}


def _note(manifest: Manifest, programs: Iterable[InstalledProgram], changes: Mapping[str, float]) -> None:
    state = manifest.directories.state
    with suppress(ProcmanError), Tree() as tree:
        tree.make_directory(state / DIRECTORY, manifest.directory_mode)
        for program in programs:
            orders = replace(read_orders(tree, state, program.name), **changes)
            tree.write(_path(state, program.name), json_records.to_bytes(orders), 0o644)


def _path(state: Path, program: str) -> Path:
    return state / DIRECTORY / f"{program}.json"
