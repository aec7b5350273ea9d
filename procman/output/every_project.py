"""Format what was found out about every project of the host: the list, and the status and health of each."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from procman.model import Level
from procman.monitoring.checks.quick import SEVERITY
from procman.monitoring.every_project import Answer
from procman.monitoring.health import Health
from procman.monitoring.status import ProjectStatus
from procman.output import health as of_health
from procman.output import status as of_status
from procman.output.terminal import coloured, printable, table, width_of

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

HEADER = ("PROJECT", "SCOPE", "BACKEND", "RUNNING", "HEALTH", "GENERATION", "CONFIGURATION")

DROPPED = ("GENERATION", "SCOPE", "CONFIGURATION", "BACKEND")
"""Columns that a narrow terminal has no room for, the first to be left out first."""

ADVICE = "The commands above need --project NAME outside the project's directory."

NOTHING = "no project is installed"

UNKNOWN_STATUS = 4
"""The exit status of `status` for a project that cannot be read."""

Statuses = Sequence[Answer[ProjectStatus]]
Healths = Sequence[Answer[Health]]


def status_of(answers: Statuses) -> int:
    """Return the worst exit status of `procman status` of all projects."""
    return max((each.found.exit_status if each.found else UNKNOWN_STATUS for each in answers), default=0)


def level_of(answers: Healths) -> Level:
    """Return the most severe level of all projects; UNKNOWN for one that cannot be examined, and for none at all."""
    levels = [each.found.level if each.found else Level.UNKNOWN for each in answers]
    return max(levels, key=SEVERITY.index, default=Level.UNKNOWN)


def worst_of(status: ProjectStatus) -> Level:
    """Return the most severe level of the programs of a project."""
    return max((each.result.level for each in status.programs), key=SEVERITY.index, default=Level.OK)


def as_list(answers: Statuses, stream: TextIO | None = None) -> Iterator[str]:
    """Yield a table with a line for each project; one that cannot be read is explained below it."""
    stream = stream or sys.stdout
    rows = [_listed(each) for each in answers]
    lines = table(
        HEADER, rows, right=("RUNNING", "GENERATION"), width=width_of(stream), cut={"CONFIGURATION": 20}, drop=DROPPED
    )
    yield coloured(lines[0], "bold", stream)
    for line, each in zip(lines[1:], answers, strict=True):
        level = worst_of(each.found) if each.found else Level.UNKNOWN
        yield coloured(line, "" if level is Level.OK else of_status.COLOURS[level], stream)
    yield from _problems(answers)


def _listed(each: Answer[ProjectStatus]) -> list[str]:
    status = each.found
    if status is None:
        return [each.project, "-", "-", "-", "unknown", "-", "-"]
    manifest = status.manifest
    running = sum(program.is_started for program in status.programs)
    level = "uninstalling" if status.is_half_removed else worst_of(status).name.lower()
    shown = [manifest.scope.value, manifest.backend.value, f"{running}/{len(status.programs)}", level]
    return [each.project, *shown, str(status.generation), str(manifest.configuration_file)]


def list_as_json(answers: Statuses) -> str:
    """Return the list as one JSON document."""
    return _document([_listed_document(each) if each.found else _unread(each) for each in answers])


def _listed_document(each: Answer[ProjectStatus]) -> dict[str, Any]:
    assert each.found
    status = each.found
    return {
        "project": each.project,
        "scope": status.manifest.scope.value,
        "backend": status.manifest.backend.value,
        "running": sum(program.is_started for program in status.programs),
        "programs": len(status.programs),
        "level": worst_of(status).name,
        "generation": status.generation,
        "configuration_file": str(status.manifest.configuration_file),
        "state": str(each.state),
        "interrupted": of_status.interrupted(status),
        "error": None,
    }


def _unread(each: Answer[Any]) -> dict[str, Any]:
    return {"project": each.project, "state": str(each.state), "error": each.problem}


def _document(projects: Sequence[Mapping[str, Any]], **more: Any) -> str:
    return json.dumps({"format": FORMAT, **more, "projects": projects}, indent=2)


def _problems(answers: Sequence[Answer[Any]]) -> Iterator[str]:
    unread = [each for each in answers if each.found is None]
    if unread:
        yield ""
    for each in unread:
        yield f"{each.project}: unknown: {printable(each.problem)}"


def status_as_text(answers: Statuses, *, expand: bool, stream: TextIO | None = None) -> Iterator[str]:
    """Yield the status of each project below its name."""
    stream = stream or sys.stdout
    texts = [of_status.as_text(each.found, stream, expand=expand) for each in answers if each.found]
    yield from _below_names(answers, texts, stream)
    yield from _problems(answers)


def status_as_json(answers: Statuses) -> str:
    """Return one JSON document with that of `procman status --json` for each project."""
    documents = [of_status.as_document(each.found) if each.found else _unread(each) for each in answers]
    return _document(documents, exit_status=status_of(answers))


def health_as_text(answers: Healths, *, verbose: bool, stream: TextIO | None = None) -> Iterator[str]:
    """Yield the health of each project below its name."""
    stream = stream or sys.stdout
    texts = [of_health.as_text(each.found, stream, verbose=verbose) for each in answers if each.found]
    yield from _below_names(answers, texts, stream)
    yield from _problems(answers)


def health_as_json(answers: Healths) -> str:
    """Return one JSON document with that of `procman health --json` for each project."""
    documents = [of_health.as_document(each.found) if each.found else _unread(each) for each in answers]
    level = level_of(answers)
    return _document(documents, level=level.name, exit_status=level.value)


def _below_names(
    answers: Sequence[Answer[ProjectStatus]] | Sequence[Answer[Health]], texts: Iterable[Iterable[str]], stream: TextIO
) -> Iterator[str]:
    """Yield each of `texts` below the name of its project, and the advice if any of them has a command."""
    has_command = False
    if not answers:
        yield NOTHING
    for each, text in zip([each for each in answers if each.found], texts, strict=True):
        assert each.found
        yield coloured(f"{each.project} ({each.found.manifest.scope.value}):", "bold", stream)
        for line in text:
            has_command |= "procman " in line
            yield line
        yield ""
    if has_command:
        yield ADVICE
