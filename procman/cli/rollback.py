"""Define `procman rollback`."""

from __future__ import annotations

import click

from procman.cli import complete, options
from procman.cli.rollout_reporter import rollout_options
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.deploy import rollback as command
from procman.output import plan as output
from procman.output.install import as_failure


@click.command()
@click.argument("number", metavar="[N]", type=options.Count(1), required=False, shell_complete=complete.generations)
@options.wait
@options.at_once
@options.message
@options.lock_wait
@click.pass_obj
def rollback(
    selection: Selection,
    number: int | None,
    wait_seconds: float | None,
    at_once: int,
    message: str,
    lock_seconds: float,
) -> int:
    """Roll back to an earlier generation.

    N is a number that `procman history` lists; without it, procman takes the generation before the current one. Its
    files and programs are installed again, as a new generation. Only programs whose files differ are restarted,
    gracefully. With --wait, a program that does not become healthy is reported, and the exit status is 1.

    procman.toml is not changed: edit it afterwards, or the next `procman install` undoes the rollback. The project's
    code, its virtualenv and the environment file are not rolled back, because procman keeps no copy of them.

    \b
    Examples:
      # Undo the last install
      procman rollback --wait 120
      # Roll back to generation 3
      procman rollback 3
    """
    installed = selection.installed(formerly=number is not None, acts=True)
    same = "The same command" if number is not None else "`procman rollback N`, with N from `procman history`,"
    with rollout_options(
        wait_seconds=wait_seconds, at_once=at_once, lock_seconds=lock_seconds, completed_by=same, message=message
    ) as rollout:
        chosen, report = command.rollback(installed, number, rollout)
    now, manifest = report.plan.generation.number, report.plan.generation.manifest
    done = f"{output.as_sum(report.plan)}; rolled back to generation {chosen}"
    if report.plan.nothing_to_do:
        done = f"nothing changed; the files of generation {chosen} are installed already"
    click.echo(f"{manifest.project}: {done} (generation {now})")
    if report.failures:
        echo_lines(as_failure(report, f"{selection.command_line} rollback {chosen} --wait {wait_seconds:g}"), err=True)
        return 1
    if wait_seconds is not None:
        click.echo("all programs are healthy")
    click.echo(f"status    {selection.command_line} status")
    if command.differs_from_disk(manifest):
        click.echo(f"next      edit {manifest.configuration_file}, or the next `procman install` undoes this rollback")
        click.echo(f"diff      {selection.command_line} diff")
    return 0
