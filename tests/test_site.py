"""The site is built from docs/ without a warning, its links lead somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from scripts.site.hooks import OUTSIDE, SEARCH, slugify

ROOT = Path(__file__).parents[1]


class Html(HTMLParser):
    """The ids of a page, what it links to, and what a browser loads with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        self.ids.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a":
            self.links.update({values["href"]} if "href" in values else ())
        else:
            self.loaded.update(values[name] for name in ("href", "src") if name in values)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    # With --quiet, --strict would miss the warnings.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return directory


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Html]:
    # The page for a missing page is shown at any depth, so its links are absolute.
    found = sorted(page for page in site.rglob("*.html") if page.name != "404.html")
    return {page.relative_to(site).as_posix(): Html(page.read_text(encoding="utf-8")) for page in found}


def test_every_page_is_built(pages: dict[str, Html]) -> None:
    sources = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    expected = {source.with_suffix(".html").as_posix() for source in [*sources, *map(Path, OUTSIDE.values())]}
    assert expected - set(pages) == set()


def test_every_link_and_anchor_leads_somewhere(site: Path, pages: dict[str, Html]) -> None:
    broken = []
    for page, html in pages.items():
        for link in html.links:
            parts = urlsplit(urljoin(page, link))
            if parts.scheme:
                continue
            there = parts.path or "index.html"
            anchors = pages[there].ids if there in pages else set()
            if not (site / there).is_file() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append(f"{page}: {link}")
    assert broken == []


def test_lists_tables_and_code_are_rendered(site: Path) -> None:
    # GitHub takes a list right below a paragraph; Python-Markdown wants an empty line between them.
    left = []
    for page in site.rglob("*.html"):
        for paragraph in re.findall(r"<(p|li)>(.*?)</\1>", page.read_text(encoding="utf-8"), re.DOTALL):
            text = re.sub(r"<code>.*?</code>", "", paragraph[1], flags=re.DOTALL)
            left += [
                f"{page.name}: {line}" for line in text.splitlines() if re.match(r"\s*([-*] |\d+\. |\||```|#)", line)
            ]
    assert left == []


def test_cells_of_tables_are_labelled_for_narrow_screens(site: Path) -> None:
    labels = re.findall('<td data-label="(.*?)"', (site / "configuration.html").read_text(encoding="utf-8"))
    assert {"key", "value", "default", "meaning"} <= set(labels)


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Html]) -> None:
    loaded = {(page, urljoin(page, link)) for page, html in pages.items() for link in html.loaded}
    assert {(page, link) for page, link in loaded if not (site / urlsplit(link).path).is_file()} == set()
    styles = "".join(style.read_text(encoding="utf-8") for style in site.rglob("*.css"))
    assert "url(http" not in styles
    assert "url(//" not in styles
    assert "@import" not in styles


@pytest.mark.parametrize("words", ["PM301", "PM723", "stop timeout", "graceful stop", "stop_timeout_seconds"])
def test_search_finds(site: Path, words: str) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    sections = [f"{section['title']} {section['text']}".lower() for section in index["docs"]]
    assert [section for section in sections if words.lower() in section]


def test_sections_of_checks_have_their_titles_and_keep_their_anchors(site: Path, pages: dict[str, Html]) -> None:
    assert {"pm101", "pm301", "pm723", "pm901"} <= pages["checks.html"].ids
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    titles = {section["location"]: section["title"] for section in index["docs"]}
    assert titles["checks.html#pm301"] == "PM301: No messages wait while the worker has a free slot"


def test_search_ranks_titles_above_text_and_splits_queries_as_pages(site: Path) -> None:
    worker = (site / "search/worker.js").read_text(encoding="utf-8")
    assert [new for new in SEARCH.values() if new not in worker] == []


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Before an install: `procman check`", "before-an-install-procman-check"),
        ("Projects in /home and /tmp", "projects-in-home-and-tmp"),
        ("203/EXEC - SELinux", "203exec---selinux"),
        ("[worker.NAME]", "workername"),
        ("stop_timeout_seconds", "stop_timeout_seconds"),
    ],
)
def test_anchors_are_as_on_github(heading: str, anchor: str) -> None:
    assert slugify(heading, "-") == anchor
