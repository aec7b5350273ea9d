"""Comments in a linted file that ignore a finding for a reason, and PM951 about those that are of no use."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from procman.lint.inputs import Finding, Part, Reader
from procman.model import Level
from procman.secrets import masked

EXAMPLE = "# procman: ignore PM905 because the script waits for Celery"
COMMENT = re.compile(r"(?:^|\s)[#;]\s*procman:\s*ignore\b(?P<rest>.*)$", re.IGNORECASE)
REST = re.compile(r"[\s:]*(?P<codes>PM[0-9]+(?:[,\s]+PM[0-9]+)*)[,\s]+because\s+(?P<reason>\S.*)", re.IGNORECASE)
HEADER = re.compile(r"\[(?P<header>[^\]]+)\]")

MOST_COMMENTS = 1000
"""Of one file."""


@dataclass(frozen=True)
class Suppression:
    """One comment."""

    file: Path
    line: int
    section: str
    """The section that it is in, or directly above; empty: the whole file."""
    codes: tuple[str, ...]
    """Empty if the comment cannot be used."""
    reason: str = ""


def suppressions_in(file: Path, text: str, reader: Reader) -> list[Suppression]:
    """Return the comments in the content of `file` that ignore findings."""
    return list(_suppressions(file, text.splitlines(), reader))[:MOST_COMMENTS]


def _suppressions(file: Path, lines: Sequence[str], reader: Reader) -> Iterator[Suppression]:
    section, is_supervisors = "", reader is Reader.SUPERVISOR
    waiting: list[Suppression] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        is_comment = text.startswith(("#", ";"))
        header = None if is_comment or not is_supervisors else HEADER.match(text)
        if header:
            section = ":".join(part.strip() for part in header["header"].split(":", 1))
        if not is_comment:
            # Comments directly above a header belong to its section.
            yield from (replace(each, section=section) for each in waiting)
            waiting = []
        found = COMMENT.search(line) if is_comment or is_supervisors else None
        if found:
            waiting.append(_suppression(file, number, section, found["rest"]))
        if found and not is_comment:
            yield waiting.pop()
    yield from waiting


def _suppression(file: Path, number: int, section: str, rest: str) -> Suppression:
    found = REST.match(rest)
    codes = tuple(dict.fromkeys(code.upper() for code in re.split(r"[,\s]+", found["codes"]))) if found else ()
    return Suppression(file, number, section, codes, masked(found["reason"].strip()) if found else "")


def suppressed(
    found: Sequence[Finding], parts: Sequence[Part], comments: Sequence[Suppression], codes: Mapping[str, bool]
) -> list[Finding]:
    """Return `found` with those that `comments` ignore accepted, and PM951 for each comment that is of no use.

    `codes` are those of all rules, each with whether the files alone decide about its findings.
    """
    files = {(part.name, file): part.files for part in parts for file in part.files}
    used: set[tuple[Suppression, str]] = set()
    judged = []
    for each in found:
        of_part = files.get((each.program, each.file), (each.file,))
        comment = next((one for one in comments if each.code in one.codes and _covers(one, each, of_part)), None)
        if comment:
            used.add((comment, each.code))
            each = replace(each, level=Level.OK, accepted=True, reason=comment.reason)
        judged.append(each)
    for one in comments:
        judged += _useless(one, used, codes, is_judged=_is_judged(one, parts))
    return judged


def _is_judged(comment: Suppression, parts: Sequence[Part]) -> bool:
    """Return whether a program that `comment` is about was judged; one behind a script that is not here may not be."""
    covered = [part for part in parts if comment.file in part.files and comment.section in ("", part.name)]
    programs = [part for part in covered if part.command]
    return not programs or any(part.celery for part in programs)


def _covers(comment: Suppression, found: Finding, files: Collection[Path]) -> bool:
    return comment.file in files and comment.section in ("", found.program)


def _useless(
    comment: Suppression, used: Collection[tuple[Suppression, str]], codes: Mapping[str, bool], *, is_judged: bool
) -> Iterator[Finding]:
    if not comment.codes:
        yield _finding(comment, "a comment that ignores findings needs their codes and a reason", f"write: {EXAMPLE}")
    for code in comment.codes:
        if code not in codes:
            yield _finding(comment, f"{code} is no code of `check --lint`", "correct the code, or remove it")
        elif (comment, code) not in used and codes[code] and is_judged:
            yield _finding(comment, f"{code} no longer applies here", f"remove {code} from the comment")


def _finding(comment: Suppression, why: str, remedy: str) -> Finding:
    program = comment.section or comment.file.name
    return Finding("PM951", Level.WARNING, comment.file, comment.line, program, "procman: ignore", why, remedy)
