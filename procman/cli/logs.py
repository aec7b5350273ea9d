"""`procman logs`."""

from __future__ import annotations

import sys

import click

from procman.cli.selection import Selection
from procman.commands import control


@click.command()
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=50, show_default=True, help="How many to begin with."
)
@click.pass_obj
def logs(selection: Selection, name: str, follow: bool, lines: int) -> None:
    """Show what a program wrote, whichever process manager keeps it."""
    for line in control.logs(selection.installed(), name, lines, follow=follow):
        click.echo(line)
        if follow:
            sys.stdout.flush()
