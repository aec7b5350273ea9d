"""Finds the pages of docs/, which are shipped in the package, and the sections of `checks.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from importlib.abc import Traversable

SUFFIX = ".md"
CHECKS = "checks"
SECTION = re.compile(r"^### (PM\d{3})\n+\*\*([^\n]+)\*\*\n(.*?)(?=^#{1,3} |\Z)", re.MULTILINE | re.DOTALL)

WARNING = re.compile(r"^(?:- )?WARNING\b", re.MULTILINE)
"""The line of a section that describes when the check warns."""


class Page(NamedTuple):
    """A page, or the section of one check."""

    name: str
    title: str
    text: str
    """Markdown: of a page the whole, of a section what follows its title."""


def pages() -> list[Page]:
    """Return every page, by its name."""
    found = sorted((each for each in _folder().iterdir() if each.name.endswith(SUFFIX)), key=lambda each: each.name)
    return [_page(each.name.removesuffix(SUFFIX), each.read_text(encoding="utf-8")) for each in found]


def checks() -> list[Page]:
    """Return the section of every check, in the order of the page."""
    text = (_folder() / f"{CHECKS}{SUFFIX}").read_text(encoding="utf-8")
    return [Page(code, title, body.strip("\n")) for code, title, body in SECTION.findall(text)]


def is_warning(check: Page) -> bool:
    """Return whether the result of a check can be a warning, by its section."""
    return bool(WARNING.search(check.text))


def nearest_code(code: str, known: Iterable[str]) -> str | None:
    """Return the code of the same hundred whose number is nearest; None if there is none. `code` is like PM301."""
    same = [each for each in known if each[:3] == code[:3]]
    return min(same, key=lambda each: abs(int(each[2:]) - int(code[2:])), default=None)


def _folder() -> Traversable:
    """Return the directory of the pages: inside the package in a wheel, beside it in a checkout."""
    inside = resources.files("procman") / "docs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "docs"


def _page(name: str, text: str) -> Page:
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    return Page(name, title[1].replace("`", "") if title else name, text)
