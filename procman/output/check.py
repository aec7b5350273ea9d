"""Format the results of `procman check` as text and JSON; docs/check.md describes the fields."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from procman.lint.inputs import Finding, LintReport, Part
from procman.model import Kind, Level, Result
from procman.output.shared import shared
from procman.output.summary import named
from procman.output.terminal import coloured, count_accepted, printable, see_explain, width_of, wrapped

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "red", Level.UNKNOWN: "yellow"}


def as_text(results: Sequence[Result], *, verbose: bool, stream: TextIO | None = None) -> Iterator[str]:
    """Yield the results by program, those of the whole project first; results that are OK only if `verbose`.

    A result that several programs have is printed once, below all of their names.
    """
    shown = [result for result in results if verbose or result.level is not Level.OK]
    causes = sorted(((tuple(names), result) for names, result in shared(shown)), key=lambda cause: bool(cause[0]))
    stream = stream or sys.stdout
    width = width_of(stream)
    for programs in dict.fromkeys(names for names, _ in causes):
        yield coloured(named(programs) or "project", "bold", stream)
        for names, result in causes:
            if names == programs:
                yield from _lines(result, stream, width)
    accepted = [result.code for result in results if result.accepted]
    yield summary([result.level for result in results if not result.accepted])
    if accepted:
        yield count_accepted(accepted)
    problems = [result.code for result in results if result.level is not Level.OK]
    if problems:
        yield from wrapped(see_explain(problems), width)


def _lines(result: Result, stream: TextIO, width: int | None) -> Iterator[str]:
    name = f"{'ACCEPTED' if result.accepted else result.level.name:8}"
    label = f"  {name}  {result.code}  "
    blank = " " * len(label)
    first, *others = [
        shown
        for number, line in enumerate(result.detail.splitlines() or [""])
        for shown in wrapped(line, width, label=blank if number else label)
    ]
    yield first.replace(name, coloured(name, COLOURS[result.level], stream), 1)
    yield from others
    for number, line in enumerate(result.hint.splitlines()):
        # A sentence is wrapped, but a command stays whole: users copy it.
        yield from wrapped(line, width if line[:1].isupper() else None, label=f"{blank}{'  ' if number else '->'} ")


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


def lint_as_text(report: LintReport, *, verbose: bool, stream: TextIO | None = None) -> Iterator[str]:
    """Yield the findings of a lint by file and line, as editors and `grep -n` show them, and what was judged.

    Accepted findings are shown if `verbose`.
    """
    stream = stream or sys.stdout
    width = width_of(stream)
    for each in report.findings:
        if verbose or not each.accepted:
            yield from _finding_lines(each, stream, width)
    yield from _judged(report, width)
    problems = [each for each in report.findings if not each.accepted]
    # Without a program, or with a file that cannot be read, the command ends with an error.
    nothing = "no problems found" if report.programs and not report.problems else ""
    last = summary([each.level for each in problems]) if problems else nothing
    yield from filter(None, (last, count_accepted(_codes(report, is_ignored=False)), _count_ignored(report)))
    if problems:
        yield from wrapped(see_explain(sorted(each.code for each in problems)), width)


def _codes(report: LintReport, *, is_ignored: bool) -> list[str]:
    accepted = [each for each in report.findings if each.accepted]
    return sorted(each.code for each in accepted if bool(each.reason) is is_ignored)


def _count_ignored(report: LintReport) -> str:
    codes = _codes(report, is_ignored=True)
    counted = f"{len(codes)} {'finding' if len(codes) == 1 else 'findings'} ignored by comments"
    return f"{counted}: {', '.join(dict.fromkeys(codes))}" if codes else ""


def _finding_lines(found: Finding, stream: TextIO, width: int | None) -> Iterator[str]:
    level = coloured("ACCEPTED" if found.accepted else found.level.name, COLOURS[found.level], stream)
    where = f"{printable(str(found.file))}:{found.line}"
    yield f"{where}: {level} {found.code} [{printable(found.program)}] {printable(found.option)}".rstrip()
    yield from wrapped(found.why, width, label="    ")
    yield from wrapped(found.remedy, width, label="    -> ")
    if found.reason:
        yield from wrapped(f"ignored because {found.reason}", width, label="    ")


def _judged(report: LintReport, width: int | None) -> Iterator[str]:
    """Yield which programs were judged, and which were only searched for secrets."""
    titles = {Kind.WORKER: "workers", Kind.BEAT: "beat", None: "not Celery, searched only for secrets"}
    for kind, title in titles.items():
        names = [part.name for part in (*report.programs, *report.others) if part.celery is kind]
        if names:
            yield from wrapped(f"{title}: {', '.join(names)}", width)


def lint_as_json(report: LintReport) -> str:
    """Return the findings of a lint, and what was judged, as one JSON document."""
    document = {
        "format": FORMAT,
        "findings": [vars(each) | {"level": each.level.name, "file": str(each.file)} for each in report.findings],
        "programs": [_program(part) for part in report.programs],
        "others": [_program(part) for part in report.others],
        "files": list(map(str, report.files)),
        "problems": list(report.problems),
    }
    return json.dumps(document, indent=2)


def _program(part: Part) -> dict[str, object]:
    kind = part.celery.value if part.celery else None
    return {"name": part.name, "kind": kind, "file": str(part.file), "line": part.command.line if part.command else 1}
