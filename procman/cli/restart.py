"""`procman restart`."""

from __future__ import annotations

import click

from procman.cli import options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.selection import Selection
from procman.deploy import start_stop


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@options.seconds(
    "--wait",
    "wait_seconds",
    kind=options.Seconds(min_open=True),
    default=60,
    explanation="How long each new process may take to become healthy.",
)
@options.at_once
@options.lock_wait
@click.pass_obj
def restart(
    selection: Selection, names: tuple[str, ...], wait_seconds: float, at_once: int, lock_seconds: float
) -> int:
    """Restart programs one by one; running tasks are finished first.

    No NAME means all but those that somebody stopped. Each waits until the one before is
    healthy; if one does not become healthy the rest is left as it is, and the exit status is 1.
    """
    failed = 0
    with rollout_options(wait_seconds=wait_seconds, at_once=at_once, lock_seconds=lock_seconds) as rollout:
        for program, unhealthy in start_stop.restart(selection.installed(), names, rollout):
            if unhealthy:
                rollout.reporter.announce(
                    f"{program.name}: not healthy {wait_seconds:g} s after its start: {unhealthy.result.detail}"
                )
                rollout.reporter.announce(f"  procman logs {program.name}")
                failed += 1
            else:
                rollout.reporter.report(program, "restarted")
    return int(failed > 0)
