"""Find the line of a program's log that names why it ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from procman.backends import controller_of
from procman.config.private_file import secrets_of_programs
from procman.host.log_file import shown
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram

LONGEST = 300
"""Characters of the line that are shown."""

TRACEBACK = "Traceback (most recent call last):"

ERROR = re.compile(r"(?:[\w.]*(?:Error|Exception|Exit|Interrupt)|error|fatal)(?::\s*(?P<text>.*))?$")

LOGGED = re.compile(r"\b(?:CRITICAL|ERROR|FATAL)\b")

UNIT_PREFIX = re.compile(r"\S+ (?P<who>[^\s\[]+)\[\d+\]: ")
"""How journalctl begins each line, with --output=short-iso and --no-hostname."""


def last_error(manifest: Manifest, program: InstalledProgram, *, cannot_start: bool) -> str:
    """Return the line of the end of the log of `program` that names its last error, without secrets; empty if none.

    `cannot_start`: the launcher could not start it, and its own line names the reason.
    """
    lines = list(_of_program(controller_of(manifest).log_end(program)))
    own = f"{program.name}: "
    if cannot_start:
        line = next((line.removeprefix(own) for line in reversed(lines) if line.startswith(own)), "")
    else:
        line = error_line([line for line in lines if not line.startswith((own, "procman: "))])
    if not line:
        return ""
    secrets = secrets_of_programs(*manifest.environment_file_of(program))
    return shown(secrets.masked(line))[:LONGEST]


def _of_program(log: str) -> Iterator[str]:
    """Yield the lines of the program itself, without systemd's and without the journal's prefix."""
    for line in log.splitlines():
        prefix = UNIT_PREFIX.match(line)
        if not prefix:
            yield line
        elif prefix["who"] != "systemd":
            yield line[prefix.end() :]


def error_line(lines: Iterable[str]) -> str:
    """Return the last of `lines` that names an error: the exception of a traceback, or an error; else the last line."""
    found = last = ""
    in_traceback = is_open = False
    for line in map(str.rstrip, lines):
        if line == TRACEBACK:
            in_traceback, is_open = True, False
        elif in_traceback:
            if line and not line[0].isspace():
                found, in_traceback = line, False
        elif error := ERROR.match(line):
            # Click prints nothing but `Error:` before an error of several lines.
            found, is_open = (line, False) if error["text"] else ("", True)
        elif is_open and line:
            found = f"{found} {line}".strip()
        elif LOGGED.search(line):
            found = line
        last = line.strip() or last
    return found or last
