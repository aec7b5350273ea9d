"""`install --replace FILE`: adopt the programs of FILE that have the names of the project's, as `adopts` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.backends import backend_named
from procman.deploy.adoption_plan import NOTHING_CHANGED
from procman.errors import ProcmanError
from procman.install.state.generations import Installation
from procman.project import Project, Rendering
from procman.sources import SUPERVISOR, Source


def with_replaced(
    project: Project, rendering: Rendering, installation: Installation, files: Sequence[Path]
) -> tuple[Project, dict[Path, str | None]]:
    """Return `project` with the programs of `files` in its keys `adopts`, and the remainders of files replaced whole.

    Raises ProcmanError if a file has nothing to adopt, unless an earlier install has adopted it.
    """
    adopted = {file.path for file in installation.replaced}
    own = {file.path for file in rendering.files}
    absolute = [file.absolute() for file in files if file.absolute() not in adopted or file.exists()]
    programs = {file: _programs(file) for file in absolute}
    whole = {file: _left(project, file) for file in absolute if file in own or not (programs[file] or file in adopted)}
    reader = backend_named(project.backend).verifier
    if problems := reader.unread(project, rendering, absolute):
        raise ProcmanError("\n".join(problems), hint=NOTHING_CHANGED)
    for file in absolute:
        is_untouched = file not in own and whole.get(file) is not None
        if is_untouched or file not in {*whole, *adopted}:
            _require_adoption(project, file, programs[file])
    return _adopting(project, programs), whole


def _programs(file: Path) -> list[str]:
    """Return the programs that `file` defines for supervisord."""
    from procman.adoption.supervisord_files import sections_in  # here, because it loads the supervisor library

    try:
        return list(dict.fromkeys(section.name for section in sections_in(file)))
    except ProcmanError as error:
        hint = "Correct the path, or omit --replace if an earlier install has already adopted the whole file."
        raise ProcmanError(f"{file}: {error.message}", hint=hint) from None


def _left(project: Project, file: Path) -> str | None:
    """Return the remainder of `file`, which replaces no program of supervisord: a unit, or a file at a path of ours."""
    return backend_named(project.backend).verifier.remaining(file, [program.name for program in project.programs])


def _require_adoption(project: Project, file: Path, names: Sequence[str]) -> None:
    ours = {program.name for program in project.programs}
    listed = {source for program in project.programs for source in program.adopts}
    sources = [Source(SUPERVISOR, str(file), name) for name in names]
    if any(each.name in ours or str(each) in listed for each in sources):
        return
    found = f"defines {', '.join(names)}, none of which procman installs" if names else "defines no program"
    raise ProcmanError(f"{file} {found}: --replace would adopt nothing", hint=_remedy(project, sources))


def _remedy(project: Project, sources: Sequence[Source]) -> str:
    if not sources or not project.programs:
        return f"Omit --replace, or correct the path. {NOTHING_CHANGED}"
    return (
        "Name each program that is to be replaced in the table of the one that takes its place, such as under "
        f'[{project.programs[0].key}]:\nadopts = ["{sources[0]}"]\n{NOTHING_CHANGED}'
    )


def _adopting(project: Project, defined: Mapping[Path, Sequence[str]]) -> Project:
    programs = []
    for program in project.programs:
        own = [
            str(Source(SUPERVISOR, str(file), program.name)) for file, names in defined.items() if program.name in names
        ]
        programs.append(replace(program, adopts=tuple(dict.fromkeys((*program.adopts, *own)))))
    return replace(project, programs=tuple(programs))
