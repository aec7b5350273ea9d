"""`procman stop`."""

from __future__ import annotations

import click

from procman.cli.safe_streams import echo_lines, ignore_lost_output
from procman.cli.selection import Selection
from procman.deploy import start_stop
from procman.output.terminal import Progress


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def stop(selection: Selection, names: tuple[str, ...]) -> None:
    """Stop programs; running tasks are finished first.

    No NAME means all. Waits until they have ended, at most their stop timeout each; beat is stopped first. They stay
    stopped until somebody starts them.
    """
    ignore_lost_output()
    with Progress() as progress:
        programs = start_stop.stop(selection.installed(), names, progress)
    echo_lines(f"{program.name}: stopped" for program in programs)
