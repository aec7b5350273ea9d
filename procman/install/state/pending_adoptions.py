"""Record which existing programs an install has stopped, or a rollback has brought back (R2)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import read_pending, write_pending
from procman.model import Adopted, Adoption


def mark_adopted(tree: Tree, state: Path, adoption: Adoption) -> None:
    """Record that `adoption` was carried out: what it names has stopped."""
    pending = read_pending(tree, state)
    if pending is not None:
        left = tuple(each for each in pending.adoptions if each.adopted != adoption.adopted)
        write_pending(tree, state, replace(pending, adoptions=left))


def mark_returned(tree: Tree, state: Path, adopted: Adopted) -> None:
    """Record that the program `adopted` was brought back."""
    pending = read_pending(tree, state)
    if pending is not None:
        left = tuple(each for each in pending.returned if each != adopted)
        write_pending(tree, state, replace(pending, returned=left))
