"""Lint supervisord's and systemd's files (`procman check --lint`): lost tasks, orphans and exposed secrets."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from procman.errors import ConfigurationError
from procman.lint.inputs import Finding, Part
from procman.lint.read_supervisor import supervisor_parts
from procman.lint.read_systemd import systemd_part
from procman.lint.registry import findings
from procman.model import Level

LARGEST = 1 << 20
UNIT_SUFFIXES = (".service", ".target", ".timer", ".socket", ".path", ".mount", ".slice")
UNIT_SECTION = re.compile(r"^\[(Unit|Service|Install)\]\s*$", re.MULTILINE)


def lint(files: Sequence[Path], accept: Collection[str] = ()) -> list[Finding]:
    """Return the findings in `files`, by file and line; raise ConfigurationError if a file cannot be read.

    Warnings with a code in `accept` are accepted.
    """
    problems: list[str] = []
    parts: list[Part] = []
    for file in files:
        try:
            text = _text(file)
            is_unit = file.suffix in UNIT_SUFFIXES or UNIT_SECTION.search(text)
            parts += [systemd_part(file, text)] if is_unit else supervisor_parts(file, text)
        except OSError as error:
            problems.append(f"cannot read {file}: {error.strerror or error}")
    if problems:
        raise ConfigurationError(problems, hint="Name supervisord or systemd files, such as conf.d/celery.conf.")
    return [_accepted(each) if each.code in accept else each for each in findings(parts)]


def _accepted(found: Finding) -> Finding:
    return replace(found, level=Level.OK, accepted=True) if found.level is Level.WARNING else found


def blocking(found: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are certain to lose tasks or expose secrets."""
    return [each for each in found if each.level is Level.CRITICAL]


def _text(file: Path) -> str:
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError("not a regular file")
    if found.st_size > LARGEST:
        raise OSError(f"the file is larger than {LARGEST} bytes")
    return file.read_bytes().decode("utf-8", "replace")
