"""`procman check`."""

from __future__ import annotations

from pathlib import Path

import click

from procman.cli.options import Seconds, seconds
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.output import check as output
from procman.output.terminal import Progress


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--lint", is_flag=True, help="Judge FILEs of supervisord or systemd that other people wrote.")
@click.option("-v", "--verbose", is_flag=True, help="Show also what is in order.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document (`procman explain check`).")
@seconds("--timeout", kind=Seconds(1), default=30, explanation="How long the app may take to answer.")
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
    with Progress() as progress:
        progress(f"asking {project.app} as {project.user or 'you'}")
        results = command.check(project, timeout=timeout, set_aside=set_aside, replaced=replaced)
    is_blocked = bool(command.blocking(results))
    echo_lines([output.as_json(results, project=project.name)] if as_json else output.as_text(results, verbose=verbose))
    if not as_json and not is_blocked:
        click.echo("next   procman diff, then procman install", err=True)
    return int(is_blocked)


def _lint(files: tuple[Path, ...], *, as_json: bool) -> int:
    from procman.lint import lint as command

    found = command.lint(files)
    echo_lines([output.findings_as_json(found)] if as_json else output.findings_as_text(found))
    return int(bool(command.blocking(found)))
