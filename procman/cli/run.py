"""Define `procman run`."""

from __future__ import annotations

import click

from procman.cli import complete
from procman.cli.selection import Selection
from procman.deploy import run as command


@click.command()
@click.argument("name", shell_complete=complete.program_names)
@click.pass_obj
def run(selection: Selection, name: str) -> None:
    """Run one program in the foreground, as the process manager would.

    Uses the same command, environment, directory and user. The project must be installed. If the program is running
    already, waits until it has ended: stop it first. Ctrl-C stops the program gracefully. The exit status is that of
    the program.

    \b
    Examples:
      # Debug a worker
      procman stop celery
      procman run celery
    """
    command.run(selection.configured(), name)
