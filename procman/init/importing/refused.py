"""Read a draft with the loader of procman.toml, and take out what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from procman.config.load import load
from procman.config.toml_lines import dotted
from procman.errors import ConfigurationError
from procman.init.draft import Draft, keys_of
from procman.init.importing.existing import Existing, Remark
from procman.init.write_toml import text_of
from procman.secrets import masked

MOST_ROUNDS = 20
"""One value taken out may uncover another; each round takes out at least one."""


KEPT = ("scope", "backend")
"""Keys that init decides itself: the rest has to fit them, or the loader's problem is the caller's environment."""


def take_out_refused(
    draft: Draft, path: Path, environment: Mapping[str, str], programs: Mapping[str, tuple[Existing, ...]]
) -> None:
    """Take every value out of `draft` that the loader would refuse in a procman.toml at `path`, and remark on it.

    A required key becomes one to fill in. `programs` are the imported ones by table, for the places of the remarks.
    """
    for _ in range(MOST_ROUNDS):
        taken_out = [each for each in _problems(draft, path, environment) if _take_out(draft, path, programs, *each)]
        if not taken_out:
            return


def _problems(draft: Draft, path: Path, environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    try:
        load(path, environment, text=text_of(draft))
    except ConfigurationError as error:
        return error.keys
    return ()


def _take_out(draft: Draft, path: Path, programs: Mapping[str, tuple[Existing, ...]], key: str, message: str) -> bool:
    found = next(((table, name) for table, name in _names(draft) if dotted(*table.split("."), name) == key), None)
    if found is None:
        return False
    table, name = found
    value = draft.tables[table].pop(name)
    if table == "project" and (keys_of(table)[name].required or name == "user"):
        draft.ask_for(table, name, f"{value} cannot be used: {message}")
        return True
    owner = next((each for known, each in programs.items() if table == known or table.startswith(f"{known}.")), None)
    place = owner[0].place if owner else str(path)
    # The value of a variable may be a secret that only the loader recognises.
    what = masked(f"{key} = {value}") if not table.endswith("environment") else key
    draft.import_remarks.append(Remark(place, what, message, doubtful=True))
    return True


def _names(draft: Draft) -> Iterator[tuple[str, str]]:
    names = ((table, name) for table, values in draft.tables.items() for name in values)
    return (each for each in names if each not in [("project", name) for name in KEPT])
