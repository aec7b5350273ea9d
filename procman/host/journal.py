"""Reads what a unit wrote to systemd's journal, and follows it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.model import Scope
from procman.subprocesses import stream

NOT_ALLOWED = r"insufficient permissions|not seeing messages from other users"


def read_journal(unit: str, scope: Scope, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield pieces of the last LINES lines of UNIT, ready to be written out, and then what it adds if asked to.

    Among them stands what systemd itself says of the unit. Following never ends by itself.
    """
    words = [*systemd_host.of_scope("journalctl", scope), "--no-pager", f"--unit={unit}", f"--lines={lines}"]
    words += ["--output=short-iso", "--no-hostname", *(["--follow"] if follow else [])]
    try:
        # journalctl itself spells out control characters, or leaves a line out as a blob.
        yield from stream(words, environment=systemd_host.environment())
    except ProcmanError as error:
        if re.search(NOT_ALLOWED, error.hint):
            raise ProcmanError(
                f"the journal of {unit} is not for you to read",
                hint="Run the same command with sudo, or become a member of the group systemd-journal.",
            ) from None
        raise
