"""Format the comparison of existing programs with those of a procman.toml (`procman init --compare`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from procman.init.comparing.compare import ComparedProject, Comparison, Value
from procman.init.importing.existing import Remark
from procman.output.summary import named
from procman.output.terminal import coloured, printable, width_of, wrapped
from procman.secrets import masked

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

NO_REASON = "no known reason"

SIGNS = "!?~="
"""The first character of each line; a line that a person has to read comes first."""

LONGEST_VALUE = 200


def as_text(projects: Sequence[ComparedProject], *, verbose: bool, stream: TextIO) -> Iterator[str]:
    """Yield each program with the values that differ, and with all of them if `verbose`.

    A difference that several programs have is printed once, above their own ones.
    """
    for project in projects:
        file = printable(str(project.file or "procman.toml"))
        yield f"compared with {file}" if project.is_written else f"compared with {file}, as init would write it"
        yield from _programs(project.programs, verbose, stream)
    yield _summary([each for project in projects for each in project.programs])


def _programs(comparisons: Sequence[Comparison], verbose: bool, stream: TextIO) -> Iterator[str]:
    lines = [_sorted(_lines(each, verbose)) for each in comparisons]
    programs: dict[str, list[str]] = {}
    for each, own in zip(comparisons, lines, strict=True):
        for line in own:
            programs.setdefault(line, []).append(each.new or "")
    shared = {line: tuple(names) for line, names in programs.items() if len(names) > 1 and all(names)}
    for names in dict.fromkeys(shared.values()):
        yield coloured(_for_all(names, comparisons), "bold", stream)
        yield from _printed(_sorted(line for line in shared if shared[line] == names), stream)
    for each, own in zip(comparisons, lines, strict=True):
        yield coloured(_title(each), "bold", stream)
        yield from _printed((line for line in own if line not in shared), stream)
        if each.values:
            yield f"  equal: {_count(len(each.values) - len(each.differences), 'value')}"


def _sorted(lines: Iterable[str]) -> list[str]:
    return sorted(dict.fromkeys(lines), key=lambda line: SIGNS.index(line[0]))


def _for_all(names: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    count = sum(bool(each.values) for each in comparisons)
    if len(names) != count:
        return named(names)
    return "both programs" if count == 2 else f"all {count} programs"


def _title(each: Comparison) -> str:
    if each.old is None:
        return str(each.new)
    running = f", running as process {each.pid}" if each.pid else ""
    replaced = f"{each.new} for " if each.new else ""
    # A node of celery multi is already named by its file.
    file = "" if str(each.old.file) in each.old.label else f" of {each.old.file}"
    return printable(f"{replaced}{each.old.label}{file}{running}")


def _lines(each: Comparison, verbose: bool) -> Iterator[str]:
    if each.problem:
        yield f"! {masked(each.problem)}"
    yield from (_line(value) for value in each.values if verbose or not value.is_equal)
    # A changed value is among the others.
    yield from (masked(_remark(remark)) for remark in (each.old.remarks if each.old else ()) if not remark.changed)


def _line(value: Value) -> str:
    name = _shortened(value.name)
    if value.is_equal:
        return f"= {name}: {_shown(value.new)}"
    change = f"{name}: {_shown(value.old)} -> {_shown(value.new)}"
    if value.reason:
        return f"~ {change} ({value.reason})"
    return f"! {change} ({NO_REASON}{'' if value.in_files else '; only the running process has it, not its files'})"


def _shown(value: str | None) -> str:
    return "not set" if value is None else _shortened(value) or "set"


def _shortened(text: str) -> str:
    return f"{text[:LONGEST_VALUE]}..." if len(text) > LONGEST_VALUE else text


def _remark(remark: Remark) -> str:
    return f"{'?' if remark.doubtful else '~'} not imported: {remark.what} ({remark.consequence})"


def _printed(lines: Iterable[str], stream: TextIO) -> Iterator[str]:
    width = width_of(stream)
    for line in lines:
        colour = {"!": "red", "?": "yellow"}.get(line[0])
        for each in wrapped(line[2:], width, label=f"  {line[0]} "):
            yield coloured(each, colour, stream) if colour else each


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _summary(comparisons: Sequence[Comparison]) -> str:
    different = [value for each in comparisons for value in each.differences]
    known = sum(bool(value.reason) for value in different)
    unmatched = sum(bool(each.problem) for each in comparisons)
    equal = sum(len(each.values) for each in comparisons) - len(different)
    parts = [f"{_count(equal, 'value')} equal", f"{known} different for a known reason"]
    parts += [f"{len(different) - known} different without one"] if len(different) > known else []
    parts += [f"{_count(unmatched, 'program')} without a counterpart"] if unmatched else []
    return f"{_count(sum(bool(each.values) for each in comparisons), 'program')} compared: {', '.join(parts)}"


def as_json(projects: Sequence[ComparedProject]) -> str:
    """Return the comparison as one JSON document."""
    document = {"format": FORMAT, "projects": [_project(each) for each in projects]}
    return json.dumps(document, indent=2)


def _project(project: ComparedProject) -> dict[str, object]:
    return {
        "file": None if project.file is None else str(project.file),
        "written": project.is_written,
        "programs": [_program(each) for each in project.programs],
    }


def _program(each: Comparison) -> dict[str, object]:
    old = each.old
    return {
        "program": each.new,
        "old": old and old.label,
        "file": old and str(old.file),
        "line": old and old.line,
        "source": str(old.source) if old and old.source else None,
        "pid": each.pid,
        "problem": masked(each.problem),
        "values": [
            {
                "name": value.name,
                "old": value.old,
                "new": value.new,
                "equal": value.is_equal,
                "reason": value.reason,
                "in_files": value.in_files,
            }
            for value in each.values
        ],
    }
