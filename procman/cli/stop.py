"""`procman stop`."""

from __future__ import annotations

import click

from procman.cli.selection import Selection
from procman.cli.streams import carry_on_unheard
from procman.commands import control
from procman.output.terminal import Progress


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def stop(selection: Selection, names: tuple[str, ...]) -> None:
    """Stop programs; running tasks are finished first.

    No NAME means all. Waits until they have ended, at most their stop timeout each; beat is stopped first. They stay
    stopped until somebody starts them.
    """
    carry_on_unheard()
    progress = Progress()
    try:
        programs = control.stop(selection.installed(), names, progress)
    finally:
        progress.clear()
    for program in programs:
        click.echo(f"{program.name}: stopped")
