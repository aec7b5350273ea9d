"""Quote values so that systemd reads them back exactly, by the rules of each kind of directive, or refuse them (S1).

The rules are those of systemd 252 to 262, tested with their own parsers (tests/read_by_systemd.py). `%` starts a
specifier nearly everywhere. Commands and variables are split and unescaped as in a shell; so are lists of paths, but
without the escape `\\n`. A single path is read verbatim, including quotes, and a backslash at its end would continue
the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from procman.quoting import Encoded, comment, matching, refusal

PLAIN = r"[A-Za-z0-9/._=,@:+-]+"
"""A word that needs no quotes in any directive."""


class Value(Enum):
    """The kinds of values that directives accept."""

    WORDS = "letters, digits, spaces and @ ~ : . _ / + , = -"
    AMOUNT = "a number with its unit, such as 512M, 50% or infinity"
    PATHS = "absolute paths"


PATTERNS = {
    Value.WORDS: r"[A-Za-z0-9@~:._/+,= -]*",
    Value.AMOUNT: r"([0-9]+(\.[0-9]+)?([A-Za-z]{0,4}|%)|infinity)?",
    Value.PATHS: r"[-+]{0,2}/.*",
}
"""The syntax of each kind, within one line of printable text; `systemd-analyze verify` checks the meaning."""


def systemd_text(value: object) -> Encoded:
    """Return `value` for a directive that is read verbatim, such as `Description`."""
    text = comment(value)
    if not text or text != text.strip(" "):
        raise refusal(text, "systemd would remove the blanks at its ends")
    if text.endswith("\\"):
        raise refusal(text, "systemd would read the backslash at its end as a line continuation")
    return Encoded(text.replace("%", "%%"))


def systemd_path(value: object) -> Encoded:
    """Return the path `value` for a directive with a single path and without quotes, such as `WorkingDirectory`."""
    return systemd_text(_absolute(value))


def systemd_environment_file(value: object) -> Encoded:
    """Return the path `value` for `EnvironmentFile`, where `*`, `?` and `[` form patterns."""
    path = systemd_path(value)
    if re.search(r"[*?\[]", path):
        raise refusal(path, "systemd would read it as a pattern for several files")
    return path


def systemd_paths(values: Iterable[object]) -> Encoded:
    """Return the paths `values` for a directive with a list, such as `ReadWritePaths`; each may begin with - or +."""
    return Encoded(" ".join(_quoted(_absolute(value, "-+")) for value in values))


def systemd_bound_paths(values: Iterable[object]) -> Encoded:
    """Return the paths `values` for `BindPaths`, each bound to the same path."""
    return Encoded(" ".join(_bound(_absolute(value)) for value in values))


def systemd_command(argv: tuple[str, ...]) -> Encoded:
    """Return `argv` for `ExecStart`; the first word is the absolute path of a program."""
    program, *arguments = argv
    _absolute(program)
    if re.search(r"[\"'\\*?\[]", program):
        raise refusal(program, "systemd does not support quotes, backslashes or any of *?[ in the path of a program")
    return Encoded(" ".join([_quoted(program), *(_quoted(word).replace("$", "$$") for word in arguments)]))


def systemd_assignment(name: str, value: object) -> Encoded:
    """Return one assignment for `Environment`."""
    return Encoded(_quoted(f"{name}={value}"))


def plain_path(value: object) -> Encoded:
    """Return the path `value` unchanged for logrotate; only characters without a special meaning are accepted."""
    return _matching(_absolute(value), r"[A-Za-z0-9/._-]+")


def systemd_words(value: object) -> Encoded:
    """Return `value` unchanged if it contains only words without special characters."""
    return _matching(value, PATTERNS[Value.WORDS])


def systemd_amount(value: object) -> Encoded:
    """Return `value` unchanged if it is a number with a unit; systemd expands no specifiers there."""
    return _matching(value, PATTERNS[Value.AMOUNT])


def systemd_units(names: Iterable[str]) -> Encoded:
    """Return `names` of units as a list; escapes in them (`dev-sda\\x2d1.device`) are kept."""
    return Encoded(" ".join(_matching(name, r"[A-Za-z0-9:_.\\@-]+") for name in names))


def _quoted(value: object) -> str:
    return str(value) if re.fullmatch(PLAIN, str(value)) else _in_quotes(value)


def _in_quotes(value: object) -> str:
    escaped = comment(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _bound(path: str) -> str:
    # For systemd 262, a bare colon separates source and destination even in quotes, and no quote can be escaped.
    escaped = comment(path).replace("\\", "\\\\").replace(":", "\\:").replace("%", "%%")
    return '"' + escaped.replace('"', '"\'"\'"') + '"'


def _absolute(value: object, prefixes: str = "") -> str:
    text = str(value)
    path = text.lstrip(prefixes) if prefixes else text
    if not path.startswith("/") or "/../" in f"{path}/":
        raise refusal(text, "systemd needs an absolute path without .. here")
    return text


def _matching(value: object, pattern: str) -> Encoded:
    return matching(value, pattern, "it contains characters with a special meaning for systemd")
