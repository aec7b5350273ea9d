"""Recognises values that must not stand in a file others can read (S2)."""

from __future__ import annotations

import re

_URL_WITH_PASSWORD = re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*):([^\s/@]+)@")
_SECRET_WORDS = {"PASSWORD", "SECRET", "TOKEN"}


def holds_password(value: str) -> bool:
    """Say whether VALUE is or holds a URL with a password, such as a broker's."""
    return _URL_WITH_PASSWORD.search(value) is not None


def masked(text: str) -> str:
    """Return TEXT with the password of every URL in it replaced by `***`."""
    return _URL_WITH_PASSWORD.sub(r"\1:***@", text)


def is_secret(name: str, value: str) -> bool:
    """Say whether the variable NAME plainly holds a secret.

    A whole word of the name says so (`DB_PASSWORD`, not `PASSWORDLESS`), unless the value is a path, a number or a
    boolean.
    """
    if holds_password(value):
        return True
    if not _SECRET_WORDS & set(name.upper().split("_")):
        return False
    plain = value.startswith("/") or re.fullmatch(r"[0-9.]*|true|false|yes|no|on|off", value.lower())
    return not plain
