"""Turns values into text that the reader of each format reads back exactly, or refuses them (S1).

supervisor's rules were measured on 4.2.5 and 4.3.0: a value ends at a blank followed by `;` or `#`, even inside quotes;
`%` starts an expansion; `command` is split by POSIX shlex.
"""

from __future__ import annotations

import re
import shlex
import unicodedata

from procman.errors import ProcmanError


class Encoded(str):
    """Text that is ready for its place in a file; the renderer prints nothing else."""

    __slots__ = ()


def unprintable(text: str) -> str | None:
    """Return the name of the first character that no configuration file can carry safely, or None.

    A line break would start a new option or section in the files that root reads (S1); lone surrogates and
    non-characters are not UTF-8, and systemd refuses a whole unit for one of them.
    """
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or ord(character) & 0xFFFE == 0xFFFE:
            return unicodedata.name(character, f"character U+{ord(character):04X}").lower()
    return None


def _refuse(value: str, reason: str) -> ProcmanError:
    return ProcmanError(f"{value!r} cannot be written: {reason}", hint="Change it where procman.toml sets it.")


def _checked(value: object) -> str:
    text = str(value)
    found = unprintable(text)
    if found:
        raise _refuse(text, f"it holds a {found}")
    return text


def shell(value: object) -> Encoded:
    """Return VALUE as one word of POSIX sh."""
    return Encoded(shlex.quote(_checked(value)))


def comment(value: object) -> Encoded:
    """Return VALUE as the rest of a comment line."""
    return Encoded(_checked(value))


def supervisor_option(value: object) -> Encoded:
    """Return VALUE for an option of a supervisord section that is taken as it is, such as `stdout_logfile`."""
    text = _checked(value)
    if text != text.strip():
        raise _refuse(text, "supervisord would drop the blank at its end")
    if re.search(r"\s[;#]", text) or text.startswith((";", "#")):
        raise _refuse(text, "supervisord takes what follows a blank and ; or # for a comment")
    return Encoded(text.replace("%", "%%"))


def supervisor_command(argv: tuple[str, ...]) -> Encoded:
    """Return ARGV for `command=` of a supervisord section.

    `%(program_name).0s` expands to nothing; between a blank and `;` or `#` it keeps them from starting a comment.
    """
    text = " ".join(shlex.quote(_checked(word)) for word in argv).replace("%", "%%")
    return Encoded(re.sub(r"(\s)([;#])", r"\1%(program_name).0s\2", text))


def shell_words(words: tuple[str, ...]) -> Encoded:
    """Return WORDS as a command line of POSIX sh."""
    return Encoded(" ".join(shell(word) for word in words))
