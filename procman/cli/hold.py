"""`procman hold`."""

from __future__ import annotations

import os

import click

from procman.cli.safe_streams import ignore_lost_output
from procman.cli.selection import Selection
from procman.monitoring import hold as command
from procman.output.terminal import moment


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--for",
    "span",
    metavar="TIME",
    help="How long: 90s, 30min, 2h, 1d; at most 3650d.  [default: until released]",
)
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever looks next.")
@click.pass_obj
def hold(selection: Selection, names: tuple[str, ...], span: str | None, reason: str) -> None:
    """Leave programs as they are: nothing heals them until they are released.

    Before you drain a worker by hand, for instance: with `celery control cancel_consumer` it consumes nothing while
    messages wait, which is just what healing looks for. What is found is still told.
    """
    ignore_lost_output()
    seconds = command.seconds_of(span) if span is not None else None
    for held in command.hold(selection.installed(), names, seconds, reason, os.environ):
        end = "it is released" if held.until is None else moment(held.until, "seconds")
        click.echo(f"{held.program}: held until {end}")
