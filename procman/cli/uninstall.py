"""Define `procman uninstall`."""

from __future__ import annotations

import click

from procman.cli import options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy import uninstall as command


@click.command()
@click.option("--purge", is_flag=True, help="Remove logs, generations and backed-up files, too.")
@options.lock_wait
@click.pass_obj
def uninstall(selection: Selection, purge: bool, lock_seconds: float) -> None:
    """Stop the programs and remove the installed files.

    Running tasks finish first. Logs, generations, backed-up files and beat's schedule are kept and listed; --purge
    removes all of them except the schedule, and logs outside procman's directories, which procman never deletes.
    Existing programs that an install adopted are restored, and started if they ran before; but not a file that was
    changed again since.

    \b
    Examples:
      # Remove a project, and keep its logs
      procman uninstall
      # Remove what was kept as well
      procman uninstall --purge
    """
    installed = selection.installed(formerly=purge, acts=True, partly=True)
    with rollout_options(lock_seconds=lock_seconds, completed_by="The same command") as rollout:
        remains = command.uninstall(installed, purge=purge, options=rollout)
    click.echo(f"{installed.manifest.project}: uninstalled")
    echo_lines(f"restored  {path}" for path in remains.restored)
    # A directory stays because of its contents, which are in the list.
    stays = [path for path in remains.stays if not any(path in other.parents for other in remains.stays)]
    echo_lines(f"kept      {path}" for path in stays)
