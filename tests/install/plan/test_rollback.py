"""What a plan knows of the way back: the generation before, what a roll-back means, and files of no single program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.install.plan.apply import apply
from procman.install.plan.plan import Plan
from procman.install.safe_fs.tree import Tree
from procman.install.state import generations
from procman.install.state.generations import Generation, number_before, read_installation
from procman.install.state.manifest import Pending
from procman.project import RenderedFile, Rendering
from tests.install import sample

ONE, TWO = sample.DESIRED_STATES["one"], sample.DESIRED_STATES["two"]


def _with_target(base: Path, text: str | None) -> Plan:
    """Return the plan for the sample with a section of no single program."""
    files = sample.rendering(base, ONE)
    if text is not None:
        path = sample.directories(base).units / "catmaid.target"
        target = RenderedFile(path, text, 0o644, sample.OWNER, None, (), restarts=False, section=True)
        files = Rendering(files.directories, (*files.files, target))
    return sample.plan_for(base, files, sample.manifest(base, ONE, files))


def _apply(base: Path, plan: Plan) -> None:
    with Tree() as tree:
        apply(tree, plan, sample.CONFIGURATION)
        sample.activate(tree, base, sample.directories(base))


def _pending(base: Path) -> Pending | None:
    with Tree() as tree:
        return generations.read_pending(tree, sample.directories(base).state)


def test_section_of_no_single_program_is_told_apart_until_it_is_followed(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    target = sample.directories(host).units / "catmaid.target"
    for text in ("first", "second", None):
        plan = _with_target(host, text)
        assert (plan.sections, plan.activations) == ((target,), ())
        _apply(host, plan)
        assert _with_target(host, text).sections == (target,)
        pending = _pending(host)
        assert pending
        assert pending.sections == (target,)
        generations.mark_sections_done(tree, sample.directories(host).state)
        assert _pending(host) is None
        assert _with_target(host, text).nothing_to_do


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


def test_install_of_what_a_roll_back_put_there_changes_nothing(host: Path) -> None:
    """R2."""
    sample.install(host, ONE)
    sample.install(host, TWO)
    assert sample.roll_back(host, 1).generation.number == 3
    assert sample.loaded(host).keys() == {"catmaid-celery", "catmaid-beat"}
    assert sample.plan(host, ONE).nothing_to_do
    assert not sample.plan(host, TWO).nothing_to_do
    assert sample.roll_back(host, 1).nothing_to_do


def test_what_was_taken_over_comes_back_with_the_generation_before(host: Path) -> None:
    theirs = host / "etc/supervisor/conf.d/theirs.conf"
    theirs.write_text("[program:theirs]\ncommand=/bin/theirs\n")
    theirs.chmod(0o640)
    sample.install(host, ONE)
    sample.install(host, TWO, adopt={theirs: "; left\n"})
    back = sample.roll_back(host, 1)
    assert theirs.read_text() == "[program:theirs]\ncommand=/bin/theirs\n"
    assert theirs.stat().st_mode & 0o777 == 0o640
    assert back.generation.manifest.replaced == ()

    # What somebody has changed since is his.
    sample.install(host, TWO, adopt={theirs: "; left\n"})
    theirs.write_text("; changed\n")
    sample.roll_back(host, 1)
    assert theirs.read_text() == "; changed\n"
