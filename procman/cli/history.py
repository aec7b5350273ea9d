"""`procman history`."""

from __future__ import annotations

import click

from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy.history import history as command
from procman.output import history as output


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document (`procman explain install`).")
@click.pass_obj
def history(selection: Selection, as_json: bool) -> None:
    """Show the generations that can be brought back.

    Each with when it was made and what it changed; the current one is marked. `procman rollback N` brings one back,
    `procman diff --generation N` shows what that would change.
    """
    entries = command(selection.installed(formerly=True))
    echo_lines([output.as_json(entries)] if as_json else output.as_text(entries))
