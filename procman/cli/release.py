"""Define `procman release`."""

from __future__ import annotations

import os

import click

from procman.cli import complete
from procman.cli.safe_streams import ignore_lost_output
from procman.cli.selection import Selection
from procman.monitoring import hold as command


@click.command()
@complete.names
@click.pass_obj
def release(selection: Selection, names: tuple[str, ...]) -> None:
    """Release held programs, so that they are healed again.

    Without NAME, releases all of them.

    \b
    Examples:
      # End the hold of the worker
      procman release celery
    """
    ignore_lost_output()
    for program, was_held in command.release(selection.installed(acts=True), names, os.environ):
        if was_held or names:
            click.echo(f"{program.name}: {'released' if was_held else 'was not held'}")
