"""Takes sections over from a file of somebody else; what procman does not take stays as it is, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from procman.backends.supervisor.configuration.sections import (
    PROGRAM_KINDS,
    Option,
    Section,
    lines_of,
    sections_of,
    without_comment,
)
from procman.errors import ProcmanError

_UP_TO_VALUE = re.compile(r"[^=:]*[=:]\s*")


def remaining(file: Path, names: Collection[str]) -> str | None:
    """Return what is left of FILE when procman takes the programs NAMES over; None for nothing but blank lines."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            text = opened.read()
    except UnicodeDecodeError as error:
        raise ProcmanError(f"{file}: byte {error.start} is not UTF-8", hint="Mend that file first.") from None
    except FileNotFoundError:
        hint = "Mend the path, or leave out --replace if an earlier install has taken the whole file over."
        raise ProcmanError(f"{file} does not exist", hint=hint) from None
    except IsADirectoryError:
        raise ProcmanError(f"{file} is a directory", hint="Name the file in it that has the sections.") from None
    except OSError as error:
        raise ProcmanError(
            f"{file}: cannot be read: {error.strerror}", hint="Run the same command with sudo."
        ) from None
    left = takeover(file, text, names)
    return left if left.strip() else None


def takeover(file: Path, text: str, names: Collection[str]) -> str:
    """Return TEXT, the content of FILE, without the sections of the programs NAMES and without them in any group.

    A group that would be empty goes too. Comments above a section stay: whom they belong to cannot be told. TEXT must
    have its line ends as in the file (`newline=""`). Raises ProcmanError where it takes a person to decide.
    """
    lines: list[str | None] = [*lines_of(text)]
    for section in sections_of(text):
        if section.kind in PROGRAM_KINDS and section.name in names:
            _drop(lines, section)
        elif section.kind == "group":
            _leave_group(lines, file, section, names)
    return "".join(line for line in lines if line is not None)


def _leave_group(lines: list[str | None], file: Path, section: Section, names: Collection[str]) -> None:
    members = section.members()
    if any("\n" in member for member in members):
        # A comma is missing at the end of a line: supervisord does not read it, so that the file must be mended first.
        return
    left = [member for member in members if member not in names]
    if section.name in names and left:
        raise ProcmanError(
            f"{file}:{section.line}: [{section.header}] has the name of a program that procman installs, and holds "
            f"{', '.join(left)} too",
            hint="Give that group another name there, or take those programs out of it.",
        )
    if not left:
        # Also one that is empty already, which supervisord takes for a group all the same.
        if members or section.name in names:
            _drop(lines, section)
        return
    if len(left) == len(members):
        return
    counting = [option for option in section.options if option.name == "programs"][-1]
    _keep_members(lines, counting, names)


def _keep_members(lines: list[str | None], option: Option, names: Collection[str]) -> None:
    first = lines[option.line - 1] or ""
    end = len(first) - len(first.lstrip()) + len(without_comment(first))
    begin = min(end, _UP_TO_VALUE.match(first).end())  # type: ignore[union-attr]
    left = [member for member in option.value.split(",") if member.strip() not in names]
    value = ",".join(left).strip() if option.line == option.end else ",".join(map(str.strip, left))
    lines[option.line - 1] = first[:begin] + value + first[end:]
    lines[option.line : option.end] = [None] * (option.end - option.line)


def _drop(lines: list[str | None], section: Section) -> None:
    lines[section.line - 1 : section.end] = [None] * (section.end - section.line + 1)
