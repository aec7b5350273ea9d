"""`procman release`."""

from __future__ import annotations

import os

import click

from procman.cli.safe_streams import ignore_lost_output
from procman.cli.selection import Selection
from procman.monitoring import hold as command


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def release(selection: Selection, names: tuple[str, ...]) -> None:
    """Let programs be healed again that were held; no NAME means all."""
    ignore_lost_output()
    for program, was_held in command.release(selection.installed(), names, os.environ):
        if was_held or names:
            click.echo(f"{program.name}: {'released' if was_held else 'was not held'}")
