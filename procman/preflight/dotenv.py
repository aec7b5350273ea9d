"""Which lines of an environment file python-dotenv reads differently: web processes often read the same file with it.

In python-dotenv 1.2, a comment also starts at a `#` after a blank behind a value; a backslash is an escape in quotes
only, and of other characters; `${NAME}` is expanded, whatever the quotes; a line with text after its closing quote is
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from procman.agent.environment_file import Assignment

BLANK = r"[^\S\n]"
QUOTED = re.compile(rf"""(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"){BLANK}*(?:\#[^\n]*)?(?:\n|\Z)""", re.DOTALL)
EXPANDED = re.compile(r"\$\{(?:(?!\$\{)[^}:])*(\}|:-)")
"""The start of `${NAME}` or `${NAME:-DEFAULT}`; a scan from each `${` to the end would be quadratic."""

ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

EXPANDS = "it expands ${NAME}"
"""The difference that quotes do not remove."""


def differences(assignments: Iterable[Assignment]) -> tuple[tuple[int, str], ...]:
    """Return the line of each value that python-dotenv reads differently, and why; no value is named."""
    return tuple((each.line, _why(each)) for each in assignments if _as_dotenv(each.written) != each.value)


def _as_dotenv(written: str) -> str | None:
    """Return the value that python-dotenv reads from the text after the `=`; None: it ignores the line or expands."""
    whole = re.sub(r"\r\n?", "\n", written)
    text = re.sub(rf"\A{BLANK}*", "", whole)
    if text.startswith("#") and text != whole:
        return ""
    if text.startswith(("'", '"')):
        found = QUOTED.match(text)
        value = _unescaped(found) if found else None
    else:
        value = re.sub(r"(?<!\s)\s+#.*", "", text.partition("\n")[0]).rstrip()
    return None if value is None or _expands(value) else value


def _unescaped(found: re.Match[str]) -> str:
    single, double = found.groups()
    if single is not None:
        return re.sub(r"\\([\\'])", r"\1", single)
    return re.sub(r"""\\([\\'"abfnrtv])""", lambda escape: ESCAPES.get(escape[1], escape[1]), double)


def _expands(value: str) -> bool:
    last = value.rfind("}")
    return any(found[1] == "}" or found.end() <= last for found in EXPANDED.finditer(value))


def _why(assignment: Assignment) -> str:
    text = assignment.written.strip()
    is_quoted = text.startswith(("'", '"'))
    if _expands(text):
        return EXPANDS
    if not is_quoted and re.search(r"\s#", assignment.written):
        return "it drops the comment behind the value"
    if "\r" in assignment.value:
        return "it changes line ends"
    if "\\" in text:
        return "it treats backslashes differently"
    if is_quoted and QUOTED.match(text):
        return "it drops the comment behind the value"
    return "it ignores a line with text after the closing quote" if is_quoted else "it strips other blanks"
