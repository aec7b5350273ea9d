"""Remove adopted sections from an unmanaged file; all other bytes of the file stay the same."""

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


def remaining(file: Path, names: Collection[str], *, renamed: bool = False) -> str | None:
    """Return what is left of `file` after procman adopts the programs `names`; None if only blank lines are left.

    With `renamed`, procman installs no programs of these names, so that a group may keep such a name.
    """
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            text = opened.read()
    except UnicodeDecodeError as error:
        raise ProcmanError(f"{file}: byte {error.start} is not UTF-8", hint="Fix that file first.") from None
    except FileNotFoundError:
        hint = "Correct the path, or omit --replace if an earlier install has already adopted the whole file."
        raise ProcmanError(f"{file} does not exist", hint=hint) from None
    except IsADirectoryError:
        raise ProcmanError(f"{file} is a directory", hint="Specify the file in it that has the sections.") from None
    except OSError as error:
        raise ProcmanError(
            f"{file}: cannot be read: {error.strerror}", hint="Run the same command with sudo."
        ) from None
    left = takeover(file, text, names, renamed=renamed)
    return left if left.strip() else None


def takeover(file: Path, text: str, names: Collection[str], *, renamed: bool = False) -> str:
    """Return `text`, the content of `file`, without the sections of the programs `names` and without them in groups.

    A group that becomes empty is removed too. Comments above a section are kept, because they may not belong to it.
    `text` must have its original line ends (`newline=""`). Raises ProcmanError if a person has to decide.
    """
    lines: list[str | None] = [*lines_of(text)]
    for section in sections_of(text):
        if section.kind in PROGRAM_KINDS and section.name in names:
            _drop(lines, section)
        elif section.kind == "group":
            _leave_group(lines, file, section, names, renamed=renamed)
    return "".join(line for line in lines if line is not None)


def _leave_group(
    lines: list[str | None], file: Path, section: Section, names: Collection[str], *, renamed: bool
) -> None:
    members = section.members()
    if any("\n" in member for member in members):
        # A comma is missing at the end of a line: supervisord cannot read the file, so it must be fixed first.
        return
    left = [member for member in members if member not in names]
    if section.name in names and left and not renamed:
        raise ProcmanError(
            f"{file}:{section.line}: [{section.header}] has the name of a program that procman installs, but also "
            f"contains {', '.join(left)}",
            hint="Rename that group in the file, or remove those programs from it.",
        )
    if not left:
        # Even one that was empty before, which supervisord still treats as a group.
        if members or (section.name in names and not renamed):
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
