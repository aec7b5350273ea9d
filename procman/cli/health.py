"""`procman health`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from procman.background import Background
from procman.cli import options
from procman.cli.selection import Selection
from procman.errors import ProcmanError
from procman.monitoring import health as command

FORMATS = ("text", "json", "nagios", "openmetrics")
UNKNOWN = 3
"""What a monitoring plugin ends with when it is called wrongly (U2)."""

REFRESH_SECONDS = 2.0


class Misuse(click.UsageError):
    """A usage error that monitoring tells from a warning."""

    exit_code = UNKNOWN


class Plugin(click.Command):
    """A command whose errors end with 3, as monitoring wants it; with `--format nagios` they are told on stdout."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise Misuse(error.format_message(), error.ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise Misuse(error.format_message(), error.ctx) from None
        except ProcmanError as error:
            error.exit_status = UNKNOWN
            if ctx.params.get("form") == "nagios":
                from procman.output.nagios import failure_line

                click.echo(failure_line(error.message))
            raise


@click.command(cls=Plugin)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What to print.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json (`procman explain health`).")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Replace FILE, whole, instead of printing."
)
@click.option("--probe", is_flag=True, help="Ask the broker too; takes as long as loading the app.")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@options.seconds(
    "--timeout",
    "seconds",
    kind=options.Seconds(min_open=True),
    default=30,
    explanation="How long it may take in all.",
)
@click.pass_obj
def health(
    selection: Selection,
    names: tuple[str, ...],
    form: str,
    as_json: bool,
    output: Path | None,
    probe: bool,
    watch: bool,
    seconds: float,
) -> int:
    """Say whether the programs do what they are for.

    Exit status, as of a monitoring plugin: 0 ok; 1 warning; 2 critical; 3 it cannot be told, or the command is
    wrong. `procman explain CODE` describes a check.
    """
    form = "json" if as_json else form
    if watch and (form != "text" or output or not sys.stdout.isatty()):
        raise click.UsageError("--watch is for a terminal, and for text.")

    def examine() -> command.Health:
        return Background(lambda: command.examine_asked(selection.installed(), names, probe=probe)).result(seconds)

    if watch:
        return _watch(examine)
    found = examine()
    text = shown(found, form)
    if output:
        command.write(output, text)
    else:
        click.echo(text, nl=False)
    return found.level


def shown(found: command.Health, form: str) -> str:
    """Return the text in the format FORM, with the end of its last line."""
    # Imported by need: monitoring asks every minute, and for one of them.
    if form == "nagios":
        from procman.output import nagios

        return nagios.as_line(found) + "\n"
    if form == "openmetrics":
        from procman.output import openmetrics

        return openmetrics.as_text(found)
    from procman.output import health as output

    return output.as_json(found) + "\n" if form == "json" else "".join(f"{line}\n" for line in output.as_text(found))


def _watch(examine: Callable[[], command.Health]) -> int:
    level = UNKNOWN
    try:
        while True:
            found = examine()
            click.clear()
            click.echo(time.strftime("%H:%M:%S") + "  (every 2 s; Ctrl-C ends it)\n")
            click.echo(shown(found, "text"), nl=False)
            level = found.level
            time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        return level
