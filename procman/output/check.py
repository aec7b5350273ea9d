"""Format the results of `procman check` as text and JSON; docs/check.md describes the fields."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from procman.lint.inputs import Finding
from procman.model import Level, Result
from procman.output.shared import shared
from procman.output.summary import named
from procman.output.terminal import coloured, count_accepted, printable, see_explain

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "red", Level.UNKNOWN: "yellow"}


def as_text(results: Sequence[Result], *, verbose: bool, stream: TextIO = sys.stdout) -> Iterator[str]:
    """Yield the results by program, those of the whole project first; results that are OK only if `verbose`.

    A result that several programs have is printed once, below all of their names.
    """
    shown = [result for result in results if verbose or result.level is not Level.OK]
    causes = sorted(((tuple(names), result) for names, result in shared(shown)), key=lambda cause: bool(cause[0]))
    for programs in dict.fromkeys(names for names, _ in causes):
        yield coloured(named(programs) or "project", "bold", stream)
        for names, result in causes:
            if names == programs:
                yield from _lines(result, stream)
    accepted = [result.code for result in results if result.accepted]
    yield summary([result.level for result in results if not result.accepted])
    if accepted:
        yield count_accepted(accepted)
    problems = [result.code for result in results if result.level is not Level.OK]
    if problems:
        yield see_explain(problems)


def _lines(result: Result, stream: TextIO) -> Iterator[str]:
    name = "ACCEPTED" if result.accepted else result.level.name
    level = coloured(f"{name:8}", COLOURS[result.level], stream)
    first, *others = printable_lines(result.detail) or [""]
    yield f"  {level}  {result.code}  {first}"
    yield from (f"                   {line}" for line in others)
    for number, line in enumerate(printable_lines(result.hint)):
        yield f"                   {'  ' if number else '->'} {line}"


def printable_lines(text: str) -> list[str]:
    """Return the lines of `text`, with control characters escaped."""
    return [printable(line) for line in text.splitlines()]


def summary(levels: Sequence[Level]) -> str:
    """Return one line with the number of results of each level."""
    counts = [(level, levels.count(level)) for level in reversed(Level)]
    return ", ".join(f"{count} {level.name}" for level, count in counts if count) or "no results"


def as_json(results: Sequence[Result], *, project: str | None) -> str:
    """Return the results as one JSON document."""
    document = {"format": FORMAT, "project": project, "results": [_result(result) for result in results]}
    return json.dumps(document, indent=2)


def _result(result: Result) -> dict[str, object]:
    return result._asdict() | {"level": result.level.name, "values": dict(result.values)}


def findings_as_text(found: Sequence[Finding], *, verbose: bool, stream: TextIO = sys.stdout) -> Iterator[str]:
    """Yield the findings of a lint by file and line, as editors and `grep -n` show them; accepted ones if `verbose`."""
    for each in found:
        if each.accepted and not verbose:
            continue
        level = coloured("ACCEPTED" if each.accepted else each.level.name, COLOURS[each.level], stream)
        where = f"{printable(str(each.file))}:{each.line}"
        yield f"{where}: {level} {each.code} [{printable(each.program)}] {printable(each.option)}".rstrip()
        yield f"    {printable(each.why)}"
        yield f"    -> {printable(each.remedy)}"
    problems = [each for each in found if not each.accepted]
    accepted = sorted(each.code for each in found if each.accepted)
    yield summary([each.level for each in problems]) if problems else "no problems found"
    if accepted:
        yield count_accepted(accepted)
    if problems:
        yield see_explain(sorted(each.code for each in problems))


def findings_as_json(found: Sequence[Finding]) -> str:
    """Return the findings of a lint as one JSON document."""
    entries = [vars(each) | {"level": each.level.name, "file": str(each.file)} for each in found]
    return json.dumps({"format": FORMAT, "findings": entries}, indent=2)
