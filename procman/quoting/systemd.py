"""Turns values into text that systemd reads back exactly, by the rules of each kind of directive, or refuses them (S1).

The rules are those of systemd 252, read back from its own parser (tests/read_by_systemd.py). `%` starts a specifier
nearly everywhere. Commands and variables are split and unescaped as in a shell; so are lists of paths, which know no
`\\n`; a single path is taken as it stands, quotes and all, and a backslash at its end would swallow the next line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from procman.quoting import Encoded, comment, matching, refusal

PLAIN = r"[A-Za-z0-9/._=,@:+-]+"
"""A word that means itself without quotes, everywhere."""


class Value(Enum):
    """What a directive takes."""

    WORDS = "letters, digits, blanks and @ ~ : . _ / + , = -"
    AMOUNT = "a number with its unit, such as 512M, 50% or infinity"
    PATHS = "absolute paths"


PATTERNS = {
    Value.WORDS: r"[A-Za-z0-9@~:._/+,= -]*",
    Value.AMOUNT: r"([0-9]+(\.[0-9]+)?([A-Za-z]{0,4}|%)|infinity)?",
    Value.PATHS: r"[-+]{0,2}/.*",
}
"""What a value may be, besides one line of printable text; what it means is for `systemd-analyze verify` to judge."""


def systemd_text(value: object) -> Encoded:
    """Return VALUE for a directive that is taken as it is, such as `Description`."""
    text = comment(value)
    if not text or text != text.strip(" "):
        raise refusal(text, "systemd would drop the blanks at its ends")
    if text.endswith("\\"):
        raise refusal(text, "systemd would take the next line for a part of it")
    return Encoded(text.replace("%", "%%"))


def systemd_path(value: object) -> Encoded:
    """Return the one path VALUE for a directive that takes no quotes, such as `WorkingDirectory`."""
    return systemd_text(_absolute(value))


def systemd_environment_file(value: object) -> Encoded:
    """Return the path VALUE for `EnvironmentFile`, which takes `*`, `?` and `[` for a pattern."""
    path = systemd_path(value)
    if re.search(r"[*?\[]", path):
        raise refusal(path, "systemd would take it for a pattern of several files")
    return path


def systemd_paths(values: Iterable[object]) -> Encoded:
    """Return the paths VALUES for a directive that takes a list, such as `ReadWritePaths`; each may have a - or +."""
    return Encoded(" ".join(_quoted(_absolute(value, "-+")) for value in values))


def systemd_bound_paths(values: Iterable[object]) -> Encoded:
    """Return the paths VALUES for `BindPaths`, each to be seen where it is."""
    # Quotes, so that a colon does not separate the path from another one.
    return Encoded(" ".join(_in_quotes(_absolute(value)) for value in values))


def systemd_command(argv: tuple[str, ...]) -> Encoded:
    """Return ARGV for `ExecStart`; the first word is the absolute path of a program."""
    program, *arguments = argv
    _absolute(program)
    if re.search(r"[\"'\\]", program):
        raise refusal(program, "systemd knows no way to write a quote or a backslash in the path of a program")
    return Encoded(" ".join([_quoted(program), *(_quoted(word).replace("$", "$$") for word in arguments)]))


def systemd_assignment(name: str, value: object) -> Encoded:
    """Return one assignment for `Environment`."""
    return Encoded(_quoted(f"{name}={value}"))


def plain_path(value: object) -> Encoded:
    """Return the path VALUE as it is, for logrotate, which has rules of its own for anything but plain characters."""
    return _matching(_absolute(value), r"[A-Za-z0-9/._-]+")


def systemd_words(value: object) -> Encoded:
    """Return VALUE as it is: plain words, in which nothing has a meaning of its own."""
    return _matching(value, PATTERNS[Value.WORDS])


def systemd_amount(value: object) -> Encoded:
    """Return VALUE as it is: a number with its unit; no specifier is looked for there."""
    return _matching(value, PATTERNS[Value.AMOUNT])


def systemd_units(names: Iterable[str]) -> Encoded:
    """Return NAMES of units as a list; their own escapes (`dev-sda\\x2d1.device`) stay."""
    return Encoded(" ".join(_matching(name, r"[A-Za-z0-9:_.\\@-]+") for name in names))


def _quoted(value: object) -> str:
    return str(value) if re.fullmatch(PLAIN, str(value)) else _in_quotes(value)


def _in_quotes(value: object) -> str:
    escaped = comment(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _absolute(value: object, prefixes: str = "") -> str:
    text = str(value)
    path = text.lstrip(prefixes) if prefixes else text
    if not path.startswith("/") or "/../" in f"{path}/":
        raise refusal(text, "systemd takes an absolute path here, without ..")
    return text


def _matching(value: object, pattern: str) -> Encoded:
    return matching(value, pattern, "systemd could take it for something else")
