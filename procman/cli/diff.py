"""Define `procman diff`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from procman.cli import complete, options
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy.preview import preview, preview_generation
from procman.output import preview as output
from procman.output.plan import as_difference


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show the text that changes in each file, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain install`.")
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
def diff(
    selection: Selection,
    verbose: bool,
    as_json: bool,
    exit_code: bool,
    number: int | None,
    replaced: tuple[Path, ...],
) -> int:
    """Show what an install would change.

    Compares procman.toml and its files, or those of an earlier generation, with what is installed. Prints which keys
    differ, which programs are added, removed or restarted, and how many files change; with -v also a unified diff of
    the files, without procman's own launcher. Changes nothing.

    \b
    Examples:
      # Exit with status 1 if an install would change a file
      procman diff --exit-code
      # Show the text that changes in each file
      procman diff -v
      # Show what a rollback would change
      procman diff --generation 3
    """
    if number is not None and replaced:
        raise click.UsageError("--generation and --replace cannot be used together: a rollback adopts no programs.")
    if number is None:
        found = preview(selection.configured(standard_input=True), replaced)
    else:
        found = preview_generation(selection.installed(formerly=True), number)
    echo_lines([output.as_json(found)] if as_json else output.as_summary(found, sys.stdout))
    if verbose and not as_json and not found.plan.nothing_to_do:
        echo_lines(as_difference(found.plan, found.own, sys.stdout))
    echo_lines([f"cannot be done now: {obstacle}" for obstacle in found.obstacles], err=True)
    if found.plan.nothing_to_do and not as_json:
        click.echo("nothing to change", err=True)
    return int(exit_code and not found.plan.nothing_to_do)
