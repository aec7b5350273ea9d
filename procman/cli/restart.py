"""Define `procman restart`."""

from __future__ import annotations

import click

from procman.cli import complete, options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.selection import Selection
from procman.deploy import restart as command


@click.command()
@complete.names
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
    selection: Selection, names: tuple[str, ...], wait_seconds: float, at_once: int, lock_seconds: float
) -> int:
    """Restart programs gracefully, one at a time.

    Running tasks finish first, within the stop timeout of the program. Without NAME, restarts all programs except those
    that were stopped on purpose; workers come before beat. A program is restarted when the one before it has become
    healthy. If one does not become healthy, the others are left as they are and the exit status is 1.

    \b
    Examples:
      # After new code was deployed
      procman restart
      # One program
      procman restart celery
    """
    failed = 0
    with rollout_options(wait_seconds=wait_seconds, at_once=at_once, lock_seconds=lock_seconds) as rollout:
        for program, failure in command.restart(selection.installed(acts=True), names, rollout):
            if failure:
                rollout.reporter.report_failure(failure)
                failed += 1
            else:
                rollout.reporter.report(program, "restarted")
    return int(failed > 0)
