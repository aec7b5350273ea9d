"""Join equal remarks of several programs, and sort them for a person (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from procman.init.importing.existing import Remark
from procman.secrets import masked


@dataclass(frozen=True)
class JoinedRemark:
    """A remark, with the number of programs that it is about. Passwords are hidden (S2)."""

    remark: Remark
    programs: int = 1


def joined(remarks: Iterable[Remark]) -> list[JoinedRemark]:
    """Return each remark once, with the place of the first: first what a person has to decide, then what changes."""
    places: dict[tuple[str, str, bool, bool], list[str]] = {}
    for each in remarks:
        key = (masked(each.what), masked(each.consequence), each.changed, each.doubtful)
        places.setdefault(key, []).append(each.place)
    found = [JoinedRemark(Remark(places[key][0], *key), len(places[key])) for key in places]
    return sorted(found, key=lambda each: (not each.remark.doubtful, not each.remark.changed))
