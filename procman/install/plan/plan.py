"""Works out everything an install or uninstall has to do, before anything is changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.plan.activations import changed_actions, merged_actions, ordered_activations
from procman.install.plan.changes import Change, Disk, Recorded, adopted, compare, digests, given_back, removals
from procman.install.plan.directories import check_logs, check_private, collecting, to_hand_over, to_make
from procman.install.safe_fs.file_info import Found
from procman.install.safe_fs.tree import finished_name
from procman.install.state.generations import Generation, Installation
from procman.install.state.manifest import Manifest, ReplacedFile, digest
from procman.model import Activation, Adopted, Adoption, RenderedDirectory
from procman.project import ChangeKind, Rendering


@dataclass(frozen=True)
class Plan:
    """Everything that has to be done."""

    generation: Generation
    """The generation that becomes current."""
    written: bool
    """Whether that generation is on disk already."""
    changes: tuple[Change, ...]
    """One for each path, including those that stay the same; removals last."""
    directories: tuple[RenderedDirectory, ...]
    """Directories to create, parents first."""
    handed_over: tuple[RenderedDirectory, ...]
    """The programs' own directories that get another owner."""
    activations: tuple[Activation, ...]
    """The activations to carry out afterwards, in order, including those that an interrupted run did not."""
    leftovers: tuple[Path, ...]
    """Temporary files of interrupted runs."""
    unfinished: tuple[int, ...]
    """Generations that interrupted runs may have installed in part."""
    obsolete: tuple[int, ...]
    """Generations that never became current, and are of no use once this one is."""
    nothing_to_do: bool
    before: int | None
    """The generation that was installed before this plan, or before the interrupted run that it completes."""
    sections: tuple[Path, ...]
    """Files of the process manager that change or go and belong to no single program: it has to reload them."""
    problems: tuple[str, ...]
    """Why the plan must not be applied; each names its fix."""
    adoptions: tuple[Adoption, ...] = ()
    """Existing programs to stop, each before the program that takes its place starts."""
    returned: tuple[Adopted, ...] = ()
    """Adopted programs to bring back once the programs in their places are removed."""

    @property
    def removed(self) -> tuple[Path, ...]:
        """Return the paths of the files to remove."""
        return tuple(change.path for change in self.changes if change.kind is ChangeKind.REMOVE)


def make_plan(
    rendering: Rendering,
    desired: Manifest,
    installation: Installation,
    disk: Disk,
    *,
    adopt: Mapping[Path, str | None] | None = None,
    restore: Mapping[Path, Found] | None = None,
) -> Plan:
    """Compare `rendering`, which `desired` describes, with `disk` and with what earlier runs recorded.

    `adopt` maps unmanaged files to what remains of each: its new content, or None for nothing (also for a file at the
    path of one of ours). `restore` maps adopted files to what they were before. Changes nothing; reasons against the
    plan are in `problems`.
    """
    problems: list[str] = []
    recorded = _recorded(installation)
    changes = _changes(rendering, desired, recorded, disk, adopt or {}, restore or {}, problems)
    directories = to_make(rendering, desired, disk, problems)
    check_private(rendering, disk, problems)
    check_logs(rendering, desired, disk, problems)
    handed_over = to_hand_over(rendering, desired, disk, problems)
    leftovers = _leftovers(rendering, recorded, directories, installation, disk, problems)
    generation, written = _generation(_with_history(desired, installation, directories, changes), installation)
    obsolete = _obsolete(installation, generation.number)
    unchanged = generation == installation.current and all(change.kind is ChangeKind.KEEP for change in changes)
    return Plan(
        generation=generation,
        written=written,
        changes=changes,
        directories=directories,
        handed_over=handed_over,
        activations=_activations(changes, desired, installation),
        leftovers=leftovers,
        unfinished=tuple(unfinished.number for unfinished in installation.unfinished),
        obsolete=obsolete,
        nothing_to_do=unchanged and not (directories or handed_over or leftovers or obsolete or installation.pending),
        before=_before(installation),
        sections=_sections(changes, installation),
        problems=tuple(dict.fromkeys(problems)),
    )


def make_removal(installation: Installation, disk: Disk) -> Plan:
    """Return the plan that removes every file and program of a project that is installed, even if only in part."""
    base = installation.current or installation.latest
    if base is None:
        raise ProcmanError("nothing of this project is installed", hint="list the projects: procman status")
    nothing = replace(base.manifest, programs=(), files=(), rendered_directories=())
    plan = make_plan(Rendering((), ()), nothing, installation, disk)
    return replace(plan, generation=base, written=True, obsolete=(), nothing_to_do=False)


def _recorded(installation: Installation) -> Recorded:
    current = [installation.current.manifest] if installation.current else []
    return Recorded(
        current=digests(current),
        unfinished=digests(generation.manifest for generation in installation.unfinished),
        others=digests(installation.others),
    )


def _changes(
    rendering: Rendering,
    desired: Manifest,
    recorded: Recorded,
    disk: Disk,
    adopt: Mapping[Path, str | None],
    restore: Mapping[Path, Found],
    problems: list[str],
) -> tuple[Change, ...]:
    changes: list[Change] = []
    for file in rendering.files:
        with collecting(problems):
            changes.append(compare(file, recorded, desired.directories, disk, adopt=file.path in adopt))
    ours = {file.path for file in rendering.files}
    for path, left in adopt.items():
        with collecting(problems):
            change = None if path in ours else adopted(path, left, disk)
            changes.extend([change] if change else [])
    with collecting(problems):
        changes.extend(removals(ours, recorded, disk))
    restored = [given_back(path, copy, disk) for path, copy in restore.items()]
    others = [change for change in changes if change.path not in restore]
    return (*restored, *sorted(others, key=lambda change: change.kind is ChangeKind.REMOVE))


