"""Works out which existing programs an install adopts, from `adopts` and from what earlier runs recorded (R12)."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from procman import adoption
from procman.adoption.base import Candidate
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Installation, store_of
from procman.install.state.manifest import Manifest, ReplacedFile, digest
from procman.model import Adopted, Adoption, Kind
from procman.project import Project
from procman.sources import Source, source_in

NOTHING_CHANGED = "Nothing was changed."
"""The hint of an error whose problems name their own fixes."""

Wanted = Mapping[str, Sequence[str]]
"""The programs that take the place of each source."""


@dataclass(frozen=True)
class AdoptionPlan:
    """The adoptions of a plan."""

    adopted: tuple[Adopted, ...] = ()
    """Everything that is adopted afterwards."""
    adoptions: tuple[Adoption, ...] = ()
    """What has yet to be stopped."""
    returned: tuple[Adopted, ...] = ()
    """Programs to bring back, because they are no longer adopted."""
    left: Mapping[Path, str | None] = field(default_factory=dict)
    """What the files of existing programs will contain; None for one that is set aside."""
    desired_states: Mapping[str, bool] = field(default_factory=dict)
    """Whether new programs should run, because what they replace does (R11)."""


def wanted_by(project: Project) -> dict[str, list[str]]:
    """Return the programs that take the place of each source. Raises ProcmanError if two tables name one source."""
    wanted: dict[str, list[str]] = {}
    tables: dict[str, str] = {}
    for program in project.programs:
        for source in program.adopts:
            if tables.setdefault(source, program.key) != program.key:
                raise ProcmanError(
                    f"{project.configuration_file}: {tables[source]} and {program.key} both adopt {source}",
                    hint="Remove it from `adopts` of one of them.",
                )
            wanted.setdefault(source, []).append(program.name)
    return wanted


def plan_adoptions(
    tree: Tree, installation: Installation, project: Project, generation: Manifest | None = None
) -> AdoptionPlan:
    """Return what the programs of `project` still have to adopt. Raises ProcmanError if something cannot be adopted.

    `generation` is the one to roll back to; otherwise everything stays adopted that earlier runs recorded.
    """
    adopted = generation.adopted if generation else adopted_by(installation)
    so_far = {each.source for each in adopted_by(installation)}
    replaced = generation.replaced if generation else _replaced(installation)
    put_back, not_reduced = _put_back(tree, replaced), _not_reduced(tree, installation, replaced)
    # A file as the current generation left it no longer has what that generation adopted.
    gone = {each.source for each in installation.current.manifest.adopted} if installation.current else set()
    there = [
        each for each in adopted if _is_in(each, put_back) or (each.source not in gone and _is_in(each, not_reduced))
    ]
    known = {each.source for each in adopted if each.source in so_far and each not in there}
    # The record has the links, which an interrupted uninstall makes again after the files.
    undone = adopted if installation.pending and installation.pending.uninstall else ()
    known -= _back(undone, project)
    wanted = {**wanted_by(project), **_not_listed(project, adopted)}
    candidates = _find([source for source in wanted if source not in known], project, wanted)
    # Uninstall brings them back in this order: beat last, as at every start.
    fresh = sorted(
        (_adoption(each, project, wanted, installation) for each in candidates), key=lambda each: each.has_beat
    )
    everything = _merged((*adopted, *(each for adoption in fresh for each in adoption.adopted)), undone)
    left = {path: content for each in candidates for path, content in each.files.items()}
    return AdoptionPlan(
        adopted=everything,
        adoptions=(*_pending(installation, known), *fresh),
        returned=_returned(installation, everything),
        left={**_to_reduce(tree, installation, {**not_reduced, **put_back}), **left},
        desired_states=_desired_states(wanted, everything, installation),
    )


def adopted_by(installation: Installation) -> tuple[Adopted, ...]:
    """Return everything that the installed and the unfinished generations have adopted."""
    return _merged((), [each for manifest in reversed(installation.live) for each in manifest.adopted])


def _replaced(installation: Installation) -> Collection[ReplacedFile]:
    """Return the adopted files, each as the newest generation that concerns it left it or is to leave it."""
    return {file.path: file for each in reversed(installation.live) for file in each.replaced}.values()


def _not_listed(project: Project, adopted: Sequence[Adopted]) -> dict[str, list[str]]:
    """Return the program in place of each source that is adopted, but that `adopts` does not name: by `--replace`."""
    listed = {source for program in project.programs for source in program.adopts}
    names = {program.name for program in project.programs}
    return {each.source: [each.program] for each in adopted if each.source not in listed and each.program in names}


def _find(sources: Sequence[str], project: Project, wanted: Wanted) -> list[Candidate]:
    try:
        return adoption.find([source for each in sources if (source := source_in(each))], project)
    except ProcmanError as error:
        problems = [_located(line, project, wanted) for line in error.message.splitlines()]
        raise ProcmanError("\n".join(problems), hint="Correct or remove it there. Nothing was changed.") from None


def _located(line: str, project: Project, wanted: Wanted) -> str:
    keys = {program.name: program.key for program in project.programs}
    key = next((keys[names[0]] for source, names in wanted.items() if line.startswith(f"{source}: ")), "")
    return f"{project.configuration_file}: {key}: adopts: {line}" if key else line


def _adoption(candidate: Candidate, project: Project, wanted: Wanted, installation: Installation) -> Adoption:
    names = {name for source in candidate.sources for name in wanted[str(source)]}
    kinds = {program.kind for program in project.programs if program.name in names}
    # Stopped by an adoption that was undone in part, not by an administrator.
    before = [*installation.pending.returned] if installation.pending else []
    ran = {each.source for each in before if each.was_running}
    is_running = candidate.is_running or any(str(source) in ran for source in candidate.sources)
    return Adoption(
        label=candidate.label,
        adopted=tuple(
            Adopted(
                source=str(source),
                program=wanted[str(source)][0],
                was_running=is_running,
                was_enabled=candidate.is_enabled,
                manager=candidate.manager,
                links=candidate.links,
            )
            for source in candidate.sources
        ),
        processes=candidate.processes,
        has_beat=candidate.has_beat or Kind.BEAT in kinds,
    )


def _pending(installation: Installation, known: Collection[str]) -> tuple[Adoption, ...]:
    """Return the adoptions that an interrupted run has left, apart from those that are found again or given up."""
    adoptions = installation.pending.adoptions if installation.pending else ()
    return tuple(each for each in adoptions if all(one.source in known for one in each.adopted))


def _merged(adopted: Sequence[Adopted], fresh: Sequence[Adopted]) -> tuple[Adopted, ...]:
    return tuple({each.source: each for each in (*adopted, *fresh)}.values())


def _returned(installation: Installation, kept: Sequence[Adopted]) -> tuple[Adopted, ...]:
    begun = installation.pending.returned if installation.pending else ()
    sources = {each.source for each in kept}
    return tuple(each for each in _merged(begun, adopted_by(installation)) if each.source not in sources)


def _desired_states(wanted: Wanted, adopted: Sequence[Adopted], installation: Installation) -> dict[str, bool]:
    current = installation.current.manifest if installation.current else None
    installed = {program.name for program in current.programs} if current else set()
    ran: dict[str, bool] = {}
    for each in adopted:
        for name in wanted.get(each.source, ()):
            ran[name] = ran.get(name, False) or each.was_running
    return {name: was_running for name, was_running in ran.items() if name not in installed}


def _put_back(tree: Tree, replaced: Collection[ReplacedFile]) -> dict[Path, ReplacedFile]:
    """Return those of `replaced` that are as they were before their adoption."""
    return {file.path: file for file in replaced if _digest(tree, file.path) == file.digest}


def _not_reduced(
    tree: Tree, installation: Installation, replaced: Collection[ReplacedFile]
) -> dict[Path, ReplacedFile]:
    """Return those of `replaced` that are as the current generation left them, because a run was interrupted."""
    current = installation.current.manifest.replaced if installation.current else ()
    before = {file.path: file.left for file in current if file.left}
    others = [file for file in replaced if file.path in before and file not in current]
    return {file.path: file for file in others if _digest(tree, file.path) == before[file.path]}


def _back(adopted: Sequence[Adopted], project: Project) -> set[str]:
    """Return the sources of `adopted` that can be adopted: they run again, or had yet to be stopped.

    The mask of a unit without a file of its own is all that an adoption changes on disk.
    """
    by_place: dict[tuple[str, str], list[Source]] = {}
    for source in filter(None, (source_in(each.source) for each in adopted)):
        by_place.setdefault((source.scheme, source.place), []).append(source)
    found: set[str] = set()
    for sources in by_place.values():
        with suppress(ProcmanError):
            found |= {str(each) for candidate in adoption.find(sources, project) for each in candidate.sources}
    return found


def _digest(tree: Tree, path: Path) -> str | None:
    found = tree.look(path)
    return digest(found.content) if found and found.content is not None else None


def _is_in(adopted: Adopted, paths: Collection[Path]) -> bool:
    source = source_in(adopted.source)
    places = {place for path in paths for place in (path.name, os.path.realpath(path))}
    return source is not None and (os.path.realpath(source.place) if "/" in source.place else source.place) in places


def _to_reduce(
    tree: Tree, installation: Installation, unchanged: Mapping[Path, ReplacedFile]
) -> dict[Path, str | None]:
    """Return the remainders of files that an interrupted run did not change, such as one with only a group."""
    state = next((manifest.directories.state for manifest in installation.live), None)
    left: dict[Path, str | None] = {}
    for path, file in unchanged.items():
        if file.left is None:
            left[path] = None
        elif state and (content := _stored(tree, state, installation.numbers, file.left)) is not None:
            left[path] = content.decode("utf-8", "surrogateescape")
    return left


def _stored(tree: Tree, state: Path, numbers: Sequence[int], name: str) -> bytes | None:
    for number in reversed(numbers):
        content = tree.read_private(store_of(state, number) / name)
        if content is not None and digest(content) == name:
            return content
    return None
