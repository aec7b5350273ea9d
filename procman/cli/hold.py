"""Define `procman hold`."""

from __future__ import annotations

import os

import click

from procman.cli import complete
from procman.cli.safe_streams import ignore_lost_output
from procman.cli.selection import Selection
from procman.monitoring import hold as command
from procman.output.terminal import moment


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete.program_names)
@click.option(
    "--for",
    "span",
    metavar="TIME",
    help="End the hold after TIME: 90s, 30min, 2h, 1d; at most 3650d.  [default: until released]",
)
@click.option("--reason", default="", metavar="TEXT", help="Reason, shown by status and events.")
@click.pass_obj
def hold(selection: Selection, names: tuple[str, ...], span: str | None, reason: str) -> None:
    """Hold programs: do not heal them until they are released.

    Hold a worker before you drain it by hand: after `celery control cancel_consumer` it consumes nothing while messages
    wait, and healing would restart it. Problems are still reported. systemd's watchdog still ends a frozen program.
    A second hold replaces the first.

    \b
    Examples:
      # Prevent a restart while you drain the worker
      procman hold celery --for 2h --reason "draining"
      # End the hold early
      procman release celery
    """
    ignore_lost_output()
    seconds = command.seconds_of(span) if span is not None else None
    for held in command.hold(selection.installed(acts=True), names, seconds, reason, os.environ):
        end = "released" if held.until is None else moment(held.until)
        click.echo(f"{held.program}: held until {end}")
