"""A changed section that belongs to no single program, such as a target, stays pending until it is marked as done."""

from __future__ import annotations

from pathlib import Path

from procman.install.plan.apply import apply
from procman.install.plan.plan import Plan
from procman.install.safe_fs.tree import Tree
from procman.install.state import generations
from procman.install.state.manifest import Pending
from procman.project import RenderedFile, Rendering
from tests.install import sample

ONE = sample.DESIRED_STATES["one"]


def _with_target(base: Path, text: str | None) -> Plan:
    """Return the plan for the sample with a section that belongs to no single program."""
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


def test_changed_target_is_pending_until_it_is_reloaded(host: Path, tree: Tree) -> None:
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
