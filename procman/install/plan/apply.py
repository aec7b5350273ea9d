"""Writes a plan to disk, in an order that lets the next run complete it after an interruption (R1, R2)."""

from __future__ import annotations

from dataclasses import replace

from procman.errors import ProcmanError
from procman.install.plan.plan import Plan
from procman.install.safe_fs.file_info import PathError, identify
from procman.install.safe_fs.tree import Tree
from procman.install.state import backups, generations, scope_directories
from procman.install.state.authorship import UNKNOWN, Authorship
from procman.install.state.manifest import Pending, digest
from procman.project import ChangeKind


def apply(tree: Tree, plan: Plan, configuration: bytes, made: Authorship = UNKNOWN) -> None:
    """Write `plan` to disk; `configuration` is the content of procman.toml. The installation lock must be held.

    `made` is recorded with a new generation.

    The caller then carries out `plan.activations` in order and records each (`generations.mark_done`). A plan with
    nothing to do writes nothing. Raises ProcmanError; after that, as after a kill, planning and applying again
    completes the work.
    """
    if plan.nothing_to_do:
        return
    manifest, number = plan.generation.manifest, plan.generation.number
    state = manifest.directories.state
    prepare(tree, plan)
    if not plan.written:
        # The remainders of adopted files complete an interrupted adoption.
        stored = {*(file.digest for file in manifest.files), *(file.left for file in manifest.replaced)}
        contents = {digest(content): content for change in plan.changes if (content := change.new_content) is not None}
        kept = [content for name, content in contents.items() if name in stored]
        generations.write_generation(tree, state, plan.generation, kept, configuration, made)
    unfinished = tuple(sorted({*plan.unfinished, number}))
    pending = Pending(
        number,
        unfinished,
        plan.activations,
        plan.before,
        plan.sections,
        adoptions=plan.adoptions,
        returned=plan.returned,
    )
    generations.write_pending(tree, state, pending)
    _make_directories(tree, plan)
    change_files(tree, plan)
    generations.make_current(tree, state, number)
    generations.remove_old_generations(tree, state, plan.obsolete)
    generations.write_pending(tree, state, replace(pending, unfinished=()))


def prepare(tree: Tree, plan: Plan) -> None:
    """Refuse a plan with problems, and remove the temporary files of interrupted runs."""
    if plan.problems:
        raise ProcmanError("\n".join(plan.problems))
    for path in plan.leftovers:
        tree.remove_tree(path)
    tree.sync()


def change_files(tree: Tree, plan: Plan) -> None:
    """Back up files that were edited or are adopted; then create, update and remove.

    Raises PathError if a file has changed since the plan was made.
    """
    changes = [change for change in plan.changes if change.kind is not ChangeKind.KEEP]
    for change in changes:
        if tree.look(change.path) != change.found:
            raise PathError(
                f"{change.path} has just been changed by another process", hint="run the same command again"
            )
    lost = [(change.path, change.found) for change in changes if change.found and (change.edited or change.foreign)]
    backups.keep(tree, plan.generation.manifest.directories.state, lost)
    for change in changes:
        if change.new is not None:
            owner, group = identify(change.new.owner, change.new.group)
            tree.write(change.path, change.new_content or b"", change.new.mode, owner, group)
    tree.sync()
    for change in changes:
        if change.new is None:
            tree.remove(change.path)
    tree.sync()


def _make_directories(tree: Tree, plan: Plan) -> None:
    shared = [directory.path for directory in plan.directories if directory.shared]
    scope_directories.record_directories(tree, plan.generation.manifest.directories.shared_state, shared)
    for directory in plan.directories:
        owner, group = identify(directory.owner, directory.group)
        tree.make_directory(directory.path, directory.mode, owner, group)
    for directory in plan.handed_over:
        tree.hand_over(directory.path, *identify(directory.owner, directory.group))
    tree.sync()
