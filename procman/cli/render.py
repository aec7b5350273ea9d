"""`procman render`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from procman.agent import LAUNCHER
from procman.cli.safe_streams import echo_lines, ignore_lost_output
from procman.cli.selection import Selection
from procman.deploy import render as command
from procman.lookup import trust_templates
from procman.project import RenderedFile


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write the files below DIR, as if it were /."
)
@click.option(
    "--templates",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Templates of your own, in front of procman's.",
)
@click.pass_obj
def render(selection: Selection, output: Path | None, templates: Path | None) -> None:
    """Show every file that procman would write.

    Nothing on the host is looked at or changed: the files depend on procman.toml and the templates alone.
    """
    if templates:
        trust_templates(templates.absolute(), os.environ)
    rendering = command.render(selection.configured(), templates)
    if output:
        ignore_lost_output()
        echo_lines(command.write_below(rendering, output))
        return
    for file in rendering.files:
        click.echo(_headline(file))
        # The same for every project, and long.
        click.echo(
            "(the launcher, as procman ships it; --output writes it too)\n"
            if file.path.name == LAUNCHER
            else file.content
        )


def _headline(file: RenderedFile) -> str:
    owner = f" {file.owner}:{file.group}" if file.owner else ""
    return f"==> {file.path} ({file.mode:04o}{owner})"
