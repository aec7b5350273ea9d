"""Turns values into text that the reader of each format reads back exactly, or refuses them (S1).

One module per format; what they share is here.
"""

from __future__ import annotations

import re
import unicodedata

from procman.errors import ProcmanError

HINT = "Change it where procman.toml sets it."

WORDS = {"\n": "line break", "\r": "carriage return", "\t": "tab"}
"""What people call the characters that are refused most often."""


class Encoded(str):
    """Text that is ready for its place in a file; the renderer prints nothing else."""

    __slots__ = ()


def unprintable(text: str) -> str | None:
    """Return the name of the first character that no configuration file can carry safely, or None.

    A line break would start a new option or section in the files that root reads (S1); lone surrogates and
    non-characters are not UTF-8, and systemd refuses a whole unit for one of them (utf8_is_valid() of systemd).
    """
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or _is_noncharacter(ord(character)):
            return WORDS.get(character, f"character U+{ord(character):04X}")
    return None


def comment(value: object) -> Encoded:
    """Return VALUE as the rest of a comment line."""
    return Encoded(checked(value))


def plain_name(value: object) -> Encoded:
    """Return VALUE as it is: a name that no reader of any file takes for anything else."""
    return matching(value, r"[A-Za-z_][A-Za-z0-9_.-]*", "a name may hold letters, digits and . _ - only")


def variable_name(value: object) -> Encoded:
    """Return VALUE as it is: the name of an environment variable."""
    return matching(value, r"[A-Za-z_][A-Za-z0-9_]*", "the name of a variable may hold letters, digits and _ only")


def matching(value: object, pattern: str, rule: str) -> Encoded:
    """Return `value` as it is if it is a `pattern` from end to end; `rule` says what it may be."""
    text = checked(value)
    if not re.fullmatch(pattern, text):
        raise refusal(text, rule)
    return Encoded(text)


def checked(value: object) -> str:
    """Return `value` as text; ProcmanError where no file can carry it, which does not show it."""
    text = str(value)
    found = unprintable(text)
    if found:
        # It may be a secret.
        raise ProcmanError(f"a value cannot be written: it holds a {found}", hint=HINT)
    return text


def _is_noncharacter(code: int) -> bool:
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def refusal(value: str, reason: str) -> ProcmanError:
    """Return the error about a value that cannot be written; it is shown, so it must be no secret."""
    return ProcmanError(f"{value!r} cannot be written: {reason}", hint=HINT)
