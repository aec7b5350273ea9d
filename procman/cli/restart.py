"""Define `procman restart`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import click

from procman.cli import complete, options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy import restart as command
from procman.deploy.rollback import differs_from_disk
from procman.errors import ProcmanError
from procman.lookup import Installed, installed_project
from procman.model import InstalledProgram
from procman.monitoring.status import status
from procman.output.terminal import Progress
from procman.output.unfinished import unfinished_lines


@click.command()
@complete.names
@click.option("--failed", is_flag=True, help="Restart only programs that should run and do not, or are CRITICAL.")
@options.seconds(
    "--wait",
    "wait_seconds",
    kind=options.Seconds(min_open=True),
    default=60,
    explanation="Time limit for each new process to become healthy.",
)
@options.at_once
@click.option("--no-check", is_flag=True, help="Restart without importing the app first.")
@click.option("--overlap", is_flag=True, help="Restart workers with overlap = true by starting their successors first.")
@click.option(
    "--no-wait", is_flag=True, help="Order the restarts and return: each program starts when its tasks are done."
)
@click.option("--wait-for-slot", is_flag=True, help="With --overlap: wait until enough earlier processes have ended.")
@options.lock_wait
@click.pass_obj
def restart(
    selection: Selection,
    names: tuple[str, ...],
    failed: bool,
    wait_seconds: float,
    at_once: int,
    no_check: bool,
    overlap: bool,
    no_wait: bool,
    wait_for_slot: bool,
    lock_seconds: float,
) -> int:
    """Restart programs gracefully, one at a time.

    The app is imported first, as the programs' user and in their environment: if that fails, nothing is restarted, and
    the exit status is 1. A restart uses the installed files; changes of procman.toml need `procman install`.

    Running tasks finish first, within the stop timeout of the program; those that did not are listed with what becomes
    of them. Without NAME, restarts all programs except those that were stopped on purpose; workers come before beat. A
    program is restarted when the one before it has become healthy. If one does not become healthy, the others are left
    as they are and the exit status is 1.

    With --overlap, the successor of a worker with overlap = true starts first. Once it consumes, the earlier process
    returns what it has not started and finishes its running tasks, however long they take; nothing waits for them.
    Other programs are restarted as without it. See `procman explain overlap`.

    With --no-wait, all programs are ordered to restart and nothing is waited for. Each starts again when its running
    tasks have finished; until then it takes no new ones, and whether it becomes healthy is not checked.

    With --failed, restarts those of the programs that `procman status` shows as down although they should run, or as
    CRITICAL. If there is none, prints that and exits with 0.

    \b
    Examples:
      # After new code was deployed
      procman restart
      # One program
      procman restart celery
      # Without waiting for running tasks
      procman restart --overlap
      # What is down or CRITICAL
      procman restart --failed
    """
    installed = selection.installed(acts=True)
    if failed:
        found = status(installed, names)
        names = found.failed
        if found.unknown:
            raise ProcmanError(f"the state of {', '.join(found.unknown)} is unknown", hint="procman status")
        if not names:
            click.echo("no program has failed")
            return 0
    if differs_from_disk(installed.manifest):
        file = installed.manifest.configuration_file
        click.echo(f"note: {file} has changed, and a restart uses the installed files: procman install", err=True)
    before = None if no_check else partial(_check_import, installed)
    if wait_for_slot and not overlap:
        raise click.UsageError("--wait-for-slot needs --overlap")
    if no_wait and overlap:
        raise click.UsageError("--no-wait and --overlap exclude each other")
    how = command.How(overlap, wait_for_slot, no_wait)
    failures = 0
    with rollout_options(wait_seconds=wait_seconds, at_once=at_once, lock_seconds=lock_seconds) as rollout:
        for program, done, failure, unfinished in command.restart(installed, names, rollout, before, how):
            if failure:
                rollout.reporter.report_failure(failure)
                failures += 1
            else:
                rollout.reporter.report(program, done)
            echo_lines(unfinished_lines(unfinished))
    return int(failures > 0)


def _check_import(installed: Installed, programs: Sequence[InstalledProgram]) -> None:
    # Imported here: only this needs the checks.
    from procman.preflight.check import blocking, check_import

    manifest = installed.manifest
    with Progress() as progress:
        progress(f"importing {manifest.app} as {manifest.user or 'you'}")
        results = blocking(check_import(installed_project(installed), [program.name for program in programs]))
    if results:
        reasons = [result.detail for result in results]
        places = [line for result in results for line in result.hint.splitlines()]
        raise ProcmanError(
            "\n".join(["the app cannot be imported, so nothing was restarted", *dict.fromkeys(reasons)]),
            hint="\n".join([*dict.fromkeys(places), "--no-check restarts without this check."]),
        )
