"""Remove the content of a file from error messages of supervisor and configparser: it may be a password (S2)."""

from __future__ import annotations

import re

# Compiled when first used: `status` imports this, and hardly ever gets such a message.
_CONTENT = (
    # configparser: the first line before any section, and every line that is not valid.
    (r"(file: .+?, line: \d+) .*", r"\1"),
    (r"(\[line +\d+\]): .*", r"\1"),
    # supervisor 4.3, `expand` and `dict_of_key_value_pairs`: the whole value.
    (r"Format string .* for ('[^']*') (contains names|is badly formatted)", r"\1 \2"),
    (r"\. Available names: (?:\S+, )*\S+", ""),
    (r"(Unexpected end of key/value pairs) in value '.*'(?=( in section .*)?$)", r"\1"),
)


LONGEST = 20_000
"""Characters of a message that is shown; the time to search it grows with the square of its length."""


def without_content(complaint: object) -> str:
    """Return an error of supervisor's in one line, with files, lines, sections and options, but without values."""
    text = " ".join(str(complaint).split())
    if len(text) > LONGEST:
        return f"(a message of {len(text)} characters)"
    for pattern, kept in _CONTENT:
        text = re.sub(pattern, kept, text)
    return text
