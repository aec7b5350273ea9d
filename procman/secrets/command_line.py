"""Recognise passwords in command lines, which every user of the host can read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from procman.secrets.recognise import holds_password, masked, secret_behind_option

_SHORT_OPTIONS: Mapping[str, Sequence[str]] = {
    "curl": ("-u", "--user", "-U", "--proxy-user"),
    "mosquitto_pub": ("-P",),
    "rabbitmqadmin": ("-p",),
    "redis-cli": ("-a",),
    "sshpass": ("-p",),
}
"""Options that take a password, of programs whose options have no telling name."""

_USER_AND_PASSWORD = re.compile(r"[^\s:/@\\*]+:[^/\s]+\Z")


def _secret_words(words: Sequence[str]) -> Iterator[int]:
    """Yield the index of each word that is a password because of the words before it."""
    program = ""
    for at, word in enumerate(words):
        name = word.rpartition("/")[2]
        program = name if name in _SHORT_OPTIONS or name.startswith(("mysql", "mariadb")) else program
        if program.startswith(("mysql", "mariadb")) and re.match(r"-p[^\s-]", word):
            yield at
        option = words[at - 1] if at else ""
        if option in _SHORT_OPTIONS.get(program, ()) or _is_secret(word, option):
            yield at


def _is_secret(word: str, option: str) -> bool:
    if option == "--auth":
        return bool(_USER_AND_PASSWORD.match(word))
    return bool(re.match(r"--?[A-Za-z][\w-]*\Z", option)) and secret_behind_option(option, word)


def words_hold_password(words: Sequence[str]) -> bool:
    """Return whether a command line contains a password: in one of its `words`, or as the word after `--password`."""
    return any(map(holds_password, words)) or next(_secret_words(words), None) is not None


def masked_command(words: Sequence[str]) -> str:
    """Return a command line for display, with every password that `words_hold_password` finds replaced by `***`."""
    secret = set(_secret_words(words))
    shown = ("***" if at in secret else word for at, word in enumerate(words))
    return masked(" ".join(shown))


LONGEST_SHOWN = 40
"""Characters of a mistyped name; a longer string is something else."""

_LIKE_A_SECRET = re.compile(
    r"://|:.*@|(?=\S*[0-9])(?=\S*[A-Za-z])[A-Za-z0-9+/=_]{16}|password|secret|token", re.IGNORECASE
)


def can_be_shown(text: str) -> bool:
    """Return whether `text`, found in place of a name, does not look like a secret: short, not a URL, not a token."""
    return len(text) <= LONGEST_SHOWN and text.isprintable() and not _LIKE_A_SECRET.search(text)
