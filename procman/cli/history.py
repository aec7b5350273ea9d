"""Define `procman history`."""

from __future__ import annotations

import click

from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy.history import history as command
from procman.output import history as output


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain install`.")
@click.pass_obj
def history(selection: Selection, as_json: bool) -> None:
    """List the generations that a rollback can restore.

    A generation is one installed set of files. The list shows when each was installed, by whom and why (`install
    --message`), and what it changed, oldest first; * marks the current one. `procman diff --generation N` shows what
    `procman rollback N` would change.

    \b
    Examples:
      # Find the number for `procman rollback`
      procman history
    """
    entries = command(selection.installed(formerly=True))
    echo_lines([output.as_json(entries)] if as_json else output.as_text(entries))
