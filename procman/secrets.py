"""Recognises values that must not stand in a file others can read, and hides them in what is shown (S2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

_URL_WITH_PASSWORD = re.compile(
    r"""
    ( \b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@\[\]]*: )  # up to the password
    (?! \d{1,5} (?: [/?\#;,\s"'] | $ ) )            # digits alone are a port
    # People write : / # and @ into passwords as they are; in a list of URLs the next one begins behind a comma.
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
"""`--basic_auth=user:password`, as Flower has it, or `?password=` in a URL; not `--password=/run/secret`."""

_OPTION = re.compile(r"--?[a-z0-9_-]*(password|passwd|passphrase|secret|token)", re.IGNORECASE)
"""An option whose next word is a secret."""

LONGEST_SHOWN = 40
"""Characters of a name that was mistyped; what is longer is something else."""

_LIKE_A_SECRET = re.compile(
    r"://|:.*@|(?=\S*[0-9])(?=\S*[A-Za-z])[A-Za-z0-9+/=_]{16}|password|secret|token", re.IGNORECASE
)

_SECRET_WORDS = {"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIALS"}


def holds_password(value: str) -> bool:
    """Say whether VALUE holds a password in plain text: a URL such as a broker's, or `password=`."""
    return _URL_WITH_PASSWORD.search(value) is not None or _NAMED.search(value) is not None


def words_hold_password(words: Sequence[str]) -> bool:
    """Say whether a command line of WORDS holds a password: in a word, or as the word behind `--password`."""
    behind = (word for option, word in pairwise(words) if _OPTION.fullmatch(option))
    return any(map(holds_password, words)) or any(not re.match(r"[-/~]|[0-9]*\Z", word) for word in behind)


def can_be_shown(text: str) -> bool:
    """Say whether TEXT, found where a name is expected, is one that no secret looks like: short, no URL, no token."""
    return len(text) <= LONGEST_SHOWN and text.isprintable() and not _LIKE_A_SECRET.search(text)


def masked(text: str) -> str:
    """Return TEXT with every password that `holds_password` would find replaced by `***`."""
    return _NAMED.sub(r"\1***", _URL_WITH_PASSWORD.sub(r"\1***", text))


def is_secret(name: str, value: str) -> bool:
    """Say whether the variable NAME plainly holds a secret.

    A whole word of the name says so (`DB_PASSWORD`, not `PASSWORDLESS`), or that it ends like `API_KEY`; unless the
    value is a path, a number or a boolean.
    """
    if holds_password(value):
        return True
    if not (_SECRET_WORDS & set(name.upper().split("_")) or name.upper().endswith("_KEY")):
        return False
    plain = value.startswith("/") or re.fullmatch(r"[0-9.]*|true|false|yes|no|on|off", value.lower())
    return not plain
