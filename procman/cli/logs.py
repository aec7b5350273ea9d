"""Define `procman logs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from procman.backends.logs import LogRequest
from procman.cli import complete
from procman.cli.options import Count, since
from procman.cli.safe_streams import echo_lines, follow_lines
from procman.cli.selection import Selection
from procman.deploy import start_stop
from procman.output.logs import as_lines
from procman.output.terminal import printable

DEFAULT_LINES = 50


@click.command()
@complete.names
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option(
    "-n", "--lines", metavar="N", type=Count(0), help="Start with the last N lines.  [default: 50; with --since: all]"
)
@since("Show the lines since TIME, such as 2h, 01:30, yesterday or 2026-11-29; local time unless it names a zone.")
@click.pass_obj
def logs(selection: Selection, names: tuple[str, ...], follow: bool, lines: int | None, since: float | None) -> int:
    """Show the logs of programs in one stream.

    Prints the end of the log files under supervisord, or of the journal under systemd, in the order of the times in the
    lines. With several programs, each line begins with the name of its program. Without NAME, shows the logs of all
    programs. `procman explain logs` describes how times are read.

    \b
    Examples:
      # Follow the log of the worker
      procman logs -f celery
      # What all programs logged in the last ten minutes
      procman logs --since 10m
    """
    most = DEFAULT_LINES if lines is None and since is None else lines
    request = LogRequest(most, since, follow, bool(names), _notice)
    found = _lines(selection, names, request)
    if follow:
        return follow_lines(found)
    echo_lines(found)
    return 0


def _lines(selection: Selection, names: tuple[str, ...], request: LogRequest) -> Iterator[str]:
    meant, found = start_stop.logs(selection.installed(), names, request)
    yield from as_lines(found, meant, sys.stdout)


def _notice(text: str) -> None:
    click.echo(f"procman: {printable(text)}", err=True)
