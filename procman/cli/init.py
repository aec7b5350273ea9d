"""Define `procman init`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from procman.backends import backend_named
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.config.find_file import working_directory
from procman.errors import ConfigurationError, ProcmanError
from procman.init import init as command
from procman.init.environment_file import path_beside, write_secrets
from procman.init.write_file import FILE, require_free, write
from procman.model import Scope
from procman.output.init_report import report_lines
from procman.output.terminal import printable, width_of, wrapped


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option(
    "--name",
    help="Name of the project, the prefix of every program and file.  [default: the words that the names of all "
    "imported programs begin with, or the name of the directory]",
)
@click.option("--app", help="The Celery app, as in `celery -A APP`.")
@click.option("--user", help="User that the programs run as; the app is loaded as this user, too.")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    help="Install for the whole host (system, as root) or for your account only (user).  [default: system as root, "
    "with --user, and with --from, unless it names your own Procfile or user units; otherwise user]",
)
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="PATH",
    help="Import the Celery programs of PATH: files of supervisord, units of systemd (also by name), celery multi and "
    "init.d scripts with their defaults, a Procfile, a compose file, a shell script that starts Celery, a directory, "
    "or a glob of these. Can be given several times.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write; - writes to standard output.  [default: as root, for the host, "
    "/etc/procman/NAME/procman.toml, unless the working directory has a procman.toml; otherwise procman.toml]",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@click.option(
    "--compare",
    "compares",
    is_flag=True,
    help="Write nothing, but compare the programs of --from with those of FILE if it exists, or else, and with "
    "--force, with those that init would write.",
)
@click.option("-v", "--verbose", is_flag=True, help="With --compare: show the values that are equal, too.")
@click.option("--json", "as_json", is_flag=True, help="With --compare: print a JSON document.")
@click.pass_obj
def init(
    selection: Selection,
    directory: Path,
    name: str | None,
    app: str | None,
    user: str | None,
    scope: str | None,
    sources: tuple[str, ...],
    output: Path | None,
    force: bool,
    compares: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Inspect a project and write its procman.toml.

    Searches DIRECTORY and below for the virtualenv, the Celery app and the settings; loads the app to find its
    broker, queues and schedule; and searches the host for supervisord and the units of the services that the app
    uses. Lists the values that you must fill in because it cannot find them. DIRECTORY is the working directory if
    it is not given. Secrets of imported programs are written to an environment file beside procman.toml, with mode
    0600. Programs with different apps, settings, virtualenvs, users or directories become several projects:
    procman.toml, and procman-NAME.toml beside it, or as root each in its own directory in /etc/procman. An existing
    procman.toml is kept unless --force is given, an existing environment file always.

    --compare shows every value in which a program changes: the options of Celery, the variables, user, group,
    directory, umask and nice, and how it is stopped and started again. Each difference has its reason, or is marked.
    Where an existing program runs, its process is compared, too. No secret is shown.

    Exit status: 0 done, and with --compare, every difference has a known reason; 1 failed, or a difference has none; 2
    wrong usage.

    \b
    Examples:
      # Write procman.toml for a project
      procman init /srv/catmaid
      # Import existing supervisord programs
      procman init --from /etc/supervisor/conf.d/celery.conf
      # Import units of systemd
      procman init --from celery.service --from beat.service
      # Compare it with the procman.toml that was made from it
      procman init --from celery.service --compare
    """
    if compares and not sources:
        raise click.UsageError("--compare needs at least one --from PATH.")
    if (verbose or as_json) and not compares:
        raise click.UsageError(f"{'--json' if as_json else '--verbose'} needs --compare.")
    output = _existing(selection.configuration, output) if compares and selection.configuration else output
    report = command.init(
        directory,
        name=name,
        app=app,
        user=user,
        scope=Scope(scope) if scope else None,
        sources=sources,
        output=None if str(output) == "-" else output,
        in_default_place=output is None,
        environment=dict(os.environ),
    )
    if compares:
        return _compare(report, force=force, verbose=verbose, as_json=as_json)
    for line in report_lines(report, width_of(sys.stderr)):
        click.echo(line, err=True)
    for line in _written(report, force=force):
        click.echo(line, err=True)
    return 0


