"""Show the status and the health of every project of the host, for `--all`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import TextIO

import click

from procman.cli.selection import Selection
from procman.lookup import Installed
from procman.monitoring import status as command
from procman.monitoring.every_project import Answer, ask_each
from procman.monitoring.health import Health, write
from procman.output import every_project as output

SECONDS = 30.0
"""Longer than the status of any project takes (R10)."""


def refuse_choice(selection: Selection, names: tuple[str, ...]) -> None:
    """Raise UsageError if the caller chose a project or programs although `--all` is given."""
    if selection.configuration or selection.project:
        raise click.UsageError("--all cannot be used together with --config or --project.")
    if names:
        raise click.UsageError("--all takes no NAME.")


def show_status(*, as_json: bool, expand: bool, watch: bool) -> int:
    """Print the status of every project, and return the exit status."""

    def ask() -> list[Answer[command.ProjectStatus]]:
        return ask_each(lambda installed: command.status(installed, ()), os.environ, SECONDS)

    if watch:
        from procman.cli.watch import watch as keep_watching

        return output.status_of(keep_watching(ask, lambda found: output.status_as_text(found, expand=expand)) or ())
    found = ask()
    text = output.status_as_json(found) if as_json else "\n".join(output.status_as_text(found, expand=expand))
    click.echo(text)
    return output.status_of(found)


def show_health(
    examine: Callable[[Installed], Health], form: str, to: Path | None, *, seconds: float, verbose: bool, watch: bool
) -> int:
    """Print the health of every project in the format `form`, or write it to the file `to`; return the level."""

    def ask() -> list[Answer[Health]]:
        return ask_each(examine, os.environ, seconds)

    if watch:
        from procman.cli.watch import watch as keep_watching

        return output.level_of(keep_watching(ask, lambda found: output.health_as_text(found, verbose=verbose)) or ())
    found = ask()
    if to:
        # What a terminal would get has colours, and is shortened.
        write(to, _shown(found, form, StringIO(), verbose=verbose))
    else:
        click.echo(_shown(found, form, sys.stdout, verbose=verbose), nl=False)
    return output.level_of(found)


def _shown(found: list[Answer[Health]], form: str, stream: TextIO, *, verbose: bool) -> str:
    if form == "nagios":
        from procman.output import nagios

        return nagios.of_all(found, output.level_of(found)) + "\n"
    if form == "openmetrics":
        from procman.output import openmetrics

        healths = [each.found for each in found if each.found]
        return openmetrics.as_text(*healths, unread=[each.project for each in found if each.found is None])
    if form == "json":
        return output.health_as_json(found) + "\n"
    lines = output.health_as_text(found, verbose=verbose, stream=stream)
    return "".join(f"{line}\n" for line in lines)
