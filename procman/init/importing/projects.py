"""Split existing programs by project: one procman.toml has one app, one settings module, one user (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from procman.init.importing.existing import Existing
from procman.init.virtualenvs import is_virtualenv
from procman.secrets import is_secret

SHARED = ("app", "settings", "virtualenv", "user", "group", "directory")
"""Keys of `[project]` of which all programs of a project have one value, the most telling first."""

Values = Mapping[str, str]


def project_values(existing: Existing, more: Values) -> dict[str, str]:
    """Return the keys of `[project]` that `existing` sets; `more` are the variables of its environment files."""
    variables = {**existing.environment, **more}
    found = {key: str(value) for key, value in existing.command.project.items()} if existing.command else {}
    directory = existing.directory
    if "directory" in found:
        directory = (directory or Path("/")) / found.pop("directory")
    candidates = {
        # Click, which Celery 5 uses, reads these two variables if there is no -A.
        "app": variables.get("APP") or variables.get("CELERY_APP"),
        "settings": variables.get("DJANGO_SETTINGS_MODULE"),
        "virtualenv": _virtualenv(variables),
        "user": existing.user,
        "group": existing.group,
        "directory": directory,
    }
    return {key: str(value) for key, value in candidates.items() if value} | found


def _virtualenv(variables: Values) -> str | None:
    if variables.get("VIRTUAL_ENV"):
        return variables["VIRTUAL_ENV"]
    places = (Path(place) for place in variables.get("PATH", "").split(":") if place.startswith("/"))
    return next((str(place.parent) for place in places if is_virtualenv(place.parent)), None)


def secret_variables(existing: Existing, more: Values) -> dict[str, str]:
    """Return the secrets of `existing`: a project has one environment file, with one value of each."""
    return {name: value for name, value in {**existing.environment, **more}.items() if is_secret(name, value)}


def split(
    programs: Sequence[Existing], variables: Mapping[int, Values], decided: Collection[str] = ()
) -> list[tuple[Existing, ...]]:
    """Return the programs of each project, in their order, the largest project first.

    `variables` holds those of the environment files of each program, by its place in `programs`; `decided` are the keys
    that the caller sets, whatever the programs have. A program that leaves a value open belongs to the first project
    whose other values it has.
    """
    moved = {name for each in programs if each.command for name in each.command.moved.values()}
    known = [
        # An option moved to a variable of the environment file would reach the programs without this option.
        dict.fromkeys((f"${name}" for name in moved), "")
        | {key: value for key, value in project_values(each, variables.get(number, {})).items() if key not in decided}
        | {f"${name}": value for name, value in secret_variables(each, variables.get(number, {})).items()}
        for number, each in enumerate(programs)
    ]
    projects: list[tuple[dict[str, str], list[int]]] = []
    # The programs with the most known values decide which projects there are.
    for number in sorted(range(len(programs)), key=lambda each: -sum(name in SHARED for name in known[each])):
        found = next((each for each in projects if _fits(known[number], each[0])), None)
        if found is None:
            projects.append((dict(known[number]), [number]))
        else:
            found[0].update(known[number])
            found[1].append(number)
    members = sorted((sorted(numbers) for _, numbers in projects), key=lambda each: (-len(each), each))
    return [tuple(programs[number] for number in each) for each in members]


def _fits(values: Values, project: Values) -> bool:
    return all(project.get(name, value) == value for name, value in values.items())


def difference(one: Sequence[Existing], other: Sequence[Existing]) -> tuple[str, str]:
    """Return the most telling key of `[project]` in which two projects differ, with the value of the second."""
    first, second = _known(one), _known(other)
    differing = ((key, second[key]) for key in SHARED if key in first and second.get(key, first[key]) != first[key])
    return next(differing, ("secrets", ""))


def _known(programs: Sequence[Existing]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for each in programs:
        merged = project_values(each, {}) | merged
    return merged
