"""Define `procman events`."""

from __future__ import annotations

import sys

import click

from procman.cli import complete
from procman.cli.options import Count
from procman.cli.selection import Selection
from procman.install.state.event_log import line_of
from procman.monitoring import events as command
from procman.output.events import as_line


@click.command()
@complete.names
@click.option(
    "-n", "--number", metavar="N", type=Count(0), default=50, show_default=True, help="Show the last N events."
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line; see `procman explain health`.")
@click.pass_obj
def events(selection: Selection, names: tuple[str, ...], number: int, follow: bool, as_json: bool) -> None:
    """List what happened to the programs, oldest first.

    Shows problems found, automatic restarts, stops, holds and releases: when, why, who gave the command, and which
    tasks were running. Without NAME, shows the events of all programs and of the project.

    \b
    Examples:
      # Find out why a worker was restarted
      procman events celery
      # Watch new events
      procman events --follow
    """
    line = line_of if as_json else as_line
    for event in command.events(selection.installed(), names, number, follow=follow):
        click.echo(line(event))
        if follow:
            sys.stdout.flush()
