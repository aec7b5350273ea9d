"""Define `procman install`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from procman.backends import controller_of
from procman.cli import options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy import install as command
from procman.deploy.host_warnings import warnings
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.model import Level
from procman.monitoring.watcher_command import watcher_notes
from procman.output import plan as output
from procman.output.install import as_failure
from procman.output.terminal import Progress, count_accepted
from procman.program_names import short_name
from procman.project import Project


@click.command()
@click.option("-n", "--dry-run", is_flag=True, help="Show what would change, as `procman diff` does; change nothing.")
@click.option("-v", "--verbose", is_flag=True, help="With --dry-run: list files, owners, modes and commands, too.")
@options.wait
@click.option("--keep-failed", is_flag=True, help="With --wait: do not roll back, so that you can inspect the failure.")
@options.at_once
@options.replaced(
    "Adopt the programs of the same names that FILE, read by the same supervisord, defines, in addition to those that "
    "the key adopts names; FILE is backed up first."
)
@click.option("--no-check", is_flag=True, help="Install without running the checks of `procman check` first.")
@options.message
@options.lock_wait
@click.pass_obj
def install(
    selection: Selection,
    dry_run: bool,
    verbose: bool,
    wait_seconds: float | None,
    keep_failed: bool,
    at_once: int,
    replaced: tuple[Path, ...],
    no_check: bool,
    message: str,
    lock_seconds: float,
) -> int:
    """Install the files and start the programs.

    Writes only files that changed, and restarts only programs whose files changed: gracefully and one at a time, so
    that running tasks finish. A program that was stopped on purpose stays stopped. The checks of `procman check` run
    first; a CRITICAL result stops the install before anything changes. If an install is interrupted, run it again to
    complete it.

    Existing programs that the key adopts names are stopped gracefully, each before the program in its place starts;
    beat stops first and starts last.

    With --wait, each program must become healthy before the next is restarted (a worker must be ready and consume), and
    `procman health` must have no new critical result about it afterwards. Otherwise the exit status is 1 and the
    previous generation is rolled back; on a first install, the programs that failed or were not started are removed.
    Messages that a worker does not take (PM301) are only a warning. Without --wait, procman does not check whether the
    programs keep running.

    \b
    Examples:
      # Show what would change
      procman install --dry-run
      # Install, and roll back if a program is unhealthy
      procman install --wait 120
      # Record why, for `procman history`
      procman install --message "$(git log -1 --format='%h %s')"
    """
    if verbose and not dry_run:
        raise click.UsageError("--verbose needs --dry-run: an install prints what it does to each program anyway.")
    if keep_failed and wait_seconds is None:
        raise click.UsageError("--keep-failed needs --wait SECONDS: without it, nothing is rolled back.")
    project = selection.configured()
    # The checks include these warnings, as PM773.
    limits = warnings(project) if (dry_run or no_check) and "PM773" not in project.accept else ()
    for warning in [*limits, *watcher_notes(project)]:
        click.echo(f"note: {warning}", err=True)
    if dry_run:
        return _list(project, replaced, verbose=verbose)
    with rollout_options(
        wait_seconds=wait_seconds,
        at_once=at_once,
        lock_seconds=lock_seconds,
        completed_by="`procman install`",
        message=message,
    ) as rollout:
        before = None if no_check else partial(_check, command_line=selection.command_line)
        report = command.install(project, replaced=replaced, keep_failed=keep_failed, before=before, options=rollout)
    if report.failures:
        echo_lines(as_failure(report, f"{selection.command_line} install --wait {wait_seconds:g}"), err=True)
        return 1
    _summary(report, wait_seconds, selection)
    return 0


def _check(project: Project, *, command_line: str) -> None:
    # Imported here: an install that changes nothing checks nothing.
    from procman.output.check import as_text
    from procman.preflight.check import blocking, check

    with Progress() as progress:
        progress(f"checking that {project.app} runs as {project.user or 'you'}")
        results = check(project)
    accepted = [result.code for result in results if result.accepted]
    if any(result.level is not Level.OK for result in results):
        echo_lines(as_text(results, verbose=False, stream=sys.stderr), err=True)
    elif accepted:
        click.echo(count_accepted(accepted), err=True)
    if blocking(results):
        raise ProcmanError(
            "the CRITICAL results above stop the install; nothing was changed",
            hint=f"Fix them, then run `{command_line} check` again. --no-check installs without the checks.",
        )


def _list(project: Project, replaced: tuple[Path, ...], *, verbose: bool) -> int:
    # Imported here: an install itself shows no summary.
    from procman.deploy.preview import preview
    from procman.output.preview import as_summary

    found = preview(project, replaced)
    with Tree() as tree:
        echo_lines(command.reversal(tree, project), err=True)
    echo_lines(as_summary(found, sys.stdout))
    if verbose:
        echo_lines(output.as_list(found.plan, sys.stdout))
    if found.obstacles:
        raise ProcmanError("\n".join(found.obstacles), hint="The install would be refused now. Nothing was changed.")
    click.echo("nothing to change" if found.plan.nothing_to_do else "dry run: nothing was changed", err=True)
    return 0


def _summary(report: command.Report, wait_seconds: float | None, selection: Selection) -> None:
    number, manifest = report.plan.generation.number, report.plan.generation.manifest
    done = "nothing changed" if report.plan.nothing_to_do else output.as_sum(report.plan)
    click.echo(f"{manifest.project}: {done} (generation {number})")
    if wait_seconds is not None:
        click.echo("all programs are healthy")
    if report.plan.nothing_to_do:
        return
    echo_lines(output.as_set_aside(report.plan))
    programs, procman = manifest.programs, selection.command_line
    first = next((each for each in programs if each.autostart), programs[0])
    own = controller_of(manifest).command_line(first)
    click.echo(f"restart   {procman} restart {'--overlap ' if first.overlap_max else ''}{short_name(first)}")
    if own:
        click.echo(f"          {own}")
    click.echo(f"status    {procman} status")
    # An install that completed or repaired the current generation has made nothing that a rollback could undo.
    if report.plan.before != number:
        click.echo(f"undo      {procman} {'rollback' if report.plan.before else 'uninstall'}")
