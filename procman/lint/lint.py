"""`procman check --lint`: what files of supervisord and systemd that other people wrote lose, leave behind or leak."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
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


def lint(files: Sequence[Path]) -> list[Finding]:
    """Return what is wrong with FILES, by file and line; ConfigurationError for those that cannot be read."""
    problems: list[str] = []
    parts: list[Part] = []
    for file in files:
        try:
            text = _text(file)
            is_unit = file.suffix in UNIT_SUFFIXES or UNIT_SECTION.search(text)
            parts += [systemd_part(file, text)] if is_unit else supervisor_parts(file, text)
        except OSError as error:
            problems.append(f"{file}: cannot be read: {error.strerror or error}")
    if problems:
        raise ConfigurationError(problems, hint="Name files of supervisord or systemd, such as conf.d/celery.conf.")
    return findings(parts)


def blocking(found: Iterable[Finding]) -> list[Finding]:
    """Return those by which tasks or secrets are lost for certain."""
    return [each for each in found if each.level is Level.CRITICAL]


def _text(file: Path) -> str:
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is no file")
    if found.st_size > LARGEST:
        raise OSError(f"it has more than {LARGEST} bytes")
    return file.read_bytes().decode("utf-8", "replace")
