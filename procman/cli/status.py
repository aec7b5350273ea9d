"""Define `procman status`."""

from __future__ import annotations

import click

from procman.cli import complete
from procman.cli.selection import Selection
from procman.monitoring import status as command
from procman.output import status as output


@click.command()
@complete.names
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain status`.")
@click.pass_obj
def status(selection: Selection, names: tuple[str, ...], as_json: bool) -> int:
    """Show the state, health, memory and restarts of each program.

    Also shows which programs are held or need a restart, and whether the installed files are those of procman.toml.

    Exit status: 0 every program that should run is running; 3 one is not running; 4 the state of one is unknown.

    \b
    Examples:
      # All programs of the project
      procman status
      # One program, for a script
      procman status --json celery
    """
    found = command.status(selection.installed(), names)
    if as_json:
        click.echo(output.as_json(found))
    else:
        # In one write: hundreds of writes take longer than the answer of supervisord.
        click.echo("\n".join(output.as_text(found)))
    return found.exit_status
