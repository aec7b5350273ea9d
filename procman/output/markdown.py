"""Turns the Markdown of a page into plain text for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

START = r" *(?:[-*+]|\d+\.) |#+ |\|| *```"
BLOCK = re.compile(
    r"^(?P<code> *```(?s:.*?)^ *```)$"
    r"|^(?P<heading>#+ .*)$"
    r"|^(?P<table>(?:\|.*\n?)+)"
    rf"|^(?P<text>.+(?:\n(?!{START}).+)*)"
    r"|^(?P<blank>)$",
    re.MULTILINE,
)
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
PAGE = re.compile(r"([\w-]+)\.md(?:#(pm\d{3})|#.*)?")
UNDERLINES = {1: "=", 2: "-", 3: "~"}
"""By the level of the heading; deeper ones have none."""

UNBROKEN = 40
"""The longest code, in characters, that is kept on one line."""


def as_text(markdown: str, width: int) -> Iterator[str]:
    """Yield the lines of `markdown` for a terminal of `width` columns; code is never wrapped."""
    for block in BLOCK.finditer(markdown):
        text = block.group()
        match block.lastgroup:
            case "code":
                yield from (f"    {line}".rstrip() for line in text.splitlines()[1:-1])
            case "heading":
                lines = _wrap(text.lstrip("# "), width, others="")
                yield from lines
                yield from [mark * max(map(len, lines)) for mark in UNDERLINES.get(text.index(" "), "")]
            case "table":
                yield from _table(text, width)
            case "text":
                yield from _paragraph(text, width)
            case _:
                yield ""


def _paragraph(text: str, width: int) -> list[str]:
    [margin] = re.findall(r"^ *(?:(?:[-*+]|\d+\.) +)?", text)
    return _wrap(text[len(margin) :], width, margin, " " * len(margin))


def _wrap(text: str, width: int, first: str = "", others: str = "    ") -> list[str]:
    whole = re.sub(rf"`[^`]{{1,{UNBROKEN}}}`", lambda code: code.group().replace(" ", "\0"), _inline(text))
    lines = textwrap.wrap(
        " ".join(whole.split()),
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]


def _table(text: str, width: int) -> list[str]:
    """Return a table in columns if it fits, and as `term: text` otherwise."""
    rows = [[_inline(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()]
    header, rows = rows[0], rows[2:]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if sum(widths) + 2 * len(widths) <= width:
        shown = [header, *rows] if any(header) else rows
        return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]
    if len(header) == 2:
        return [line for term, cell in rows for line in _wrap(f"{term}: {cell}" if cell else term, width)]
    lines = []
    for row in rows:
        lines += _wrap(row[0], width)
        for name, cell in zip(header[1:], row[1:], strict=True):
            lines += _wrap(f"{name}: {cell}", width, "    ", "        ") if cell else []
    return lines


def _inline(text: str) -> str:
    text = LINK.sub(lambda link: _link(link[1], link[2]), text)
    return re.sub(r"(`[^`]*`)|\*\*(.+?)\*\*|\\([|*_<>])", lambda found: found[1] or found[2] or found[3], text)


def _link(label: str, target: str) -> str:
    if target.startswith(("http:", "https:")):
        return target if label == target else f"{label} ({target})"
    page = PAGE.fullmatch(target)
    if not page:
        return label
    command = f"`procman explain {page[2].upper() if page[2] else page[1]}`"
    return command if label.strip("`").removesuffix(".md").lower() in (page[1], page[2]) else f"{label} ({command})"
