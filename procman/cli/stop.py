"""Define `procman stop`."""

from __future__ import annotations

import click

from procman.cli import complete
from procman.cli.safe_streams import echo_lines, ignore_lost_output
from procman.cli.selection import Selection
from procman.deploy import start_stop
from procman.output.terminal import Progress
from procman.output.unfinished import unfinished_lines


@click.command()
@complete.names
@click.pass_obj
def stop(selection: Selection, names: tuple[str, ...]) -> None:
    """Stop programs gracefully: running tasks finish first.

    Without NAME, stops all programs, beat first. Waits until they have ended. A program that is still running at its
    stop timeout (`stop_timeout_seconds`) is killed; the tasks that it did not finish are listed with what becomes of
    them, as by `procman lost`. A stopped program stays stopped until you start it or the host boots: install, rollback
    and healing do not start it.

    \b
    Examples:
      # Before maintenance of the broker
      procman stop
      # One program
      procman stop celery
    """
    ignore_lost_output()
    with Progress() as progress:
        stopped = start_stop.stop(selection.installed(acts=True), names, progress)
    for program, unfinished in stopped:
        echo_lines([f"{program.name}: stopped", *unfinished_lines(unfinished)])
