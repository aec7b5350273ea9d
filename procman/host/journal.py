"""Read and follow the output of a unit in systemd's journal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.model import Scope
from procman.subprocesses import stream

END_LINES = 200

END_SECONDS = 3.0

NOT_ALLOWED = r"insufficient permissions|not seeing messages from other users"


def read_journal(unit: str, scope: Scope, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield the last `lines` lines of `unit` in pieces that are safe to print; with `follow`, then yield new output.

    The output includes systemd's own messages about the unit. Following does not end by itself.
    """
    words = [*_words(unit, scope, lines), *(["--follow"] if follow else [])]
    try:
        # journalctl itself escapes control characters, or replaces the line by `[... blob data]`.
        yield from stream(words, environment=systemd_host.environment())
    except ProcmanError as error:
        if re.search(NOT_ALLOWED, error.hint):
            raise ProcmanError(
                f"no permission to read the journal of {unit}",
                hint="Run the same command with sudo, or join the group systemd-journal.",
            ) from None
        raise


def journal_end(unit: str, scope: Scope) -> str:
    """Return the last lines of `unit`; empty if they cannot be read."""
    try:
        return systemd_host.run(_words(unit, scope, END_LINES), END_SECONDS).stdout
    except ProcmanError:
        return ""


def _words(unit: str, scope: Scope, lines: int) -> list[str]:
    words = [*systemd_host.of_scope("journalctl", scope), "--no-pager", f"--unit={unit}", f"--lines={lines}"]
    return [*words, "--output=short-iso", "--no-hostname"]
