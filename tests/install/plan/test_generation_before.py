"""Which generation a failed install would roll back to, after interruptions, uninstalls and roll-backs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.install.plan.apply import apply
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, number_before, read_installation
from tests.install import sample

ONE, TWO = sample.DESIRED_STATES["one"], sample.DESIRED_STATES["two"]


def test_generation_before_is_that_of_the_run_that_was_interrupted(host: Path, tree: Tree) -> None:
    assert sample.plan(host, ONE).before is None
    sample.install(host, ONE)
    first = sample.plan(host, TWO)
    assert first.before == 1
    with Tree() as other:
        apply(other, first, sample.CONFIGURATION)
    assert read_installation(tree, sample.directories(host)).current == first.generation
    # Its programs were not told yet: what it may fail at is still the way from 1 to 2.
    assert sample.plan(host, TWO).before == 1
    assert sample.plan(host, sample.changed(TWO, celery="third")).before == 1


def test_after_an_uninstall_there_is_no_generation_before(host: Path) -> None:
    sample.install(host, ONE)
    sample.remove(host)
    assert sample.plan(host, TWO).before is None
    assert sample.install(host, TWO).generation.number == 2


@pytest.mark.parametrize(
    ("number", "brought_back", "kept", "before"),
    [
        (1, None, (1,), None),
        (2, None, (1, 2), 1),
        # 2 was rolled back from; what comes before 1 is gone.
        (3, 1, (1, 2, 3), None),
        (5, 3, (1, 2, 3, 4, 5), 2),
        # The generation that was brought back is not kept any more.
        (14, 2, (5, 6, 14), None),
    ],
)
def test_what_was_rolled_back_from_is_never_meant(
    number: int, brought_back: int | None, kept: tuple[int, ...], before: int | None
) -> None:
    manifest = sample.manifest(Path("/host"), ONE, sample.rendering(Path("/host"), ONE))
    assert number_before(Generation(number, replace(manifest, brought_back=brought_back)), kept) == before
