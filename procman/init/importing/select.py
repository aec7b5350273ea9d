"""Choose from what the readers found the programs to import, and the projects that they become."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from procman.celery_cli.script_file import text_of
from procman.errors import ProcmanError
from procman.host.local_units import is_of_user
from procman.init.importing.existing import Existing, Reading, Remark
from procman.init.importing.projects import split
from procman.init.importing.variables_files import VariablesFile, read_files, variables_of
from procman.model import MARKER
from procman.secrets import masked
from procman.sources import PROCFILE

MOST_NAMED = 5
"""Programs of a list; the others are counted."""

MOST_FILES_NAMED = 20

NOT_CELERY = (
    "no Celery worker or beat; procman leaves it alone, and could run it as a [command.NAME]",
    "no Celery workers or beats; procman leaves them alone, and could run each as a [command.NAME]",
)
OURS = ("procman runs it already", "procman runs them already")
"""The consequence of a remark on one program, and on several."""

UNCLEAR = "its command line is not understood"

LONGEST_HEAD = 200
"""Characters at the beginning of a file that procman wrote, with its mark."""

MENTIONS_CELERY = re.compile(
    r"(?is)celery(?:_bin)?\}?\b.*\b(?:worker|beat|multi)\b|(?<![a-z])celery(?:d|beat|[_-](?:worker|beat))(?![a-z])"
)
"""A command line that starts a worker or beat, whatever is in front of Celery."""

MOST_PROJECTS = 20
"""In one import; the app of each is loaded, and a host hardly has more."""


@dataclass(frozen=True)
class Selection:
    """The programs of each project, and remarks about the rest."""

    projects: tuple[tuple[Existing, ...], ...]
    files: Mapping[Path, VariablesFile]
    """The files of variables that the programs read."""
    remarks: tuple[Remark, ...]
    not_understood: tuple[Existing, ...] = ()
    """The programs that start Celery and cannot be imported."""


def belongs_to(selection: Selection, account: int) -> bool:
    """Return whether the user `account` runs all programs to import as their own, with a Procfile or as user units."""
    programs = [each for programs in selection.projects for each in programs]
    return all(_is_of_account(each, account) for each in programs)


def _is_of_account(existing: Existing, account: int) -> bool:
    is_procfile = existing.source is not None and existing.source.scheme == PROCFILE
    try:
        return (is_procfile or is_of_user(existing.file)) and existing.file.stat().st_uid == account
    except OSError:
        return False


def selection(readings: Sequence[Reading], user: str | None, decided: Collection[str]) -> Selection:
    """Return the programs to import, split by project.

    `user`, if given, is the user of all programs; `decided` are the keys of `[project]` that the caller sets. Raises
    ProcmanError if no program can be imported, with what was seen in each file, or if there are too many projects.
    """
    found = list(_distinct(each for reading in readings for each in reading.programs))
    ours = [each for each in found if _is_ours(each.file)]
    programs = [each for each in found if each not in ours]
    understood = [each for each in programs if each.command and not each.problem]
    if not understood:
        raise _nothing(readings, programs, ours)
    files: dict[Path, VariablesFile] = {}
    for each in understood:
        files |= read_files([path for path in each.environment_files if path not in files], user or each.user)
    variables = {number: variables_of(each.environment_files, files) for number, each in enumerate(understood)}
    remarks = [remark for reading in readings for remark in reading.remarks]
    remarks += [*_not_imported(programs), *_left(_others(programs), *NOT_CELERY), *_left(ours, *OURS)]
    lost = tuple(each for each in programs if each.problem)
    projects = split(understood, variables, decided)
    if len(projects) > MOST_PROJECTS:
        what = f"the programs would become {len(projects)} projects, more than {MOST_PROJECTS}"
        why = "Programs share a project if they have one app, directory, user, virtualenv and environment file"
        raise ProcmanError(what, hint=f"{why}: import the files of a few at a time.")
    return Selection(tuple(projects), files, tuple(remarks), lost)


def _distinct(programs: Iterable[Existing]) -> Iterator[Existing]:
    """Yield each program once, although several of the files may lead to it."""
    seen = set()
    for each in programs:
        # The processes of one program may be several, with names of their own.
        identity = (each.file, each.label, each.name, each.source)
        if identity not in seen:
            seen.add(identity)
            yield _judged(each)


def _judged(existing: Existing) -> Existing:
    """Return a program whose words name Celery, although no reader understood them, with that as its problem."""
    if existing.command or existing.problem or not MENTIONS_CELERY.search(" ".join(existing.words)):
        return existing
    first = Path(existing.words[0])
    # The files may come from another host.
    is_missing = first.is_absolute() and not os.path.lexists(first)
    problem = f"there is no {first} on this host" if is_missing else UNCLEAR
    return replace(existing, problem=problem)


def _not_imported(programs: Iterable[Existing]) -> Iterator[Remark]:
    for each in programs:
        if each.problem:
            yield Remark(each.place, _short(each), _why(each), doubtful=True)
            yield from each.remarks


def _why(existing: Existing) -> str:
    verb = "may start" if existing.problem == UNCLEAR else "starts"
    return f"{verb} Celery, but is not imported: {existing.problem}"


def _is_ours(file: Path) -> bool:
    """Return whether procman wrote `file`, of another project or of an earlier install."""
    return MARKER in text_of(file)[:LONGEST_HEAD]


def _others(programs: Iterable[Existing]) -> list[Existing]:
    return [each for each in programs if not each.command and not each.problem]


def _left(programs: Sequence[Existing], one: str, several: str) -> Iterator[Remark]:
    if programs:
        files = list(dict.fromkeys(str(each.file) for each in programs))
        place = files[0] if len(files) == 1 else f"{len(files)} files"
        yield Remark(place, _listed([_short(each) for each in programs]), one if len(programs) == 1 else several)


def _short(existing: Existing) -> str:
    """Return the label of a program beside its file."""
    return existing.label.removesuffix(f" of {existing.file}")


def _listed(labels: Sequence[str]) -> str:
    more = len(labels) - MOST_NAMED
    return ", ".join(labels[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _nothing(readings: Sequence[Reading], programs: Sequence[Existing], ours: Sequence[Existing]) -> ProcmanError:
    """Return the error of an import that understood nothing: each file with what was seen in it."""
    problems = [f"{each.place}: {_short(each)} {_why(each)}" for each in programs if each.problem]
    remarks = [remark for reading in readings for remark in reading.remarks]
    remarks += [remark for each in programs if each.problem for remark in each.remarks]
    problems += [f"{each.place}: {each.what}: {each.consequence}" for each in remarks if each.doubtful]
    files = dict.fromkeys(file for reading in readings for file in reading.files)
    others = [line for file in files for line in _seen(file, programs, ours)]
    if len(others) > MOST_FILES_NAMED:
        others[MOST_FILES_NAMED:] = [f"and {len(others) - MOST_FILES_NAMED} more files without a Celery worker or beat"]
    lines = ["nothing was imported, and nothing was written:", *dict.fromkeys(problems), *others]
    hint = "Name the file that starts the Celery workers, or write procman.toml without --from: procman init"
    return ProcmanError("\n".join(map(masked, lines)), hint=hint)


def _seen(file: Path, programs: Sequence[Existing], ours: Sequence[Existing]) -> Iterator[str]:
    """Yield the content of a file besides programs that start Celery."""
    there = [each for each in programs if each.file == file]
    others = [_short(each) for each in there if not each.problem]
    own = [_short(each) for each in ours if each.file == file]
    if others:
        yield f"{file}: {_listed(others)}: no Celery worker or beat"
    elif own:
        yield f"{file}: {_listed(own)}: {OURS[len(own) > 1]}"
    elif not there:
        yield f"{file}: no program is defined in it"
