"""Define `procman export`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from procman.agent import BESIDE_LAUNCHER, LAUNCHER
from procman.cli.safe_streams import echo_lines, ignore_lost_output
from procman.cli.selection import Selection
from procman.export import TARGETS, target_named
from procman.output.terminal import printable
from procman.project import RenderedFile

AGENT = {*BESIDE_LAUNCHER, LAUNCHER}

CONFIG_MAP = re.compile(r"-agent-[0-9]+-[0-9a-f]{10}\.yaml$")
"""With these files, for Kubernetes; a worker may be called my-agent-x."""


@click.command()
@click.argument("target", type=click.Choice(TARGETS), metavar="TARGET")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the files to DIR instead of printing; replace those of an earlier export there.",
)
@click.pass_obj
def export(selection: Selection, target: str, output: Path | None) -> None:
    """Print the files for Compose, a Dockerfile or Kubernetes.

    TARGET is compose, dockerfile (the lines that put the launcher into an image) or kubernetes (a Kustomize base).
    The programs are started, probed and stopped there as on a host. The image is yours; directory and virtualenv in
    procman.toml are paths in it. Reads only procman.toml and the templates, and writes no secret. A setting that the
    engine cannot follow is refused with the reason. See `procman explain fleet`.

    With --output, an earlier export of the project in DIR is replaced, and what it no longer has is removed. A file
    that you changed, or that procman did not write, is never replaced: nothing is written then. Other files in DIR,
    such as compose.override.yaml, are left alone.

    \b
    Examples:
      # Print a compose file
      procman export compose
      # Write a base for kubectl apply -k
      procman export kubernetes --output deploy/base
    """
    found = target_named(target)
    project = selection.configured(standard_input=True, target=found)
    rendering = found.render(project)
    for note in found.notes(project):
        click.echo(printable(f"procman: {note}"), err=True)
    if output:
        from procman.deploy.export import Export, write_export

        ignore_lost_output()
        echo_lines(write_export(Export(project.name, target, rendering), output))
        return
    for file in rendering.files:
        if not _is_of_agent(file):
            click.echo(f"==> {file.path.relative_to('/')} ({file.mode:04o})")
            click.echo(file.content)
    for place in dict.fromkeys(_place(file) for file in rendering.files if _is_of_agent(file)):
        click.echo(f"==> {place}\n(the launcher and the files beside it; --output writes them, too)\n")


def _is_of_agent(file: RenderedFile) -> bool:
    # They are long, and the same for every project.
    return file.path.name in AGENT or CONFIG_MAP.search(file.path.name) is not None


def _place(file: RenderedFile) -> str:
    inside = file.path.relative_to("/")
    return f"{inside.parent}/" if inside.parent.name else str(inside)
