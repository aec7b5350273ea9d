"""`procman init`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from procman.cli.selection import Selection
from procman.init import init as command
from procman.model import Scope
from procman.output.terminal import printable


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--name", help="Prefixes everything installed.  [default: as the directory is called]")
@click.option("--app", help="The Celery app, as in celery -A.")
@click.option("--user", help="The user the programs are to run as; the app is asked as that user.")
@click.option("--scope", type=click.Choice([scope.value for scope in Scope]), help="For the host, or for you alone.")
@click.option(
    "--from",
    "from_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Read the programs that supervisord runs from FILE, start scripts included.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=command.FILE,
    show_default=True,
    help="Where to write it; - for standard output.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.pass_obj
def init(
    _: Selection,
    directory: Path,
    name: str | None,
    app: str | None,
    user: str | None,
    scope: str | None,
    from_file: Path | None,
    output: Path,
    force: bool,
) -> None:
    """Find the project's parts and write procman.toml.

    Looks in DIRECTORY and below for virtualenv, settings and Celery app, asks the app itself for broker, queues and
    schedule, and looks at the host for supervisord and the broker's unit. What it cannot tell it leaves to
    you, and says so.
    """
    report = command.init(
        directory,
        name=name,
        app=app,
        user=user,
        scope=Scope(scope) if scope else None,
        from_file=from_file,
        environment=dict(os.environ),
    )
    width = max((len(found.what) for found in report.findings), default=0)
    for found in report.findings:
        note = f"   ({printable(found.note)})" if found.note else ""
        click.echo(f"found  {printable(found.what):{width}}  {printable(found.value)}{note}", err=True)
    for warning in report.warnings:
        click.echo(f"note   {printable(warning)}", err=True)
    if str(output) == "-":
        click.echo(report.text, nl=False)
    else:
        for why in command.write(report.text, output, force=force, environment=os.environ):
            click.echo(f"note   {printable(why)}", err=True)
        click.echo(f"wrote  {output}", err=True)
    for what in report.fill_in:
        click.echo(f"fill in  {printable(what)}", err=True)
    if not report.fill_in and str(output) != "-":
        click.echo("next   procman check, then procman install", err=True)
