"""`procman diff`."""

from __future__ import annotations

from pathlib import Path

import click

from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy.install import preview, preview_generation
from procman.output import plan as output


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit with status 1 if something would change.")
@click.option(
    "--generation",
    "number",
    type=click.IntRange(min=1),
    metavar="N",
    help="What `procman rollback N` would change, instead of an install.",
)
@click.option(
    "--replace", "replaced", type=click.Path(path_type=Path), multiple=True, metavar="FILE", help="As in install."
)
@click.pass_obj
def diff(selection: Selection, exit_code: bool, number: int | None, replaced: tuple[Path, ...]) -> int:
    """Show what an install would change.

    The difference between the files on disk and those that procman.toml asks for, or an earlier generation; nothing is
    changed.
    """
    if number is not None and replaced:
        raise click.UsageError("--generation and --replace exclude each other: a roll-back takes nothing over.")
    if number is None:
        plan = preview(selection.configured(), replaced)
    else:
        plan = preview_generation(selection.installed(formerly=True), number)
    echo_lines(output.as_difference(plan))
    if plan.nothing_to_do:
        click.echo("nothing to change", err=True)
    return int(exit_code and not plan.nothing_to_do)
