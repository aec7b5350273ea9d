"""`procman heal`."""

from __future__ import annotations

from pathlib import Path

import click

from procman.cli import heal_listener
from procman.cli.safe_streams import ignore_lost_output
from procman.cli.selection import Selection
from procman.monitoring.watch_loop import heal_once
from procman.output.events import as_line


@click.command()
@click.option("--listen", is_flag=True, help="Go on looking, as an event listener of supervisord.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The project whose state is in DIR, as its timer or listener says it.",
)
@click.pass_obj
def heal(selection: Selection, listen: bool, state: Path | None) -> None:
    """Look at the programs once, and restart what has been found unsound often enough.

    Mostly run by systemd's timer or, with --listen, by supervisord. Tells what it does, as `procman events` does later.
    """
    ignore_lost_output()
    place = state or selection.installed().manifest.directories.state
    if listen:
        heal_listener.listen(place)
    else:
        heal_once(place, lambda event: click.echo(as_line(event)), heal_listener.warn)
