"""Define `procman restart`."""

from __future__ import annotations

import click

from procman.cli import complete, options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.selection import Selection
from procman.deploy import restart as command
from procman.errors import ProcmanError
from procman.monitoring.status import status


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
@options.lock_wait
@click.pass_obj
def restart(
    selection: Selection,
    names: tuple[str, ...],
    failed: bool,
    wait_seconds: float,
    at_once: int,
    lock_seconds: float,
) -> int:
    """Restart programs gracefully, one at a time.

    Running tasks finish first, within the stop timeout of the program. Without NAME, restarts all programs except those
    that were stopped on purpose; workers come before beat. A program is restarted when the one before it has become
    healthy. If one does not become healthy, the others are left as they are and the exit status is 1.

    With --failed, restarts those of the programs that `procman status` shows as down although they should run, or as
    CRITICAL. If there is none, prints that and exits with 0.

    \b
    Examples:
      # After new code was deployed
      procman restart
      # One program
      procman restart celery
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
    failures = 0
    with rollout_options(wait_seconds=wait_seconds, at_once=at_once, lock_seconds=lock_seconds) as rollout:
        for program, done, failure in command.restart(installed, names, rollout):
            if failure:
                rollout.reporter.report_failure(failure)
                failures += 1
            else:
                rollout.reporter.report(program, done)
    return int(failures > 0)
