"""What a person sees of a rollout while it is carried out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from procman.cli.safe_streams import echo_lines, ignore_lost_output
from procman.deploy.rollout import Failure, Reporter, RolloutOptions
from procman.model import InstalledProgram
from procman.output.install import failure_lines
from procman.output.terminal import Progress, printable


@contextmanager
def rollout_options(
    *, wait_seconds: float | None = None, at_once: int = 1, lock_seconds: float, completed_by: str = ""
) -> Iterator[RolloutOptions]:
    """Yield how to go about an order, with what is done on stdout and what it is about to do on stderr.

    None of it needs to be heard, nor what the command says afterwards: the order is carried out to its end. One that is
    interrupted says what it is COMPLETED_BY.
    """
    ignore_lost_output()
    progress = Progress()
    try:
        yield RolloutOptions(_reporter(progress), wait_seconds, at_once, lock_seconds)
    except KeyboardInterrupt:
        left = f"{completed_by} completes it; `procman status` shows what is left to do."
        raise KeyboardInterrupt(*([left] if completed_by else [])) from None
    finally:
        progress.clear()


def _reporter(progress: Progress) -> Reporter:
    def report(program: InstalledProgram, what: str) -> None:
        progress.clear()
        click.echo(f"{program.name}: {what}")
        # A warm stop may take an hour; who reads from a pipe wants to know of the others meanwhile.
        sys.stdout.flush()

    def announce(text: str) -> None:
        progress.clear()
        click.echo(printable(text), err=True)

    def report_failure(failure: Failure) -> None:
        progress.clear()
        echo_lines(failure_lines(failure), err=True)

    return Reporter(progress, report, announce, report_failure)
