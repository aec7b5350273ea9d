"""Parse JSON that another program wrote, without trusting it: bounded, finite and unambiguous.

`procman install` installs this file beside the launcher; procman imports the same code. The probe of a container has no
time for an import of `json`, which takes longer than all else that it does with a heartbeat: only an error needs that.
"""

from .light_typing import Any, Dict, List, Tuple

try:
    from _json import make_scanner  # the part of `json` that is in C
except ImportError:
    make_scanner = None  # type: ignore[assignment, misc]

MOST_DIGITS = 20
"""Enough for any 64-bit number. Python converts numbers of 309 to 4300 digits, but only to ones that no float can
hold."""

INFINITY = float("inf")
BLANKS = " \t\n\r"


def parse(text: str, *, most: int = 8 * 1024**2, surrogates: bool = False) -> Any:
    """Return the value of the JSON document `text`, which has at most `most` characters.

    Raises ValueError with the reason for everything else, and for what is valid only for some parsers: a number that is
    infinite, not a number or very long, a key that occurs twice, deep nesting, and, unless `surrogates` are allowed, a
    text that cannot be encoded.
    """
    if len(text) > most:
        raise ValueError("it is too long")
    try:
        found = _parsed(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not surrogates and "\\u" in text:
        # An escape can be half of a character.
        _whole_json().dumps(found, ensure_ascii=False).encode("utf-8")
    return found


def _parsed(text: str) -> Any:
    if _SCAN is not None:
        document = text.strip(BLANKS)
        try:
            found, end = _SCAN(document, 0)
        except (StopIteration, SystemError):
            # SystemError before Python 3.13, whose scanner finds no class for its error until `json` is imported.
            end = -1
        if end == len(document):
            return found
    # It is invalid, and the reason has line and column.
    decoder = _whole_json().JSONDecoder(
        object_pairs_hook=_members, parse_int=_integer, parse_float=_finite, parse_constant=_constant
    )
    return decoder.decode(text)


def _whole_json() -> Any:
    import json

    return json


def _constant(name: str) -> None:
    raise ValueError("%s is not a number" % name)


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (INFINITY, -INFINITY):
        raise ValueError("a number is too large")
    return number


def _members(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


class _Rules:
    """The attributes of a `json.JSONDecoder` that its scanner reads."""

    strict = True
    object_hook = None
    object_pairs_hook = _members
    parse_int = _integer
    parse_float = _finite
    parse_constant = _constant


_SCAN: Any = make_scanner(_Rules) if make_scanner else None  # type: ignore[arg-type, truthy-function]
