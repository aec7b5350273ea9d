"""Explain TOML syntax errors to users who do not know TOML."""

from __future__ import annotations

import re
from pathlib import Path

from procman.config.toml_lines import last_before

REMEDIES = {
    "Invalid value": 'put strings in quotes, as in app = "mysite"; write true and false in lowercase without quotes',
    "Expected newline or end": "unexpected text after the value: write one KEY = VALUE per line, strings in quotes",
    "Expected '='": "expected KEY = VALUE, or [TABLE] on a line of its own",
    "Invalid statement": "expected KEY = VALUE, or [TABLE] on a line of its own",
    "Invalid initial character": "expected a key: letters, digits, - and _, or any text in quotes",
    "Expected ']": "expected ] at the end of the line: write a table as [TABLE]",
    "Cannot overwrite a value": "it is set a second time: keep one of the two",
    "Duplicate inline table key": "it is set a second time: keep one of the two",
    "Cannot declare": "this table occurs a second time: put its keys into one table",
    "Cannot mutate": "this table is already complete in { }: put all its keys there",
    "Cannot redefine": "this table is already complete in { }: put all its keys there",
    "Illegal character '\\n'": "a quote is not closed on this line",
    "Unescaped": "a backslash is only literal in 'single quotes'",
    "Invalid hex value": "a backslash is only literal in 'single quotes'",
    "Unterminated string": "a quote is not closed",
    "Expected \"'": "a quote is not closed",
    "Unclosed array": "a list is not closed, or lacks a comma: write it as [1, 2]",
    "Unclosed inline table": "expected a comma or } on the same line: write a table as { a = 1, b = 2 }",
    "Invalid date": "this date does not exist; put strings in quotes",
}
"""The remedy, by the beginning of tomllib's message; any other message is shown unchanged."""


def problem(path: Path, text: str, error: Exception) -> str:
    """Return the message about `error`, which tomllib raised for `text`: file, line, key and remedy.

    No value is shown, because the line may contain a password.
    """
    if isinstance(error, RecursionError):
        return f"{path}: lists or tables are nested too deeply; no key of procman.toml needs that"
    message = str(error)
    at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if at is None:
        return f"{path}: invalid TOML: a number is too long"
    # "end of document": a quote or bracket is never closed; the key to blame is the one where it opens.
    key, begins = last_before(text, int(at[1]) if at[1] else text.count("\n") + 1)
    line = int(at[1]) if at[1] else begins or 1
    message = message[: at.start()]
    remedy = next((words for start, words in REMEDIES.items() if message.startswith(start)), message)
    if message.startswith(WITHOUT_KEY):
        key = ""
    return f"{path}:{line}: {f'{key}: ' if key else ''}invalid TOML: {remedy}"


WITHOUT_KEY = ("Expected '='", "Invalid statement", "Expected ']")
"""Messages about a line without a recognisable key; the key before that line is not to blame."""
