"""A hold is in effect until it expires or is released, and only if root or the caller wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.holds import Hold, hold_path, read_holds, remove_hold, write_hold

FOREVER = Hold("catmaid-celery", "ann", 1000.0, None, "draining")
TWO_HOURS = Hold("catmaid-crop", "ann", 1000.0, 8200.0, "")


def test_hold_is_in_effect_until_it_expires(tmp_path: Path, tree: Tree) -> None:
    write_hold(tree, tmp_path, FOREVER, 0o755)
    write_hold(tree, tmp_path, TWO_HOURS, 0o755)
    assert read_holds(tree, tmp_path, 8199.0) == {"catmaid-celery": FOREVER, "catmaid-crop": TWO_HOURS}
    assert read_holds(tree, tmp_path, 8200.0) == {"catmaid-celery": FOREVER}


def test_new_hold_replaces_old_one(tmp_path: Path, tree: Tree) -> None:
    write_hold(tree, tmp_path, FOREVER, 0o755)
    other = Hold("catmaid-celery", "bob", 2000.0, 3000.0, "mine now")
    write_hold(tree, tmp_path, other, 0o755)
    assert read_holds(tree, tmp_path, 2000.0) == {"catmaid-celery": other}


def test_released_program_is_not_held(tmp_path: Path, tree: Tree) -> None:
    write_hold(tree, tmp_path, FOREVER, 0o755)
    assert remove_hold(tree, tmp_path, "catmaid-celery")
    assert not remove_hold(tree, tmp_path, "catmaid-celery")
    assert read_holds(tree, tmp_path, 0.0) == {}


def test_program_can_read_its_hold(tmp_path: Path, tree: Tree) -> None:
    write_hold(tree, tmp_path, FOREVER, 0o755)
    assert hold_path(tmp_path, "catmaid-celery").stat().st_mode & 0o777 == 0o644
    assert hold_path(tmp_path, "catmaid-celery").parent.stat().st_mode & 0o777 == 0o755


def test_hold_that_others_could_have_written_is_refused(tmp_path: Path, tree: Tree) -> None:
    write_hold(tree, tmp_path, FOREVER, 0o755)
    hold_path(tmp_path, "catmaid-celery").chmod(0o666)
    with pytest.raises(ProcmanError, match="not trusted"):
        read_holds(tree, tmp_path, 0.0)


@pytest.mark.parametrize("text", ["", "{", '{"format": 2}', '{"format": 1, "program": "catmaid-celery"}'])
def test_unreadable_hold_is_in_effect_and_names_its_file(tmp_path: Path, tree: Tree, text: str) -> None:
    write_hold(tree, tmp_path, FOREVER, 0o755)
    path = hold_path(tmp_path, "catmaid-celery")
    path.write_text(text)
    [hold] = read_holds(tree, tmp_path, 5000.0).values()
    assert (hold.program, hold.until) == ("catmaid-celery", None)
    assert str(path) in hold.reason
