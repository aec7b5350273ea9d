"""Turns values into text that the reader of each format reads back exactly, or refuses them (S1).

supervisor's rules, the same in 4.2.5, 4.3.0 and the coming 4.4: a value ends at a blank followed by `;` or `#`, even
inside quotes, and loses the blanks at both ends; `%` starts an expansion; `%(here)s` is filled in before all others,
whatever stands before it; `command` is split by POSIX shlex.
"""

from __future__ import annotations

import re
import shlex
import unicodedata

from procman.errors import ProcmanError

HINT = "Change it where procman.toml sets it."

NOTHING = "%(here).0s"
"""Expands to nothing in every section of supervisord's files; it keeps apart what must not stand together."""

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
    return Encoded(_checked(value))


def plain_name(value: object) -> Encoded:
    """Return VALUE as it is: a name that no reader of any file takes for anything else."""
    return matching(value, r"[A-Za-z_][A-Za-z0-9_.-]*", "a name may hold letters, digits and . _ - only")


def variable_name(value: object) -> Encoded:
    """Return VALUE as it is: the name of an environment variable."""
    return matching(value, r"[A-Za-z_][A-Za-z0-9_]*", "the name of a variable may hold letters, digits and _ only")


def shell(value: object) -> Encoded:
    """Return VALUE as one word of POSIX sh."""
    return Encoded(shlex.quote(_checked(value)))


def shell_words(words: tuple[str, ...]) -> Encoded:
    """Return WORDS as a command line of POSIX sh."""
    return Encoded(" ".join(shell(word) for word in words))


def supervisor_option(value: object) -> Encoded:
    """Return VALUE for an option of supervisord's that is taken as it is, such as `serverurl`."""
    return _supervisor(_checked(value).replace("%", "%%"))


def supervisor_log_file(value: object) -> Encoded:
    """Return the path VALUE for `stdout_logfile` of a program, the one option that supervisord expands twice."""
    text = _checked(value)
    if not text.startswith("/"):
        raise refusal(text, "supervisord would look for it elsewhere, or take it for a word such as `none`")
    return _supervisor(text.replace("%", "%%%%"))


def supervisor_command(argv: tuple[str, ...]) -> Encoded:
    """Return ARGV for `command=` of a program."""
    return _supervisor(shell_words(argv).replace("%", "%%"))


def _supervisor(text: str) -> Encoded:
    text = text.replace("%(here)s", f"%{NOTHING}(here)s")
    text = re.sub(r"(?<=\s)(?=[;#])", NOTHING, text)
    before = NOTHING if text[:1].isspace() else ""
    after = NOTHING if text[-1:].isspace() else ""
    return Encoded(f"{before}{text}{after}")


def matching(value: object, pattern: str, rule: str) -> Encoded:
    """Return `value` as it is if it is a `pattern` from end to end; `rule` says what it may be."""
    text = _checked(value)
    if not re.fullmatch(pattern, text):
        raise refusal(text, rule)
    return Encoded(text)


def _checked(value: object) -> str:
    text = str(value)
    found = unprintable(text)
    if found:
        # Not shown: it may be a secret.
        raise ProcmanError(f"a value cannot be written: it holds a {found}", hint=HINT)
    return text


def _is_noncharacter(code: int) -> bool:
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def refusal(value: str, reason: str) -> ProcmanError:
    """Return the error about a value that cannot be written; it is shown, so it must be no secret."""
    return ProcmanError(f"{value!r} cannot be written: {reason}", hint=HINT)
