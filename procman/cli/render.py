"""Define `procman render`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from procman.agent import LAUNCHER
from procman.cli.safe_streams import echo_lines, ignore_lost_output
from procman.cli.selection import Selection
from procman.config.trust_project import require_trusted_templates
from procman.deploy import render as command
from procman.project import RenderedFile


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write the files below DIR instead of printing."
)
@click.option(
    "--templates",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Use the templates in DIR before procman's own.",
)
@click.pass_obj
def render(selection: Selection, output: Path | None, templates: Path | None) -> None:
    """Print every file that an install would write.

    Reads only procman.toml and the templates, and changes nothing on the host. In user scope, the paths are those of
    your home directory. --output DIR treats DIR as the root directory: DIR/etc/..., DIR/usr/...

    \b
    Examples:
      # Print the files
      procman render
      # Write them below a directory
      procman render --output build/root
      # Render a procman.toml from standard input
      procman render --config -
    """
    if templates:
        require_trusted_templates(templates.absolute(), os.environ)
    rendering = command.render(selection.configured(standard_input=True), templates)
    if output:
        ignore_lost_output()
        echo_lines(command.write_below(rendering, output))
        return
    for file in rendering.files:
        click.echo(_headline(file))
        # The launcher is long, and the same for every project.
        click.echo(
            "(the launcher of this procman; --output writes it, too)\n" if file.path.name == LAUNCHER else file.content
        )


def _headline(file: RenderedFile) -> str:
    owner = f" {file.owner}:{file.group}" if file.owner else ""
    return f"==> {file.path} ({file.mode:04o}{owner})"
