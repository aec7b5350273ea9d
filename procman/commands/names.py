"""NAME on the command line: the installed name or the key, several allowed, none meaning all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from procman.errors import ConfigurationError


class Named(Protocol):
    """A program, configured or installed."""

    @property
    def name(self) -> str:
        """`catmaid-crop-2`."""

    @property
    def key(self) -> str:
        """`worker.crop`."""


N = TypeVar("N", bound=Named)


def resolve(project: str, programs: Sequence[N], names: Sequence[str]) -> list[N]:
    """Return the programs that NAMES mean, each once and in starting order; all of them where NAMES is empty.

    Every unknown name is told in one ConfigurationError.
    """
    wanted: set[str] = set()
    unknown: list[str] = []
    for name in names:
        meant = [program.name for program in programs if name in _names_of(project, program)]
        wanted.update(meant)
        if not meant:
            unknown.append(name)
    if unknown:
        raise ConfigurationError([_not_there(name, programs) for name in unknown])
    return [program for program in programs if program.name in wanted or not names]


def _names_of(project: str, program: Named) -> tuple[str, ...]:
    # `worker.crop` with instances is catmaid-crop-1, -2 ...; catmaid-crop means them all.
    short = program.key.rpartition(".")[2]
    return (program.name, program.key, short, f"{project}-{short}")


def _not_there(name: str, programs: Sequence[Named]) -> str:
    import difflib  # for mistakes alone

    known = [program.name for program in programs]
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"no program {name}; did you mean {near[0]}?"
    return f"no program {name}; there are {', '.join(known[:10])}" + (" ..." if len(known) > 10 else "")
