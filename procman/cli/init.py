"""Define `procman init`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from procman.cli.selection import Selection
from procman.errors import ProcmanError
from procman.init import init as command
from procman.init.environment_file import path_beside, write_secrets
from procman.model import Scope
from procman.output.terminal import printable


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option(
    "--name", help="Name of the project, the prefix of every program and file.  [default: the name of the directory]"
)
@click.option("--app", help="The Celery app, as in `celery -A APP`.")
@click.option("--user", help="User that the programs run as; the app is loaded as this user, too.")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    help="Install for the whole host (system, as root) or for your account only (user).",
)
@click.option(
    "--from",
    "from_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Import the Celery programs of FILE, a file of supervisord, and of the start scripts it names.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=command.FILE,
    show_default=True,
    help="File to write; - writes to standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
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
    """Inspect a Django project and write its procman.toml.

    Searches DIRECTORY and below for the virtualenv, the settings and the Celery app; loads the app to find its broker,
    queues and schedule; and searches the host for supervisord and the units of the services that the app uses. Lists
    the values that you must fill in because it cannot find them. DIRECTORY is the working directory if it is not given.
    Secrets of an imported file are written to an environment file beside procman.toml, with mode 0600. An existing
    procman.toml is kept unless --force is given, an existing environment file always.

    \b
    Examples:
      # Write procman.toml for a project
      procman init /srv/catmaid
      # Import existing supervisord programs
      procman init --from /etc/supervisor/conf.d/celery.conf
    """
    secrets_file = None if str(output) == "-" else path_beside(output)
    report = command.init(
        directory,
        name=name,
        app=app,
        user=user,
        scope=Scope(scope) if scope else None,
        from_file=from_file,
        secrets_file=secrets_file,
        environment=dict(os.environ),
    )
    for line in _findings(report):
        click.echo(line, err=True)
    if secrets_file is None:
        click.echo(report.text, nl=False)
        return
    distrusted = command.write(report.text, output, force=force, environment=os.environ)
    for line in _next_steps(report, output, distrusted, tuple(_written_secrets(report, secrets_file))):
        click.echo(line, err=True)


def _written_secrets(report: command.InitReport, path: Path) -> Iterator[str]:
    """Write the environment file, if there are secrets, and yield what to print about it."""
    if not report.secrets:
        return
    try:
        write_secrets(report.secrets, path)
        yield f"wrote {path}, which only you can read, with {', '.join(report.secrets)}"
        if report.scope is Scope.SYSTEM:
            yield "  under supervisord its programs have to read it too: `procman check` prints the command for that"
    except ProcmanError as error:
        yield from (f"note: {error.message}", f"  {error.hint}")


def _findings(report: command.InitReport) -> Iterator[str]:
    width = max((len(found.what) for found in report.findings), default=0)
    for found in report.findings:
        note = f"   ({printable(found.note)})" if found.note else ""
        yield f"{printable(found.what):{width}}  {printable(found.value)}{note}"
    yield from (f"note: {printable(warning)}" for warning in report.warnings)
    yield from (f"fill in {printable(what)}" for what in report.fill_in)


def _next_steps(
    report: command.InitReport, output: Path, distrusted: tuple[str, ...], secrets: tuple[str, ...] = ()
) -> Iterator[str]:
    yield from (f"note: {printable(problem)}" for problem in distrusted)
    yield f"wrote {output}"
    yield from map(printable, secrets)
    yield ""
    if report.fill_in:
        count = len(report.fill_in)
        yield f"Fill in the {f'{count} keys' if count > 1 else 'key'} named above in {output}, then type:"
    else:
        yield "Next, type:"
    is_found = output.absolute() == Path.cwd() / command.FILE
    sudo = "sudo " if report.scope is Scope.SYSTEM and os.geteuid() != 0 else ""
    procman = sudo + Selection(None if is_found else output, None).command_line
    adopt = f" --replace {shlex.quote(str(report.adopts))}" if report.adopts else ""
    yield f"  {procman} check"
    yield f"  {procman} install{adopt} --wait 60"
