"""Define `procman check`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from procman.cli import options
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.errors import ConfigurationError, ProcmanError
from procman.output import check as output
from procman.output.terminal import Progress

if TYPE_CHECKING:
    from procman.project import Project


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--lint", is_flag=True, help="Check FILEs that procman does not manage.")
@click.option("-v", "--verbose", is_flag=True, help="Show results that are OK, and accepted warnings, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain check`.")
@options.seconds("--timeout", kind=options.Seconds(1), default=30, explanation="Time limit for the app to answer.")
@click.option(
    "--set-aside-schedule",
    "set_aside",
    is_flag=True,
    help="Rename a schedule file that beat cannot read; nothing is deleted.",
)
@options.replaced("Check an install with the same --replace FILE.")
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
    """Check that the programs will run, without starting them.

    Runs the project's own Python as the user of the programs, with their environment and working directory, and checks
    the interpreter, Celery, the app, the broker, the result backend, the options of each program, beat's schedule,
    paths, disk space, memory, open files and stop timeouts. In system scope, run it as root or as the user of the
    programs. `procman install` runs the same checks first. `procman explain CODE` explains a result.

    With --lint, checks FILEs that procman does not manage instead, and needs no procman.toml: supervisord's files with
    those that they include, units with their drop-ins, compose files, Dockerfiles, Kubernetes manifests, and
    directories of them. A warning that `accept` in [project]
    names is only counted, as is a finding that a comment in the file ignores.

    Exit status: 0 no result is CRITICAL; 1 at least one is; 2 wrong usage or configuration, or --lint recognised no
    Celery program.

    \b
    Examples:
      # Check before an install
      procman check
      # Find the lines of existing files that lose tasks
      procman check --lint /etc/supervisor/conf.d
    """
    if lint != bool(files):
        raise click.UsageError("--lint needs at least one FILE." if lint else "FILE needs --lint.")
    if lint:
        return _lint(selection, files, verbose=verbose, as_json=as_json)
    from procman.preflight import check as command

    project = selection.configured(standard_input=True)
    with Progress() as progress:
        progress(f"loading {project.app} as {project.user or 'you'}")
        results = command.check(project, timeout=timeout, set_aside=set_aside, replaced=replaced, is_planned=True)
    is_blocked = bool(command.blocking(results))
    echo_lines([output.as_json(results, project=project.name)] if as_json else output.as_text(results, verbose=verbose))
    if not as_json and not is_blocked and project.configuration_text is None:
        click.echo(_next_step(project, selection.command_line), err=True)
    return int(is_blocked)


def _next_step(project: Project, procman: str) -> str:
    """Return what to type next; an install would reverse an uninstall that was interrupted."""
    from procman.install.safe_fs.tree import Tree
    from procman.install.state.generations import read_pending

    pending = None
    with suppress(ProcmanError), Tree() as tree:
        pending = read_pending(tree, project.directories.state)
    if pending and pending.uninstall:
        both = f"{procman} uninstall completes it; {procman} install brings everything back"
        return f"next   an uninstall of {project.name} was interrupted: {both}"
    return f"next   {procman} install --dry-run, then {procman} install"


def _lint(selection: Selection, files: tuple[Path, ...], *, verbose: bool, as_json: bool) -> int:
    from procman.lint.inputs import NotAllRead
    from procman.lint.lint import lint

    unread: NotAllRead | None = None
    try:
        report = lint(files, _accept(selection), os.environ)
    except NotAllRead as error:
        unread, report = error, error.report
    if report.files or not unread:
        echo_lines([output.lint_as_json(report)] if as_json else output.lint_as_text(report, verbose=verbose))
    if unread:
        raise unread
    if not report.programs and not report.is_blocking:
        named = ", ".join(map(str, files))
        hint = "Name the files that start workers or beat, and check that their start scripts can be read."
        if any(file.is_dir() for file in files):
            hint = f"{hint} The subdirectories of a directory are not read."
        raise ConfigurationError([f"no Celery program recognised in {named}"], hint=hint)
    return int(report.is_blocking)


def _accept(selection: Selection) -> tuple[str, ...]:
    """Return the codes that procman.toml accepts; a lint needs none, so only one that is named must be valid."""
    try:
        return selection.configured(standard_input=True).accept
    except ProcmanError:
        if selection.configuration or selection.project:
            raise
        return ()
