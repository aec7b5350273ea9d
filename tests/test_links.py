"""Every link between the pages of the repository is valid, and every `make` target that they name exists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = (".", "docs", "units", "demo")
PAGES = sorted(page for folder in FOLDERS for page in (ROOT / folder).glob("*.md"))

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


@cache
def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and others generate for the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_are_valid() -> None:
    broken = []
    for page in PAGES:
        for name, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {name}#{anchor}")
    assert broken == []


def test_named_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {page: set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))) for page in PAGES}
    assert {page: unknown for page, names in named.items() if (unknown := names - targets)} == {}


def test_code_blocks_are_not_indented() -> None:
    # Python-Markdown, which builds the site, does not recognise a fence inside a list.
    assert [page for page in PAGES if re.search(r"^ +```", page.read_text(encoding="utf-8"), re.MULTILINE)] == []
