"""Define `procman start`."""

from __future__ import annotations

import click

from procman.cli import complete
from procman.cli.rollout_reporter import announcer
from procman.cli.safe_streams import echo_lines, ignore_lost_output
from procman.cli.selection import Selection
from procman.deploy import start_stop
from procman.output.terminal import Progress


@click.command()
@complete.names
@click.pass_obj
def start(selection: Selection, names: tuple[str, ...]) -> None:
    """Start programs.

    Without NAME, starts all programs, workers before beat. If procman's own supervisord is not running, it is started,
    and with it the programs of all its projects; those that were stopped on purpose stay stopped. Returns once the
    programs are started, which is before they are healthy: check with `procman status`.

    \b
    Examples:
      # Start one program
      procman start celery
    """
    ignore_lost_output()
    with Progress() as progress:
        done = start_stop.start(selection.installed(acts=True), names, progress, announcer(progress))
    echo_lines(f"{program.name}: {what}" for program, what in done)
