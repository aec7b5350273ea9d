"""`procman restart`."""

from __future__ import annotations

import sys

import click

from procman.cli.selection import Selection
from procman.commands import control
from procman.output.terminal import Progress


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long each new process may take to become healthy.",
)
@click.pass_obj
def restart(selection: Selection, names: tuple[str, ...], wait_seconds: float) -> int:
    """Restart programs one by one; running tasks are finished first.

    No NAME means all but those that somebody stopped. Each waits until the one before is
    healthy; if one does not become healthy the rest is left as it is, and the exit status is 1.
    """
    progress = Progress()
    try:
        for program, unhealthy in control.restart(selection.installed(), names, wait_seconds, progress):
            progress.clear()
            if unhealthy:
                click.echo(
                    f"{program.name}: not healthy {wait_seconds:g} s after its start: {unhealthy.result.detail}",
                    err=True,
                )
                click.echo(f"  procman logs {program.name}", err=True)
                return 1
            click.echo(f"{program.name}: restarted")
            sys.stdout.flush()
    finally:
        progress.clear()
    return 0
