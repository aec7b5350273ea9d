"""`procman explain`."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from procman.errors import ConfigurationError
from procman.output.terminal import coloured

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from procman.pages import Page

WIDEST = 120
"""Longer lines are hard to read."""


def _complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from procman.pages import checks, pages

    return [
        CompletionItem(incomplete + each.name[len(incomplete) :], help=each.title)
        for each in (*pages(), *checks())
        if each.name.lower().startswith(incomplete.lower())
    ]


@click.command()
@click.argument("names", metavar="[CODE|PAGE]...", nargs=-1, shell_complete=_complete)
def explain(names: tuple[str, ...]) -> None:
    """Explain the code of a check, or print a page of the documentation.

    Without an argument, lists the pages.

    \b
    Examples:
      # A code that check, status or health printed
      procman explain PM301
      # A page of the documentation
      procman explain stopping
    """
    if not names:
        _list_pages()
        return
    found = _find(names)
    columns, lines = shutil.get_terminal_size()
    text = "\n\n".join(_shown(page, min(columns, WIDEST)) for page in found) + "\n"
    if sys.stdout.isatty() and text.count("\n") >= lines and any(not page.name.startswith("PM") for page in found):
        # ValueError: $PAGER has a quote that is not closed.
        with suppress(ValueError):
            click.echo_via_pager(text)
            return
    click.echo(text, nl=False)


def _list_pages() -> None:
    from procman.pages import pages

    found = pages()
    width = max(len(page.name) for page in found)
    click.echo(coloured("Pages, for `procman explain PAGE`:", "bold", sys.stdout))
    for page in found:
        click.echo(f"  {page.name:{width}}  {page.title}")
    click.echo(coloured("\nChecks, by the code that `procman check` and `procman health` print:", "bold", sys.stdout))
    click.echo("  procman explain PM301")


def _find(names: Iterable[str]) -> list[Page]:
    from procman.pages import checks, pages

    known = {page.name.lower(): page for page in (*pages(), *checks())}
    words = {name: name.lower().rpartition("/")[2].removesuffix(".md") for name in names}
    keys = {name: f"pm{word}" if word.isdigit() else word for name, word in words.items()}
    problems = [_unknown(name, key, known) for name, key in keys.items() if key not in known]
    if problems:
        raise ConfigurationError(
            problems, hint="`procman explain` lists the pages, `procman explain checks` every code"
        )
    return [known[key] for key in dict.fromkeys(keys.values())]


def _unknown(name: str, key: str, known: dict[str, Page]) -> str:
    from procman.pages import nearest_code
    from procman.suggest import nearest

    code = key.upper()
    if re.fullmatch(r"PM\d+", code):
        near = nearest_code(code, [page.name for page in known.values()]) if len(code) == len("PM301") else None
        return f"no check {name}; " + (f"did you mean {near}?" if near else "a code has three digits, as in PM301")
    found = nearest(key, known)
    return f"no page or check {name}" + (f"; did you mean {known[found].name}?" if found else "")


def _shown(page: Page, width: int) -> str:
    from procman.output.markdown import as_text

    lines = [] if page.text.startswith("# ") else [coloured(f"{page.name}: {page.title}", "bold", sys.stdout), ""]
    return "\n".join([*lines, *as_text(page.text, width)])
