"""Report the progress of a rollout while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from procman.accounts import invoking_user
from procman.cli.safe_streams import echo_lines, ignore_lost_output
from procman.deploy.failure import Failure
from procman.deploy.rollout import Reporter, RolloutOptions
from procman.install.state.authorship import Authorship
from procman.model import InstalledProgram
from procman.output.install import failure_lines
from procman.output.terminal import Progress, printable


@contextmanager
def rollout_options(
    *,
    wait_seconds: float | None = None,
    at_once: int = 1,
    lock_seconds: float,
    completed_by: str = "",
    message: str = "",
) -> Iterator[RolloutOptions]:
    """Yield the options of a rollout that reports each step to stdout, and failures and progress to stderr.

    From then on, output that cannot be written does not end the command. `completed_by` is the command that an
    interrupted one names as the way to complete it, `message` the reason that the caller gave.
    """
    ignore_lost_output()
    progress = Progress()
    try:
        made = Authorship(invoking_user(os.environ), message)
        yield RolloutOptions(_reporter(progress), wait_seconds, at_once, lock_seconds, made)
    except KeyboardInterrupt as error:
        left = f"{completed_by} completes it; `procman status` shows the steps that are left."
        raise KeyboardInterrupt(*([left] if completed_by else error.args)) from None
    finally:
        progress.clear()


def _reporter(progress: Progress) -> Reporter:
    def report(program: InstalledProgram, what: str) -> None:
        progress.clear()
        click.echo(f"{program.name}: {what}")
        # A graceful stop may take an hour; a reader of a pipe needs the results of the other programs before that.
        sys.stdout.flush()

    def report_failure(failure: Failure) -> None:
        progress.clear()
        echo_lines(failure_lines(failure), err=True)

    return Reporter(progress, report, announcer(progress), report_failure)


def announcer(progress: Progress) -> Callable[[str], None]:
    """Return the function that prints a message to stderr, in place of the line of `progress`."""

    def announce(text: str) -> None:
        progress.clear()
        click.echo(printable(text), err=True)

    return announce
