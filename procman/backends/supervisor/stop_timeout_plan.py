"""Puts the drop-in for an existing supervisord's unit into a plan: made, sized anew, removed with its last project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from procman.backends.supervisor.stop_timeout_dropin import drop_in, drop_in_path, is_edited, stop_seconds
from procman.errors import ProcmanError
from procman.install.plan.changes import Change
from procman.install.plan.describe import content_of
from procman.install.plan.plan import Plan
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Installation
from procman.install.state.manifest import Manifest
from procman.model import MARKER, BackendName, RenderedDirectory, Scope, SupervisorSettings
from procman.project import ChangeKind, Rendering

NOTHING = Rendering((), ())


def with_stop_timeout(
    plan: Plan,
    tree: Tree,
    installation: Installation,
    desired: Manifest | None = None,
    rendering: Rendering = NOTHING,
    adopted: Mapping[Path, str | None] | None = None,
) -> Plan:
    """Return PLAN with what has to happen to the drop-in once DESIRED, which RENDERING is of, is in place; None: gone.

    It belongs to no project alone, and no manifest holds it: what it says follows from everybody's programs.
    """
    current = installation.current.manifest if installation.current else None
    for manifest in (desired, current):
        if manifest is None or manifest.scope is Scope.USER or manifest.backend is not BackendName.SUPERVISOR:
            continue
        path = drop_in_path(manifest.supervisor, manifest.directories.units)
        if path is None or any(change.path == path for change in plan.changes):
            continue
        desired_states = [
            each for each in (desired, *installation.others) if each and _wishes_for(each, manifest.supervisor)
        ]
        is_its_own = desired is manifest
        plan = _with(
            plan,
            tree,
            path,
            manifest.supervisor if desired_states else None,
            rendering if is_its_own else NOTHING,
            adopted if is_its_own else None,
        )
    return plan


def _wishes_for(manifest: Manifest, settings: SupervisorSettings) -> bool:
    own = manifest.supervisor
    return (
        manifest.backend is BackendName.SUPERVISOR
        and own.extend_stop_timeout
        and (own.mode, own.configuration) == (settings.mode, settings.configuration)
    )


def _with(
    plan: Plan,
    tree: Tree,
    path: Path,
    wished: SupervisorSettings | None,
    rendering: Rendering,
    adopted: Mapping[Path, str | None] | None,
) -> Plan:
    found = tree.look(path)
    content = found.content if found else None
    is_ours = content is not None and MARKER.encode() in content
    edited = content is not None and is_ours and is_edited(path, content)
    if wished is None:
        return _add(plan, Change(ChangeKind.REMOVE, path, found, None, edited=edited)) if is_ours else plan
    if found is not None and not is_ours:
        problem = f"{path} was not put there by procman: move it away, or remove extend_stop_timeout"
        return replace(plan, problems=(*plan.problems, problem))
    try:
        file = drop_in(path, stop_seconds(wished, rendering, plan.removed, adopted))
    except ProcmanError:
        # What is wrong with that configuration is told by whoever verifies it; what is there stays.
        return plan
    if found is None:
        return _add(plan, Change(ChangeKind.CREATE, path, None, file), has_directory=tree.has_directory(path.parent))
    same = content == content_of(file)
    return _add(plan, Change(ChangeKind.KEEP if same else ChangeKind.UPDATE, path, found, file, edited=edited))


def _add(plan: Plan, change: Change, *, has_directory: bool = True) -> Plan:
    parent = RenderedDirectory(change.path.parent, 0o755, "root", "root", shared=True)
    changes = sorted((*plan.changes, change), key=lambda each: each.kind is ChangeKind.REMOVE)
    if change.kind is ChangeKind.KEEP:
        return replace(plan, changes=tuple(changes))
    return replace(
        plan,
        changes=tuple(changes),
        directories=plan.directories if has_directory else (*plan.directories, parent),
        sections=tuple(sorted({*plan.sections, change.path})),
        nothing_to_do=False,
    )
