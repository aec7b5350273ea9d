"""`procman install`."""

from __future__ import annotations

from pathlib import Path

import click

from procman.cli.selection import Selection
from procman.commands import install as command
from procman.commands.controller import controller_of
from procman.commands.warnings import warnings
from procman.model import InstalledProgram
from procman.output import plan as output
from procman.output.terminal import Progress


@click.command()
@click.option("-n", "--dry-run", is_flag=True, help="Only list files, owners, modes and orders.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Until all are healthy, each at most SECONDS from its start.",
)
@click.option(
    "--replace",
    "replaced",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Take over the sections of the same programs in FILE, which is somebody else's; it is set aside first.",
)
@click.pass_obj
def install(selection: Selection, dry_run: bool, wait_seconds: float | None, replaced: tuple[Path, ...]) -> int:
    """Put the files in place and have the programs running.

    Only what changed is written, and only programs whose files changed are restarted: warm, so that running tasks are
    finished. A second install changes nothing; one that was interrupted is completed by the next.
    """
    project = selection.configured()
    for warning in warnings(project):
        click.echo(f"note: {warning}", err=True)
    if dry_run:
        plan = command.preview(project, replaced)
        for line in output.as_list(plan):
            click.echo(line)
        click.echo("nothing to do" if plan.nothing_to_do else "Nothing was done.", err=True)
        return 0
    progress = Progress()

    def told(program: InstalledProgram, what: str) -> None:
        progress.clear()
        click.echo(f"{program.name}: {what}")

    try:
        report = command.install(project, replaced=replaced, wait_seconds=wait_seconds, progress=progress, told=told)
    finally:
        progress.clear()
    return _summary(report, wait_seconds)


def _summary(report: command.Report, wait_seconds: float | None) -> int:
    manifest = report.plan.generation.manifest
    if report.plan.nothing_to_do:
        click.echo(f"{manifest.project}: nothing changed (generation {report.plan.generation.number})")
    else:
        click.echo(f"{manifest.project}: {output.as_sum(report.plan)} (generation {report.plan.generation.number})")
    for each in report.unhealthy:
        click.echo(
            f"{each.program.name}: not healthy {wait_seconds:g} s after its start: {each.result.detail}", err=True
        )
        click.echo(f"  procman logs {each.program.name}", err=True)
    if report.unhealthy:
        return 1
    if wait_seconds is not None:
        click.echo("all healthy")
    if not report.plan.nothing_to_do:
        controller = controller_of(manifest)
        click.echo(f"restart   {controller.command_line(manifest.programs[0])}")
        click.echo("look      procman status")
        click.echo("undo      procman uninstall")
    return 0
