"""Quote values so that the parser of each format reads them back exactly, or refuse them (S1).

There is one module per format, and shared code is here.
"""

from __future__ import annotations

import re
import unicodedata

from procman.errors import ProcmanError

HINT = "Change the value in procman.toml."

WORDS = {"\n": "line break", "\r": "carriage return", "\t": "tab"}
"""Common names of the characters that are refused most often."""


class Encoded(str):
    """Text that is quoted for its place in a file; templates print nothing else."""

    __slots__ = ()


def unprintable(text: str) -> str | None:
    """Return the name of the first character that is not safe in any configuration file, or None.

    A line break would start a new option or section in the files that root reads (S1); lone surrogates and
    non-characters are not UTF-8, and systemd refuses a whole unit for one of them (utf8_is_valid() of systemd).
    """
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or _is_noncharacter(ord(character)):
            return WORDS.get(character, f"character U+{ord(character):04X}")
    return None


def comment(value: object) -> Encoded:
    """Return `value` for use in a comment line."""
    return Encoded(checked(value))


def plain_name(value: object) -> Encoded:
    """Return `value` unchanged if it is a name without a special meaning in any format."""
    return matching(value, r"[A-Za-z_][A-Za-z0-9_.-]*", "a name may contain only letters, digits and . _ -")


def variable_name(value: object) -> Encoded:
    """Return `value` unchanged if it is a valid name of an environment variable."""
    return matching(value, r"[A-Za-z_][A-Za-z0-9_]*", "the name of a variable may contain only letters, digits and _")


def matching(value: object, pattern: str, rule: str) -> Encoded:
    """Return `value` unchanged if all of it matches `pattern`. Raises ProcmanError with the reason `rule` otherwise."""
    text = checked(value)
    if not re.fullmatch(pattern, text):
        raise refusal(text, rule)
    return Encoded(text)


def checked(value: object) -> str:
    """Return `value` as text. Raises ProcmanError, without showing the value, if no file can contain it."""
    text = str(value)
    found = unprintable(text)
    if found:
        # The value may be a secret.
        raise ProcmanError(f"a value cannot be written: it contains a {found}", hint=HINT)
    return text


def _is_noncharacter(code: int) -> bool:
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def refusal(value: str, reason: str) -> ProcmanError:
    """Return the error for a value that cannot be written; the message shows it, so it must not be a secret."""
    return ProcmanError(f"{value!r} cannot be written: {reason}", hint=HINT)
