"""`procman logs`."""

from __future__ import annotations

import sys

import click

from procman.cli.selection import Selection
from procman.deploy import start_stop


@click.command()
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=50, show_default=True, help="How many to begin with."
)
@click.pass_obj
def logs(selection: Selection, name: str, follow: bool, lines: int) -> None:
    """Show what a program wrote, whichever process manager keeps it."""
    for line in start_stop.logs(selection.installed(), name, lines, follow=follow):
        click.echo(line)
        if follow:
            sys.stdout.flush()
