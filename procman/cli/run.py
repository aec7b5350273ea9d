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
    project = selection.configured()
    if pid := command.running_process(project, name):
        stop = f"{selection.command_line} stop {name}"
        click.echo(f"note: {name} is running as process {pid}, and this one waits for it to end: {stop}", err=True)
    command.run(project, name)
