"""Who made a generation, and why: recorded beside its manifest, and unknown for a generation of an older procman."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.install.safe_fs.tree import Tree
from procman.install.state.authorship import UNKNOWN, Authorship, read_authorship, write_authorship

MADE = Authorship("deploy", "3f2a9c1 Crop images")


def test_record_is_read_back_and_every_user_can_read_it(tmp_path: Path, tree: Tree) -> None:
    write_authorship(tree, tmp_path, MADE)
    assert read_authorship(tree, tmp_path) == MADE
    assert (tmp_path / "made.json").stat().st_mode & 0o777 == 0o644


def test_generation_without_a_record_has_an_unknown_author(tmp_path: Path, tree: Tree) -> None:
    assert read_authorship(tree, tmp_path) == UNKNOWN


@pytest.mark.parametrize("text", ["", "{", '{"format": 2}', '{"format": 1, "by": 3}', '{"format": 1, "else": "x"}'])
def test_damaged_record_costs_no_history(tmp_path: Path, tree: Tree, text: str) -> None:
    write_authorship(tree, tmp_path, MADE)
    (tmp_path / "made.json").write_text(text)
    assert read_authorship(tree, tmp_path) == UNKNOWN


def test_record_that_others_could_have_written_is_not_shown(tmp_path: Path, tree: Tree) -> None:
    write_authorship(tree, tmp_path, MADE)
    (tmp_path / "made.json").chmod(0o666)
    assert read_authorship(tree, tmp_path) == UNKNOWN
