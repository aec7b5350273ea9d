"""Hooks of MkDocs: pages from outside docs/, their links, GitHub's anchors, and titles first in a search."""

from __future__ import annotations

import posixpath
import re
from html import escape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

# Their path in the repository, and in the site.
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "report-a-vulnerability.md",
    "units/README.md": "units/supervisord.md",
    "units/systemd.md": "units/systemd.md",
}
HOME = {"README.md": "index.md"}  # the site has a home page of its own

CHECK = re.compile(r"^### (PM\d{3})\n\n\*\*(.+)\*\*$", re.MULTILINE)
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")

SEARCH = {
    # A search for PM301 shows its section before those that mention it.
    "this.field('title');": "this.field('title', {boost: 5});",
    # Queries are split as the pages are, or no key such as stop_timeout_seconds would be found.
    "lunr.tokenizer.separator =": "lunr.QueryLexer.termSeparator = lunr.tokenizer.separator =",
}
"""What the search plugin has no option for."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the anchors of headings the same as on GitHub."""
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": slugify}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are outside docs/."""
    for path, uri in OUTSIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_others: object) -> str:
    """Point links at the pages of the site, and give the section of a check its title.

    A link to a file that is no page keeps its text only.
    """
    here = page.file.src_uri

    def replace(match: re.Match[str]) -> str:
        text, target, anchor = match.groups()
        uri = site_uri(posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(here)), target)))
        if uri is None:
            return text
        return f"[{text}]({posixpath.relpath(uri, posixpath.dirname(here) or '.')}{anchor or ''})"

    return CHECK.sub(_heading_of_check, LINK.sub(replace, markdown))


def on_page_content(html: str, **_others: object) -> str:
    """Label each cell of a table with the head of its column, for screens where a row has no room side by side."""
    return TABLE.sub(_labelled, html)


def _labelled(table: re.Match[str]) -> str:
    heads = [escape(re.sub("<.*?>", "", head)) for head in re.findall(r"<th[^>]*>(.*?)</th>", table[0])]

    def label(row: re.Match[str]) -> str:
        labels = iter(heads)
        return re.sub(r"<td\b", lambda _: f'<td data-label="{next(labels)}"', row[0])

    return re.sub(r"<tr>.*?</tr>", label, table[0], flags=re.DOTALL)


def _heading_of_check(match: re.Match[str]) -> str:
    code, title = match.groups()
    return f"### {code}: {title} {{#{code.lower()}}}"


def on_post_build(config: MkDocsConfig) -> None:
    """Improve the search."""
    worker = Path(config.site_dir) / "search/worker.js"
    text = worker.read_text(encoding="utf-8")
    for old, new in SEARCH.items():
        if text.count(old) != 1:
            raise PluginError(f"{worker} has no longer one {old}")
        text = text.replace(old, new)
    worker.write_text(text, encoding="utf-8")


def repository_path(uri: str) -> str:
    """Return the path in the repository of the page `uri` of the site."""
    return next((path for path, there in OUTSIDE.items() if there == uri), f"docs/{uri}")


def site_uri(path: str) -> str | None:
    """Return the page of the site that shows the file `path` of the repository, or None."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return (OUTSIDE | HOME).get(path)


def slugify(heading: str, separator: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)
