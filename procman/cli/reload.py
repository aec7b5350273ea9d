"""Define `procman reload`."""

from __future__ import annotations

import click

from procman.cli import complete, options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.selection import Selection
from procman.deploy import reload as command


@click.command()
@complete.names
@options.seconds(
    "--wait",
    "wait_seconds",
    kind=options.Seconds(),
    explanation="Time for which a program must keep running after its reload.  [default: its start_seconds]",
)
@options.lock_wait
@click.pass_obj
def reload(selection: Selection, names: tuple[str, ...], wait_seconds: float | None, lock_seconds: float) -> int:
    """Reload programs: they load their code again without a restart, one at a time.

    Sends a command its `reload_signal`, or runs its `reload_command`. Only commands have these keys: Celery cannot
    reload, so restart workers and beat. The process stays the same, with the environment it was started with.

    Without NAME, reloads all programs that have one of the keys, except those that were stopped on purpose. The next
    program reloads once the one before it has kept running for --wait. If one ends, or could not be reloaded, the
    others are left as they are and the exit status is 1. A signal that the program does not handle is not sent: it
    would end the program.

    \b
    Examples:
      # After new code was deployed
      procman reload && procman restart 'celery*'
      # One program
      procman reload gunicorn
    """
    failures = 0
    with rollout_options(wait_seconds=wait_seconds, lock_seconds=lock_seconds) as rollout:
        for program, failure in command.reload(selection.installed(acts=True), names, rollout):
            if failure:
                rollout.reporter.report_failure(failure)
                failures += 1
            else:
                rollout.reporter.report(program, "reloaded")
    return int(failures > 0)
