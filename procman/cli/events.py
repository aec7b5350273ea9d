"""`procman events`."""

from __future__ import annotations

import sys

import click

from procman.cli.selection import Selection
from procman.install.state.event_log import line_of
from procman.monitoring import events as command
from procman.output.events import as_line


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-n", "--number", type=click.IntRange(min=0), default=50, show_default=True, help="How many at most.")
@click.option("-f", "--follow", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON (`procman explain health`).")
@click.pass_obj
def events(selection: Selection, names: tuple[str, ...], number: int, follow: bool, as_json: bool) -> None:
    """Show what was found, healed, held and stopped, and why; the oldest first."""
    line = line_of if as_json else as_line
    for event in command.events(selection.installed(), names, number, follow=follow):
        click.echo(line(event))
        if follow:
            sys.stdout.flush()
