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
@click.option("--draining", is_flag=True, help="Stop only the earlier processes that an overlap restart has left.")
@click.pass_obj
def stop(selection: Selection, names: tuple[str, ...], draining: bool) -> None:
    """Stop programs gracefully: running tasks finish first.

    Without NAME, stops all programs, beat first. Waits until they have ended. A program that is still running at its
    stop timeout (`stop_timeout_seconds`) is killed; the tasks that it did not finish are listed with what becomes of
    them, as by `procman lost`. A stopped program stays stopped until you start it or the host boots: install, rollback
    and healing do not start it.

    The earlier processes that an overlap restart has left are stopped too, and listed first, even if they have outlived
    their keeper. With --draining, only those are stopped, and the workers keep running.

    \b
    Examples:
      # Before maintenance of the broker
      procman stop
      # One program
      procman stop celery
    """
    ignore_lost_output()
    with Progress() as progress:
        if draining:
            ended = start_stop.end_of_drain(selection.installed(acts=True), names, progress)
        else:
            installed = selection.installed(acts=True)
            stopped = start_stop.stop(installed, names, progress, lambda text: click.echo(text, err=True))
    if draining:
        for program, number, unfinished in ended:
            done = f"stopped {start_stop.earlier(number)}" if number else "it had no earlier process"
            echo_lines([f"{program.name}: {done}", *unfinished_lines(unfinished)])
        return
    for program, unfinished in stopped:
        echo_lines([f"{program.name}: stopped", *unfinished_lines(unfinished)])
