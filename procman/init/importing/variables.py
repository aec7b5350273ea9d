"""Put the variables of existing programs into a draft: keys, tables of environment, and the environment file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from procman.accounts import account, login_environment
from procman.config.read_environment import refusal
from procman.init.draft import Draft
from procman.init.environment_file import line_of
from procman.init.importing.existing import Existing, Remark
from procman.init.importing.variables_files import VariablesFile, variables_of
from procman.init.virtualenvs import is_virtualenv
from procman.quoting import unprintable
from procman.secrets import is_secret
from procman.subprocesses import SYSTEM_PATH

OF_PROJECT = ("DJANGO_SETTINGS_MODULE", "VIRTUAL_ENV")
"""Variables that became keys of `[project]` (projects.project_values)."""

MOST_LINES = 5
"""Lines of a file that a remark names."""

Files = Mapping[Path, VariablesFile]


def take_variables(draft: Draft, existing: Existing, table: str) -> None:
    """Put the variables of a program into `draft`, and its secrets among those for the environment file (S2)."""
    for name, value in existing.environment.items():
        if name == "PYTHONPATH":
            _take_python_path(draft, existing, value)
        elif name == "PATH":
            _take_path(draft, table, value)
        elif name not in OF_PROJECT and not _is_of_account(draft, name, value):
            _take(draft, existing, table, name, value, is_private=is_secret(name, value))


def _is_of_account(draft: Draft, name: str, value: str) -> bool:
    """Return whether the programs get this variable anyway, because it is that of their user."""
    entry = account(draft.text("project", "user"))
    return entry is not None and login_environment(entry).get(name) == value


def _take(draft: Draft, existing: Existing, table: str, name: str, value: str, *, is_private: bool) -> None:
    reason = refusal(name) or (f"its name contains a {unprintable(name)}" if unprintable(name) else None)
    if not reason and is_private and line_of(name, value) is None:
        reason = "no environment file can contain its value"
    if not reason and not is_private and unprintable(value):
        reason = f"its value contains a {unprintable(value)}"
    if reason:
        draft.import_remarks.append(Remark(existing.place, name, reason))
    elif is_private:
        draft.secrets[name] = value
    else:
        draft.tables.setdefault(f"{table}.environment", {})[name] = value


def _take_python_path(draft: Draft, existing: Existing, value: str) -> None:
    known = draft.get("project", "python_path") or []
    assert isinstance(known, list)
    directory = draft.path("directory") or existing.directory
    paths = [path for path in value.split(":") if path.startswith("/") and Path(path) != directory]
    if paths:
        draft.put("project", "python_path", paths)
        draft.tables["project"]["python_path"] = list(dict.fromkeys([*known, *paths]))


def _take_path(draft: Draft, table: str, value: str) -> None:
    places = [Path(place) for place in value.split(":") if place.startswith("/")]
    # The bin directory of the virtualenv always comes first.
    virtualenv = draft.path("virtualenv")
    others = [str(place) for place in places if place.parent != virtualenv and not is_virtualenv(place.parent)]
    if others and not all(place in SYSTEM_PATH.split(":") for place in others):
        draft.tables.setdefault(f"{table}.environment", {})["PATH"] = ":".join(others)


def share_environment(draft: Draft) -> None:
    """Move the variables that all programs share to `[environment]`."""
    programs = [table for table in draft.tables if re.fullmatch(r"worker\.[^.]+|beat", table)]
    each = [draft.tables.get(f"{table}.environment", {}) for table in programs]
    for name, value in list(each[0].items()) if each else ():
        if all(other.get(name) == value for other in each):
            draft.tables.setdefault("environment", {})[name] = value
            for other in each:
                del other[name]


def take_files(draft: Draft, programs: Sequence[tuple[Existing, str]], files: Files) -> None:
    """Name the only file that the programs read as environment_file, or collect the variables of several.

    `programs` are pairs of a program and its table; `draft.secrets` becomes the environment file that init writes.
    """
    paths = list(dict.fromkeys(path for existing, _ in programs for path in existing.environment_files))
    draft.import_remarks += _problems(programs, files)
    usable = [path for path in paths if files[path].is_usable]
    effective = _effective(programs, files)
    if usable == paths[:1] and len(paths) == 1 and not draft.secrets and not _differing(effective):
        draft.put("project", "environment_file", paths[0])
        draft.variables_of_file = dict(files[paths[0]].variables)
        draft.import_remarks += _also_read_by(programs, paths[0])
    elif any(files[path].variables for path in paths):
        _merge(draft, effective)
        draft.import_remarks += _merged(paths)


Effective = Sequence[tuple[Existing, str, Mapping[str, str]]]
"""A program, its table, and the values that it has of the variables in the files of all programs."""


def _effective(programs: Sequence[tuple[Existing, str]], files: Files) -> Effective:
    names = {name for existing, _ in programs for name in variables_of(existing.environment_files, files)}
    found = []
    for existing, table in programs:
        # A file overrides the program's own variables, as for systemd.
        variables = {**existing.environment, **variables_of(existing.environment_files, files)}
        found.append((existing, table, {name: value for name, value in variables.items() if name in names}))
    return found


def _differing(effective: Effective) -> set[str]:
    """Return the variables that do not have the same value in all programs that have them."""
    values: dict[str, set[str]] = {}
    for _, _, variables in effective:
        for name, value in variables.items():
            values.setdefault(name, set()).add(value)
    return {name for name, found in values.items() if len(found) > 1}


def _problems(programs: Sequence[tuple[Existing, str]], files: Files) -> Iterator[Remark]:
    for existing, _ in programs:
        for path in existing.environment_files:
            file = files[path]
            if file.problem:
                consequence = f"{file.problem}: its variables are unknown here"
                yield Remark(existing.place, f"variables of {path}", consequence, doubtful=file.is_usable)
            for name in file.refused:
                yield Remark(str(path), name, refusal(name) or "")
            if file.not_understood:
                lines = ", ".join(map(str, file.not_understood[:MOST_LINES]))
                more = ", ..." if len(file.not_understood) > MOST_LINES else ""
                why = "no environment file can contain that: add what Celery needs of it to the written one"
                yield Remark(f"{path}:{file.not_understood[0]}", f"line {lines}{more}", why, doubtful=True)


def _also_read_by(programs: Sequence[tuple[Existing, str]], path: Path) -> Iterator[Remark]:
    for existing, _ in programs:
        if path not in existing.environment_files:
            consequence = "this program gets its variables too: a project has one environment file"
            yield Remark(existing.place, f"environment_file = {path}", consequence, changed=True)


def _merge(draft: Draft, effective: Effective) -> None:
    """Collect the variables of all files; one that differs between programs and is no secret is set per program."""
    differing = _differing(effective)
    for existing, table, variables in effective:
        for name, value in variables.items():
            if name == "PYTHONPATH":
                _take_python_path(draft, existing, value)
            elif name not in OF_PROJECT and not _is_of_account(draft, name, value):
                is_private = name not in differing or is_secret(name, value)
                _take(draft, existing, table, name, value, is_private=is_private)


def _merged(paths: Sequence[Path]) -> Iterator[Remark]:
    for path in paths:
        consequence = "its variables are copied to the environment file of the project, which is read instead of it"
        yield Remark(str(path), "environment file", consequence, changed=True)
