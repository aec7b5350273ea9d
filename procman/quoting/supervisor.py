"""Quote values so that supervisor reads them back exactly, or refuse them (S1).

The rules are the same in 4.2.5, 4.3.0 and the coming 4.4: a value ends at a blank followed by `;` or `#`, even
inside quotes, and is stripped of blanks at both ends; `%` starts an expansion; `%(here)s` is expanded first, even after
another `%`; `command` is split by POSIX shlex.
"""

from __future__ import annotations

import re

from procman.quoting import Encoded, checked, refusal
from procman.quoting.shell import shell_words

NOTHING = "%(here).0s"
"""Expands to nothing in every section of supervisord's files; separates characters that must not be adjacent."""


def supervisor_option(value: object) -> Encoded:
    """Return `value` for an option that supervisord does not parse further, such as `serverurl`."""
    return _supervisor(checked(value).replace("%", "%%"))


def supervisor_log_file(value: object) -> Encoded:
    """Return the path `value` for `stdout_logfile` of a program, the only option that supervisord expands twice."""
    text = checked(value)
    if not text.startswith("/"):
        raise refusal(
            text,
            "supervisord would resolve it elsewhere, or read it as a keyword such as `none`: use an absolute path",
        )
    return _supervisor(text.replace("%", "%%%%"))


def supervisor_command(argv: tuple[str, ...]) -> Encoded:
    """Return `argv` for `command=` of a program."""
    return _supervisor(shell_words(argv).replace("%", "%%"))


def _supervisor(text: str) -> Encoded:
    text = text.replace("%(here)s", f"%{NOTHING}(here)s")
    text = re.sub(r"(?<=\s)(?=[;#])", NOTHING, text)
    before = NOTHING if text[:1].isspace() else ""
    after = NOTHING if text[-1:].isspace() else ""
    return Encoded(f"{before}{text}{after}")
