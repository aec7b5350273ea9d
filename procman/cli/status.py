"""`procman status`."""

from __future__ import annotations

import click

from procman.cli.selection import Selection
from procman.monitoring import status as command
from procman.output import status as output


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document (`procman explain status`).")
@click.pass_obj
def status(selection: Selection, names: tuple[str, ...], as_json: bool) -> int:
    """Show state, health, memory and restarts of each program.

    Exit status: 0 all that should run is running; 3 something is not; 4 it cannot be told.
    """
    found = command.status(selection.installed(), names)
    if as_json:
        click.echo(output.as_json(found))
    else:
        # At once: with hundreds of lines a write for each takes longer than asking supervisord.
        click.echo("\n".join(output.as_text(found)))
    return found.exit_status
