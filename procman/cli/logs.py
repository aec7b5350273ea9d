"""Define `procman logs`."""

from __future__ import annotations

import sys

import click

from procman.cli import complete
from procman.cli.options import Count
from procman.cli.selection import Selection
from procman.deploy import start_stop


@click.command()
@click.argument("name", shell_complete=complete.program_names)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option(
    "-n", "--lines", metavar="N", type=Count(0), default=50, show_default=True, help="Start with the last N lines."
)
@click.pass_obj
def logs(selection: Selection, name: str, follow: bool, lines: int) -> None:
    """Show the log of a program.

    Prints the end of the log file under supervisord, or of the journal under systemd. NAME must mean a single program.

    \b
    Examples:
      # Follow the log of the worker
      procman logs -f celery
    """
    for piece in start_stop.logs(selection.installed(), name, lines, follow=follow):
        click.echo(piece, nl=False)
        if follow:
            sys.stdout.flush()
