"""`procman diff`."""

from __future__ import annotations

from pathlib import Path

import click

from procman.cli.selection import Selection
from procman.commands.install import preview
from procman.output import plan as output


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit with status 1 if an install would change something.")
@click.option(
    "--replace", "replaced", type=click.Path(path_type=Path), multiple=True, metavar="FILE", help="As in install."
)
@click.pass_obj
def diff(selection: Selection, exit_code: bool, replaced: tuple[Path, ...]) -> int:
    """Show what an install would change.

    The difference between the files on disk and those that procman.toml asks for; nothing is changed.
    """
    plan = preview(selection.configured(), replaced)
    for line in output.as_difference(plan):
        click.echo(line)
    if plan.nothing_to_do:
        click.echo("nothing to change", err=True)
    return int(exit_code and not plan.nothing_to_do)
