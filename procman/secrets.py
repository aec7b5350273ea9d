"""Recognise secrets, which must not be in a file that other users can read, and hide them in output (S2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

_URL_WITH_PASSWORD = re.compile(
    r"""
    ( \b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@\[\]]*: )  # up to the password
    (?! \d{1,5} (?: [/?\#;,\s"'] | $ ) )            # digits alone are a port
    # Passwords contain unescaped : / # and @; in a list of URLs, the next URL starts after a comma.
    (?: (?! [;,"']+[a-zA-Z][a-zA-Z0-9+.-]*:// ) \S ){1,4000}
    (?= @ )
    """,
    re.VERBOSE,
)

_NAMED = re.compile(
    r"""
    ( (?: ^ | [\s?&;,_-] ) (?: password | passwd | secret | token | basic[_-]auth ) = ["']? )
    (?! [/.~] | (?: \d+ | true | false ) (?: [\s&;,"'] | $ ) )
    (?: (?<=")[^"]+ | (?<=')[^']+ | [^\s&;,"']+ )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""`--basic_auth=user:password` (Flower), or `?password=` in a URL; not `--password=/run/secret`."""

_OPTION = re.compile(r"--?[a-z0-9_-]*(password|passwd|passphrase|secret|token)", re.IGNORECASE)
"""An option that is followed by a secret."""

LONGEST_SHOWN = 40
"""Characters of a mistyped name; a longer string is something else."""

_LIKE_A_SECRET = re.compile(
    r"://|:.*@|(?=\S*[0-9])(?=\S*[A-Za-z])[A-Za-z0-9+/=_]{16}|password|secret|token", re.IGNORECASE
)

_SECRET_WORDS = {"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIALS"}


def holds_password(value: str) -> bool:
    """Return whether `value` contains a password in plain text: a URL such as a broker's, or `password=`."""
    return _URL_WITH_PASSWORD.search(value) is not None or _NAMED.search(value) is not None


def words_hold_password(words: Sequence[str]) -> bool:
    """Return whether a command line contains a password: in one of its `words`, or as the word after `--password`."""
    behind = (word for option, word in pairwise(words) if _OPTION.fullmatch(option))
    return any(map(holds_password, words)) or any(not re.match(r"[-/~]|[0-9]*\Z", word) for word in behind)


def can_be_shown(text: str) -> bool:
    """Return whether `text`, found in place of a name, does not look like a secret: short, not a URL, not a token."""
    return len(text) <= LONGEST_SHOWN and text.isprintable() and not _LIKE_A_SECRET.search(text)


def masked(text: str) -> str:
    """Return `text` with every password that `holds_password` finds replaced by `***`."""
    return _NAMED.sub(r"\1***", _URL_WITH_PASSWORD.sub(r"\1***", text))


def is_secret(name: str, value: str) -> bool:
    """Return whether the variable `name` obviously contains a secret.

    It does if the value contains a password, or if a whole word of the name is telling (`DB_PASSWORD`, but not
    `PASSWORDLESS`) or the name ends like `API_KEY`, unless the value is a path, a number or a boolean.
    """
    if holds_password(value):
        return True
    if not (_SECRET_WORDS & set(name.upper().split("_")) or name.upper().endswith("_KEY")):
        return False
    plain = value.startswith("/") or re.fullmatch(r"[0-9.]*|true|false|yes|no|on|off", value.lower())
    return not plain
