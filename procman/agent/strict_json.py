"""Parse JSON that another program wrote, without trusting it: bounded, finite and unambiguous.

`procman install` installs this file beside the launcher; procman imports the same code.
"""

import json
import math
from typing import Any, Dict, List, Tuple

MOST_DIGITS = 20
"""Enough for any 64-bit number. Python converts numbers of 309 to 4300 digits, but only to ones that no float can
hold."""


def parse(text: str, *, most: int = 8 * 1024**2, surrogates: bool = False) -> Any:
    """Return the value of the JSON document `text`, which has at most `most` characters.

    Raises ValueError with the reason for everything else, and for what is valid only for some parsers: a number that is
    infinite, not a number or very long, a key that occurs twice, deep nesting, and, unless `surrogates` are allowed, a
    text that cannot be encoded.
    """
    if len(text) > most:
        raise ValueError("it is too long")
    try:
        found = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not surrogates and "\\u" in text:
        # An escape can be half of a character.
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


def _constant(name: str) -> None:
    raise ValueError("%s is not a number" % name)


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _members(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_finite, parse_constant=_constant
)