def _existing(configuration: Path, output: Path | None) -> Path:
    """Return the procman.toml of --config, which --compare takes in place of --output, as other commands do."""
    if output is not None:
        raise click.UsageError("--config and --output cannot be used together.")
    if not configuration.is_file():
        raise ConfigurationError([f"--config {configuration}: no such file"], hint="Write it with `procman init`.")
    return configuration


def _compare(report: command.InitReport, *, force: bool, verbose: bool, as_json: bool) -> int:
    from procman.init.comparing.report import compared_projects
    from procman.output import compare as output

    found = compared_projects(report, force=force, environment=os.environ)
    echo_lines([output.as_json(found)] if as_json else output.as_text(found, verbose=verbose, stream=sys.stdout))
    return int(not all(project.is_explained for project in found))


def _written(report: command.InitReport, *, force: bool) -> Iterator[str]:
    """Write the files, and yield what to print about them."""
    paths = [project.path for project in report.projects if project.path]
    if not paths:
        if len(report.projects) > 1:
            names = ", ".join(str(project.name) for project in report.projects)
            hint = "Name a file with --output; the others are written beside it."
            raise ProcmanError(f"found {len(report.projects)} projects, which need a file each: {names}", hint=hint)
        click.echo(report.projects[0].text, nl=False)
        return
    if not force:
        require_free(paths)
    for project in report.projects:
        if project.path:
            distrusted = write(project.text, project.path, force=force, environment=os.environ)
            yield from (f"note: {printable(problem)}" for problem in distrusted)
            yield printable(f"wrote {project.path}")
            yield from map(printable, _written_secrets(project, path_beside(project.path)))
    backends = [backend_named(project.backend) for project in report.projects if project.secrets]
    if report.scope is Scope.SYSTEM and not all(each.environment_file_read_by_root for each in backends):
        yield "  under supervisord the programs have to read it too: `procman check` prints the command for that"
    yield from _next_steps(report)


def _written_secrets(project: command.NewProject, path: Path) -> Iterator[str]:
    """Write the environment file, if there are secrets, and yield what to print about it."""
    if not project.secrets:
        return
    try:
        write_secrets(project.secrets, path)
        yield f"wrote {path}, which only you can read, with {', '.join(project.secrets)}"
    except ProcmanError as error:
        yield from (f"note: {error.message}", f"  {error.hint}")


def _next_steps(report: command.InitReport) -> Iterator[str]:
    yield from _by_hand(report)
    yield ""
    count = sum(len(project.fill_in) for project in report.projects)
    if count:
        where = " and ".join(printable(str(project.path)) for project in report.projects if project.fill_in)
        yield f"Fill in the {f'{count} keys' if count > 1 else 'key'} named above in {where}, then type:"
    else:
        yield "Next, type:"
    sudo = "sudo " if report.scope is Scope.SYSTEM and os.geteuid() != 0 else ""
    for project in report.projects:
        procman = sudo + Selection(None if _is_found(project.path) else project.path, None).command_line
        yield from (f"  {procman} {each}" for each in ("check", "diff", "install --wait 60"))


def _is_found(path: Path | None) -> bool:
    from procman.lookup import is_meant_by_default

    here = working_directory(os.environ)
    # Not path.absolute(), which follows the links of the working directory.
    return path is not None and (here / path == here / FILE or is_meant_by_default(here / path, os.environ, here))


def _by_hand(report: command.InitReport) -> Iterator[str]:
    """Yield what the install does with the existing programs, and what remains to do."""
    width = width_of(sys.stderr)
    programs = [each for project in report.projects for found in project.programs.values() for each in found]
    adopted = len({each.source for each in programs if each.source})
    if adopted:
        it = "it, and then starts its successor" if adopted == 1 else "each of them before it starts its successor"
        what = f"`procman install` adopts {adopted} existing program{'s' * (adopted > 1)}: it gracefully stops {it}"
        yield from wrapped(what, width, label="note: ")
    others = [each.label if str(each.file) in each.label else f"{each.label} of {each.file}" for each in programs]
    left = list(dict.fromkeys(label for label, each in zip(others, programs, strict=True) if each.source is None))
    if left:
        what = f"procman cannot stop {', '.join(left)}: stop {'them' if len(left) > 1 else 'it'} before the install"
        yield from wrapped(what, width, label="note: ")
    if programs:
        what = "the same command with --compare shows every value that changes; see `procman explain import`"
        yield from wrapped(what, width, label="note: ")
