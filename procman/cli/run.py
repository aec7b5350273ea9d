"""`procman run`."""

from __future__ import annotations

import click

from procman.cli.selection import Selection
from procman.deploy import run as command


@click.command()
@click.argument("name")
@click.pass_obj
def run(selection: Selection, name: str) -> None:
    """Run one program in the foreground, just as the process manager would.

    NAME is the installed name or its key (catmaid-celery or celery). Where it runs already, this one waits until that
    has ended. Ctrl-C stops it warm; its exit status is that of procman.
    """
    command.run(selection.configured(), name)
