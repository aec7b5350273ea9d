"""Read and follow the output of units in systemd's journal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from procman.backends.logs import LogLine, LogRequest
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.log_file import shown
from procman.host.log_lines import LONGEST_LINE
from procman.model import Scope
from procman.subprocesses import stream

END_LINES = 200

END_SECONDS = 3.0

UNIT_FIELDS = ("UNIT", "USER_UNIT", "_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT")

AS_TEXT = ("--output=short-iso", "--no-hostname")
AS_JSON = ("--output=json", f"--output-fields={','.join(('MESSAGE', *UNIT_FIELDS))}", "--all")
"""Only JSON names the unit of systemd's own messages about a unit, too. --all: also lines of more than 4 KiB."""

NOT_ALLOWED = r"insufficient permissions|not seeing messages from other users"


def read_journal(unit: str, scope: Scope, lines: int) -> Iterator[str]:
    """Yield the last `lines` lines of `unit`, safe to print; they include systemd's own messages about it."""
    yield from _printed(journalctl([unit], scope, LogRequest(lines), *AS_TEXT), [unit])


def read_journals(programs: Mapping[str, str], scope: Scope, request: LogRequest) -> Iterator[LogLine]:
    """Yield the lines of the units of `programs`, a program by unit, in one stream from one journalctl.

    With several units, the time is at the beginning of each line; with one, a line is as journalctl prints it.
    """
    if len(programs) == 1:
        [(unit, program)] = programs.items()
        found = _printed(journalctl([unit], scope, request, *AS_TEXT), [unit])
        yield from (LogLine(program, line.rstrip("\n")) for line in found)
        return
    for line in _printed(journalctl([*programs], scope, request, *AS_JSON), [*programs]):
        yield from lines_of(json.loads(line), programs)


def lines_of(entry: Mapping[str, Any], programs: Mapping[str, str]) -> Iterator[LogLine]:
    """Yield the lines of an entry of the journal in the format of systemd's JSON (systemd.journal-fields(7))."""
    # A message of systemd about a unit has the unit in UNIT, and systemd's own in _SYSTEMD_UNIT.
    units = [unit for name in UNIT_FIELDS for unit in _texts(entry.get(name))]
    program = next((programs[unit] for unit in units if unit in programs), "")
    at = f"{datetime.fromtimestamp(int(entry['__REALTIME_TIMESTAMP']) / 1e6):%Y-%m-%d %H:%M:%S}"
    for message in _texts(entry.get("MESSAGE")):
        for line in message.split("\n"):
            yield LogLine(program, f"{at} {shown(line)[:LONGEST_LINE]}")


def _texts(value: Any) -> list[str]:
    """Return the values of a field: one text, bytes as numbers if it is not UTF-8, several of these, or none."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if all(isinstance(each, int) for each in value):
        return [bytes(value).decode("utf-8", "backslashreplace")]
    return [text for each in value for text in _texts(each)]


def journalctl(units: Sequence[str], scope: Scope, request: LogRequest, *more: str) -> list[str]:
    """Return the command line that prints the journal of `units`; with `--follow`, it does not end by itself."""
    words = [*systemd_host.of_scope("journalctl", scope), "--no-pager", *(f"--unit={unit}" for unit in units), *more]
    words += ["--lines=all" if request.lines is None else f"--lines={request.lines}"]
    words += [f"--since=@{int(request.since)}"] if request.since is not None else []
    return [*words, "--follow"] if request.follow else words


def _printed(words: Sequence[str], units: Sequence[str]) -> Iterator[str]:
    try:
        # journalctl itself escapes control characters, or replaces the line by `[... blob data]`.
        yield from stream(words, environment=systemd_host.environment())
    except ProcmanError as error:
        if re.search(NOT_ALLOWED, error.hint):
            raise ProcmanError(
                f"no permission to read the journal of {', '.join(units)}",
                hint="Run the same command with sudo, or join the group systemd-journal.",
            ) from None
        raise


def journal_end(unit: str, scope: Scope) -> str:
    """Return the last lines of `unit`; empty if they cannot be read."""
    try:
        return systemd_host.run(journalctl([unit], scope, LogRequest(END_LINES), *AS_TEXT), END_SECONDS).stdout
    except ProcmanError:
        return ""
