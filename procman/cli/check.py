"""`procman check`."""

from __future__ import annotations

from pathlib import Path

import click

from procman.cli.options import Seconds
from procman.cli.selection import Selection
from procman.output import check as output
from procman.output.terminal import Progress


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--lint", is_flag=True, help="Judge FILEs of supervisord or systemd that other people wrote.")
@click.option("-v", "--verbose", is_flag=True, help="Show also what is in order.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; docs/check.md describes it.")
@click.option(
    "--timeout",
    type=Seconds(1),
    metavar="SECONDS",
    default=30,
    show_default=True,
    help="How long the app may take to answer.",
)
@click.option(
    "--set-aside-schedule",
    "set_aside",
    is_flag=True,
    help="Rename a schedule that beat cannot read; nothing is deleted.",
)
@click.option(
    "--replace", "replaced", type=click.Path(path_type=Path), multiple=True, metavar="FILE", help="As in install."
)
@click.pass_obj
def check(
    selection: Selection,
    files: tuple[Path, ...],
    lint: bool,
    verbose: bool,
    as_json: bool,
    timeout: float,
    set_aside: bool,
    replaced: tuple[Path, ...],
) -> int:
    """Prove that what an install would start will run.

    Each program's launch is tried out as its user, in exactly its environment, without starting it: Python, Celery, the
    app, its broker, options, schedule, paths, space and stop times. With --lint it is FILEs of other people that are
    judged, and no procman.toml is needed. Exit status: 1 if anything is CRITICAL.
    """
    if lint != bool(files):
        raise click.UsageError("--lint takes files to judge." if lint else "FILEs are for --lint.")
    if lint:
        return _lint(files, as_json=as_json)
    from procman.preflight import check as command

    project = selection.configured()
    progress = Progress()
    progress(f"asking {project.app} as {project.user or 'you'}")
    try:
        results = command.check(project, timeout=timeout, set_aside=set_aside, replaced=replaced)
    finally:
        progress.clear()
    if as_json:
        click.echo(output.as_json(results, project=project.name))
    else:
        for line in output.as_text(results, verbose=verbose):
            click.echo(line)
        if not command.blocking(results):
            click.echo("next   procman diff, then procman install", err=True)
    return int(bool(command.blocking(results)))


def _lint(files: tuple[Path, ...], *, as_json: bool) -> int:
    from procman.lint import lint as command

    found = command.lint(files)
    if as_json:
        click.echo(output.findings_as_json(found))
    else:
        for line in output.findings_as_text(found):
            click.echo(line)
    return int(bool(command.blocking(found)))
