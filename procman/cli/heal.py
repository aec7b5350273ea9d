"""Define `procman heal`."""

from __future__ import annotations

from pathlib import Path

import click

from procman.cli import heal_listener
from procman.cli.safe_streams import ignore_lost_output
from procman.cli.selection import Selection
from procman.monitoring.watch_loop import heal_once
from procman.output.events import as_line


@click.command()
@click.option("--listen", is_flag=True, help="Run until supervisord ends, as its event listener.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Use the project that keeps its state in DIR; the installed timer and event listener pass it.",
)
@click.pass_obj
def heal(selection: Selection, listen: bool, state: Path | None) -> None:
    """Check the programs once and restart those that stay unhealthy.

    A systemd timer or, with --listen, supervisord runs this command; you rarely need to. A program is restarted only
    after several checks in a row have failed (`failures` in [health]), and never while it is held or stopped. Prints
    the same events as `procman events`.

    \b
    Examples:
      # Do one check by hand and print what it does
      procman heal
    """
    ignore_lost_output()
    place = state or selection.installed(acts=True).manifest.directories.state
    if listen:
        heal_listener.listen(place)
    else:
        heal_once(place, lambda event: click.echo(as_line(event)), heal_listener.warn)
