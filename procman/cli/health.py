"""Define `procman health`."""

from __future__ import annotations

import sys
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import click

from procman.background import Background
from procman.cli import complete, options
from procman.cli.selection import Selection
from procman.errors import ProcmanError
from procman.monitoring import health as command
from procman.monitoring.examine_in_time import examine_asked

FORMATS = ("text", "json", "nagios", "openmetrics")
UNKNOWN = 3
"""Exit status of a monitoring plugin after wrong usage (U2)."""


class Plugin(click.Command):
    """A command whose errors exit with 3, as monitoring expects; `--format nagios` prints them on stdout, too."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the command line."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            error.exit_code = UNKNOWN  # type: ignore[misc]  # an attribute of the class for Click, read from the error
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.exit_code = UNKNOWN  # type: ignore[misc]  # an attribute of the class for Click, read from the error
            raise
        except ProcmanError as error:
            error.exit_status = UNKNOWN
            if ctx.params.get("form") == "nagios":
                from procman.output.nagios import failure_line

                click.echo(failure_line(error.message))
            raise


@click.command(cls=Plugin)
@complete.names
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="Format of the output."
)
@click.option("-v", "--verbose", is_flag=True, help="Show accepted warnings and each instance, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain health`.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Replace FILE atomically instead of printing."
)
@click.option("--probe", is_flag=True, help="Query the broker, too; this loads the app and takes as long.")
@options.every
@options.watch
@options.seconds(
    "--timeout",
    "seconds",
    kind=options.Seconds(min_open=True),
    default=30,
    explanation="Time limit for the command.",
)
@click.pass_obj
def health(
    selection: Selection,
    names: tuple[str, ...],
    form: str,
    verbose: bool,
    as_json: bool,
    output: Path | None,
    probe: bool,
    every: bool,
    watch: bool,
    seconds: float,
) -> int:
    """Check that workers consume and beat ticks.

    Reads the heartbeats that workers and beat write, and inspects processes, files and disks. Does not load the app,
    and queries the broker only with --probe, with `management_url` in [health], or when a program seems stuck and the
    broker could be the cause. `procman explain CODE` explains a result.

    Any user can run it. If supervisord does not answer the user, states are those that heartbeats and /proc show. Only
    root and the user of the programs can see open files, exact memory and the broker.

    Exit status, as for a monitoring plugin: 0 OK; 1 WARNING; 2 CRITICAL; 3 UNKNOWN, or wrong usage or configuration.
    With --all, that of the worst project.

    \b
    Examples:
      # Check by hand, with the broker
      procman health --probe
      # Check from Nagios or Icinga
      procman --project catmaid health --format nagios
    """
    form = "json" if as_json else form
    if watch and (form != "text" or output):
        raise click.UsageError("--watch needs a terminal, and prints text only.")

    if every:
        from procman.cli.every_project import refuse_choice, show_health

        refuse_choice(selection, names)
        ask = partial(examine_asked, names=(), seconds=seconds, probe=probe)
        return show_health(ask, form, output, seconds=seconds, verbose=verbose, watch=watch)

    # A message would break the screen of --watch.
    look_up = selection.look_up if watch else selection.installed

    def examine() -> command.Health:
        # The process manager's own limits may be longer.
        return Background(lambda: examine_asked(look_up(), names, seconds, probe=probe)).result(seconds)

    if watch:
        from procman.cli.watch import watch as keep_watching
        from procman.output.health import as_text

        last = keep_watching(examine, partial(as_text, verbose=verbose))
        return last.level if last else UNKNOWN
    found = examine()
    if output:
        # What a terminal would get has colours, and is shortened.
        command.write(output, shown(found, form, StringIO(), verbose=verbose))
    else:
        click.echo(shown(found, form, sys.stdout, verbose=verbose), nl=False)
    return found.level


def shown(found: command.Health, form: str, stream: TextIO, *, verbose: bool = False) -> str:
    """Return the output for `stream` in the format `form`, with a newline at its end; text has more if `verbose`."""
    # Imported when needed: monitoring runs this every minute, with one format.
    if form == "nagios":
        from procman.output import nagios

        return nagios.as_line(found) + "\n"
    if form == "openmetrics":
        from procman.output import openmetrics

        return openmetrics.as_text(found)
    from procman.output import health as output

    lines = [output.as_json(found)] if form == "json" else output.as_text(found, stream, verbose=verbose)
    return "".join(f"{line}\n" for line in lines)
