"""Define `procman diff`."""

from __future__ import annotations

from pathlib import Path

import click

from procman.cli import complete, options
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy.install import preview, preview_generation
from procman.output import plan as output


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit with status 1 if something would change.")
@click.option(
    "--generation",
    "number",
    type=options.Count(1),
    metavar="N",
    shell_complete=complete.generations,
    help="Show what `procman rollback N` would change, instead of an install.",
)
@options.replaced("Show what an install with the same --replace FILE would change.")
@click.pass_obj
def diff(selection: Selection, exit_code: bool, number: int | None, replaced: tuple[Path, ...]) -> int:
    """Show what an install would change.

    Compares the files on disk with those that procman.toml describes, or with an earlier generation, and prints a
    unified diff. Changes nothing.

    \b
    Examples:
      # Exit with status 1 if an install would change a file
      procman diff --exit-code
      # Show what a rollback would change
      procman diff --generation 3
    """
    if number is not None and replaced:
        raise click.UsageError("--generation and --replace cannot be used together: a rollback adopts no programs.")
    if number is None:
        plan = preview(selection.configured(), replaced)
    else:
        plan = preview_generation(selection.installed(formerly=True), number)
    echo_lines(output.as_difference(plan))
    if plan.nothing_to_do:
        click.echo("nothing to change", err=True)
    return int(exit_code and not plan.nothing_to_do)
