"""Which installed programs a NAME on the command line selects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from procman.errors import ConfigurationError
from procman.model import InstalledProgram

if TYPE_CHECKING:
    from procman.project import Program

P = TypeVar("P", bound="InstalledProgram | Program")


def resolve(project: str, programs: Sequence[P], names: Sequence[str]) -> list[P]:
    """Return the programs that `names` select, each once and in starting order; without names, all programs.

    A name may be a pattern, as in a shell: `fetch*`. One ConfigurationError reports all names that select nothing.
    """
    desired: set[str] = set()
    unknown: list[str] = []
    for name in names:
        # An installed name selects that program, even if it is also a shorter name of another one.
        meant = [program.name for program in programs if name == program.name] or [
            program.name for program in programs if _is_named(name, _names_of(project, program))
        ]
        desired.update(meant)
        if not meant:
            unknown.append(name)
    if unknown:
        raise ConfigurationError([_not_there(name, programs) for name in unknown])
    return [program for program in programs if program.name in desired or not names]


def resolve_one(project: str, programs: Sequence[P], name: str) -> P:
    """Return the program that `name` selects; ConfigurationError if it selects none or several."""
    meant = resolve(project, programs, [name])
    if len(meant) > 1:
        every = ", ".join(each.name for each in meant)
        raise ConfigurationError([f"{name} names several programs"], hint=f"Name one of {every}.")
    return meant[0]


def _names_of(project: str, program: InstalledProgram | Program) -> tuple[str, ...]:
    # `worker.crop` with instances is catmaid-crop-1, -2 ...; catmaid-crop names them all.
    short = short_name(program)
    return (program.name, program.name.removeprefix(f"{project}-"), program.key, short, f"{project}-{short}")


def _is_named(name: str, names: Collection[str]) -> bool:
    return name in names or (is_pattern(name) and any(fnmatchcase(each, name) for each in names))


def is_pattern(name: str) -> bool:
    """Return whether `name` is a pattern, as in a shell; no name of a program contains such a character."""
    return any(character in name for character in "*?[")


def short_name(program: InstalledProgram | Program) -> str:
    """Return the shortest name that `resolve` takes: `crop` for `[worker.crop]`; it means every instance."""
    return program.key.rpartition(".")[2]


def _not_there(name: str, programs: Sequence[InstalledProgram | Program]) -> str:
    from procman.suggest import nearest  # only for mistakes

    known = [program.name for program in programs]
    near = None if is_pattern(name) else nearest(name, known)
    if near:
        return f"no program {name}; did you mean {near}?"
    missing = f"no program matches {name}" if is_pattern(name) else f"no program {name}"
    return f"{missing}; the programs are {', '.join(known[:10])}" + (" ..." if len(known) > 10 else "")
