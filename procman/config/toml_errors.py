"""What is wrong with a file that is no TOML, in words for somebody who does not know TOML."""

from __future__ import annotations

import re
from pathlib import Path

from procman.config.toml_lines import last_before

REMEDIES = {
    "Invalid value": 'a text stands in quotes, as in app = "mysite"; true and false are written small and without them',
    "Expected newline or end": "something stands behind the value: one KEY = VALUE on a line, a text in quotes",
    "Expected '='": "expected KEY = VALUE, or [TABLE] on a line of its own",
    "Invalid statement": "expected KEY = VALUE, or [TABLE] on a line of its own",
    "Invalid initial character": "expected a key: letters, digits, - and _, or anything in quotes",
    "Expected ']": "expected ] at the end of the line: a table is written [TABLE]",
    "Cannot overwrite a value": "it is set a second time here: keep one of the two",
    "Duplicate inline table key": "it is set a second time here: keep one of the two",
    "Cannot declare": "this table stands here a second time: put its keys into one",
    "Cannot mutate": "this table is complete where it stands in { }: put all its keys into one place",
    "Cannot redefine": "this table is complete where it stands in { }: put all its keys into one place",
    "Illegal character '\\n'": "a quote is not closed on this line",
    "Unescaped": "a backslash stands for itself only in 'single quotes'",
    "Invalid hex value": "a backslash stands for itself only in 'single quotes'",
    "Unterminated string": "a quote is not closed",
    "Expected \"'": "a quote is not closed",
    "Unclosed array": "a list is not closed, or a comma is missing in it: it is written [1, 2]",
    "Unclosed inline table": "expected a comma or } on the same line: a table is written { a = 1, b = 2 }",
    "Invalid date": "there is no such date; a text stands in quotes",
}
"""What to do, by the beginning of tomllib's message; another message is shown as it is."""


def problem(path: Path, text: str, error: Exception) -> str:
    """Return the message about ERROR, which tomllib raised for TEXT: file, line, key and remedy.

    No value is quoted: the line may hold a password.
    """
    if isinstance(error, RecursionError):
        return f"{path}: lists or tables stand too deep in one another: no key of procman's needs that"
    message = str(error)
    at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if at is None:
        return f"{path}: this is not TOML: a number is too long"
    # "end of document" is where a quote or bracket that is never closed was still missed; the key is where it begins.
    key, begins = last_before(text, int(at[1]) if at[1] else text.count("\n") + 1)
    line = int(at[1]) if at[1] else begins or 1
    message = message[: at.start()]
    remedy = next((words for start, words in REMEDIES.items() if message.startswith(start)), message)
    if message.startswith(WITHOUT_KEY):
        key = ""
    return f"{path}:{line}: {f'{key}: ' if key else ''}this is not TOML: {remedy}"


WITHOUT_KEY = ("Expected '='", "Invalid statement", "Expected ']")
"""Messages about a line on which no key could be made out, so that the one before it is not to blame."""
