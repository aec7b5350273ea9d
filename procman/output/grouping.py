"""Group the instances of a program that are alike, so that a table fits a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from procman.model import InstalledProgram
from procman.program_names import short_name


class HasProgram(Protocol):
    """What a line of a table is about."""

    @property
    def program(self) -> InstalledProgram:
        """The program."""


T = TypeVar("T", bound=HasProgram)


def grouped(items: Sequence[T], alike: Callable[[T], object]) -> list[tuple[str, list[T]]]:
    """Return `items` in lines: the instances of a program for which `alike` returns the same share one.

    If it returns None, the instance is on its own. Each line has its name: `catmaid-crop 7/8` for seven instances.
    """
    sizes = Counter(each.program.key for each in items)
    found: dict[object, list[T]] = {}
    for each in items:
        same = alike(each)
        found.setdefault(each.program.name if same is None else (each.program.key, same), []).append(each)
    return [(_name(members, sizes), members) for members in found.values()]


def _name(members: Sequence[HasProgram], sizes: Counter[str]) -> str:
    first = members[0].program
    if len(members) == 1:
        return first.name
    return f"{first.name.rpartition('-')[0]} {len(members)}/{sizes[first.key]}"


def names_for_a_command(programs: Sequence[InstalledProgram], every: Sequence[InstalledProgram]) -> list[str]:
    """Return names that select `programs` of `every` in a command; all instances of a program have one together."""
    sizes, chosen = Counter(each.key for each in every), Counter(each.key for each in programs)
    whole = {key for key, size in sizes.items() if 1 < size == chosen[key]}
    return list(dict.fromkeys(short_name(each) if each.key in whole else each.name for each in programs))
