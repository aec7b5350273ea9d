"""Who made a generation, and why.

It is a file of its own, because the watcher of an older procman, which may still run, refuses a manifest with an
unknown key.
"""

from __future__ import annotations

from pathlib import Path

from procman.install.safe_fs.tree import Tree
from procman.install.state import json_records
from procman.records import record

NAME = "made.json"


@record(frozen=True)
class Authorship:
    """The user who ran the command, and the reason that this user gave; each empty if it is unknown."""

    by: str = ""
    message: str = ""


UNKNOWN = Authorship()


def write_authorship(tree: Tree, generation: Path, made: Authorship) -> None:
    """Record in the directory of a generation who made it."""
    tree.write(generation / NAME, json_records.to_bytes(made), 0o644)


def read_authorship(tree: Tree, generation: Path) -> Authorship:
    """Return who made the generation in this directory; unknown for one of an older procman, or a damaged record."""
    return json_records.read(tree, Authorship, generation / NAME) or UNKNOWN
