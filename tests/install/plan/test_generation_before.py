"""Which generation a failed install would roll back to, after interruptions, uninstalls and rollbacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.install.plan.apply import apply
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, number_before, read_installation
from tests.install import sample

ONE, TWO = sample.DESIRED_STATES["one"], sample.DESIRED_STATES["two"]


def test_earlier_generation_is_that_of_interrupted_run(host: Path, tree: Tree) -> None:
    assert sample.plan(host, ONE).before is None
    sample.install(host, ONE)
    first = sample.plan(host, TWO)
    assert first.before == 1
    with Tree() as other:
        apply(other, first, sample.CONFIGURATION)
    assert read_installation(tree, sample.directories(host)).current == first.generation
    # Its programs are not activated yet: the change that may fail is still the one from 1 to 2.
    assert sample.plan(host, TWO).before == 1
    assert sample.plan(host, sample.changed(TWO, celery="third")).before == 1


def test_no_earlier_generation_after_uninstall(host: Path) -> None:
    sample.install(host, ONE)
    sample.remove(host)
    assert sample.plan(host, TWO).before is None
    assert sample.install(host, TWO).generation.number == 2


@pytest.mark.parametrize(
    ("number", "brought_back", "kept", "before"),
    [
        (1, None, (1,), None),
        (2, None, (1, 2), 1),
        # 2 was rolled back from, and nothing before 1 is kept.
        (3, 1, (1, 2, 3), None),
        (5, 3, (1, 2, 3, 4, 5), 2),
        # The generation that was rolled back to is no longer kept.
        (14, 2, (5, 6, 14), None),
    ],
)
def test_generation_rolled_back_from_is_skipped(
    number: int, brought_back: int | None, kept: tuple[int, ...], before: int | None
) -> None:
    manifest = sample.manifest(Path("/host"), ONE, sample.rendering(Path("/host"), ONE))
    assert number_before(Generation(number, replace(manifest, brought_back=brought_back)), kept) == before