def _leftovers(
    rendering: Rendering,
    recorded: Recorded,
    directories: Collection[RenderedDirectory],
    installation: Installation,
    disk: Disk,
    problems: list[str],
) -> tuple[Path, ...]:
    """Return the temporary files in procman's own directories, and beside each rendered, created or recorded path."""
    paths = {*recorded.current, *recorded.unfinished, *installation.shared_directories}
    paths |= {directory.path for directory in (*rendering.directories, *directories)}
    paths |= {file.path for file in rendering.files} | {file.path for file in installation.replaced}
    names: dict[Path, set[str]] = defaultdict(set)
    for path in paths:
        names[path.parent].add(path.name)
    found = [*installation.leftovers]
    for parent, ours in names.items():
        with collecting(problems):
            found += [parent / name for name in disk.names(parent) if finished_name(name) in ours]
    return tuple(dict.fromkeys(found))


def _with_history(
    desired: Manifest,
    installation: Installation,
    directories: Collection[RenderedDirectory],
    changes: Collection[Change],
) -> Manifest:
    """Return `desired` with the paths that earlier generations created and those that this one creates."""
    past = installation.past
    # The state directory exists before its first manifest does; it is procman's own in any case.
    made = {directory.path for directory in directories if not directory.shared} - {desired.directories.state}
    taken = {change.path: _replaced(change) for change in changes if change.foreign}
    known = (desired,) if desired.brought_back else installation.live
    earlier = {file.path: file for manifest in known for file in manifest.replaced}
    taken = {path: _since_the_first(file, earlier.get(path)) for path, file in taken.items()}
    return replace(
        desired,
        directories_made=merged(made, *(manifest.directories_made for manifest in past)),
        log_files=merged(desired.log_files, *(manifest.log_files for manifest in past)),
        schedule_files=merged(desired.schedule_files, *(manifest.schedule_files for manifest in past)),
        replaced=tuple(file for _, file in sorted((earlier | taken).items())),
    )


def merged(*groups: Collection[Path]) -> tuple[Path, ...]:
    """Return the paths of all `groups`, each once, in order."""
    return tuple(sorted({path for group in groups for path in group}))


def _replaced(change: Change) -> ReplacedFile:
    # If one of our files replaced it, nothing of it remains: our file is removed on uninstall.
    left = change.new_content if change.new and not change.new.programs else None
    return ReplacedFile(change.path, digest(change.old_content or b""), None if left is None else digest(left))


def _since_the_first(file: ReplacedFile, before: ReplacedFile | None) -> ReplacedFile:
    """Return `file` with the content that it had before the first of several adoptions from it."""
    return replace(file, digest=before.digest) if before and before.left == file.digest else file


def _generation(manifest: Manifest, installation: Installation) -> tuple[Generation, bool]:
    """Return the generation of `manifest`, and whether it is on disk already, as after an interruption."""
    for known in (installation.current, *reversed(installation.unfinished), installation.latest):
        if known and known.manifest == _as_rolled_back(manifest, known.manifest):
            return known, True
    return Generation(max(installation.numbers, default=0) + 1, manifest), False


def _as_rolled_back(manifest: Manifest, known: Manifest) -> Manifest:
    """Return `manifest` marked like a rollback's if `known` is one: the same content must change nothing (R2)."""
    return manifest if manifest.brought_back else replace(manifest, brought_back=known.brought_back)


def _before(installation: Installation) -> int | None:
    if installation.pending:
        return installation.pending.before
    return installation.current.number if installation.current else None


def _sections(changes: Collection[Change], installation: Installation) -> tuple[Path, ...]:
    recorded = {file.path for each in installation.live for file in each.files if file.section and not file.restarts}
    pending = installation.pending.sections if installation.pending else ()
    changed = (change for change in changes if change.kind is not ChangeKind.KEEP)
    found = [
        change.path
        for change in changed
        # systemd has to read a unit again even if no program is restarted, or if only a comment changed: until then its
        # status asks for a reload.
        if (
            change.new.section and (change.needs_no_restart or not change.new.restarts)
            if change.new
            else change.path in recorded
        )
    ]
    return tuple(sorted({*pending, *found}))


def _obsolete(installation: Installation, chosen: int) -> tuple[int, ...]:
    stale = {generation.number for generation in installation.unfinished}
    if installation.current:
        stale |= {number for number in installation.numbers if number > installation.current.number}
        stale -= {installation.current.number}
    return tuple(sorted(stale - {chosen}))


def _activations(changes: Collection[Change], desired: Manifest, installation: Installation) -> tuple[Activation, ...]:
    names = [program.name for program in desired.programs]
    current = installation.current.manifest if installation.current else None
    pending = installation.pending.activations if installation.pending else ()
    actions = merged_actions(
        {activation.program.name: activation.action for activation in pending},
        changed_actions(changes, current, names),
        names,
    )
    return ordered_activations(actions, desired.programs, current.programs if current else (), pending)
