"""`procman rollback`."""

from __future__ import annotations

import click

from procman.cli import options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy import rollback as command
from procman.output import plan as output
from procman.output.install import as_failure


@click.command()
@click.argument("number", metavar="[N]", type=click.IntRange(min=1), required=False)
@options.wait
@options.at_once
@options.lock_wait
@click.pass_obj
def rollback(
    selection: Selection, number: int | None, wait_seconds: float | None, at_once: int, lock_seconds: float
) -> int:
    """Bring back an earlier generation.

    N is one that `procman history` lists; without it, the one before. Its files and programs come back as they were, as
    a new generation; only programs whose files differ are restarted, warm. procman.toml is left alone, and so are the
    project's own code and its environment file, which procman does not keep.
    """
    installed = selection.installed(formerly=number is not None)
    same = "The same command" if number is not None else "`procman rollback N`, N as `procman history` shows it,"
    with rollout_options(
        wait_seconds=wait_seconds, at_once=at_once, lock_seconds=lock_seconds, completed_by=same
    ) as rollout:
        chosen, report = command.rollback(installed, number, rollout)
    now, manifest = report.plan.generation.number, report.plan.generation.manifest
    done = f"{output.as_sum(report.plan)}; as generation {chosen} was"
    if report.plan.nothing_to_do:
        done = f"nothing changed; what generation {chosen} has is in place"
    click.echo(f"{manifest.project}: {done} (generation {now})")
    if report.failures:
        echo_lines(as_failure(report, f"procman rollback {chosen} --wait {wait_seconds:g}"), err=True)
        return 1
    if wait_seconds is not None:
        click.echo("all healthy")
    click.echo("look      procman status")
    if command.differs_from_disk(manifest):
        click.echo(f"next      mend {manifest.configuration_file}: until then `procman install` would undo this")
        click.echo("see       procman diff shows what it would change")
    return 0
