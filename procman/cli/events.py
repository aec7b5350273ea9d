"""Define `procman events`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

import click

from procman.cli import complete
from procman.cli.options import Count, since
from procman.cli.safe_streams import echo_lines, follow_lines
from procman.cli.selection import Selection
from procman.install.state.event_log import Event, line_of
from procman.monitoring import events as command
from procman.output.events import Layout, as_header, as_rows, layout
from procman.output.terminal import local_time, width_of

DEFAULT_NUMBER = 50


@click.command()
@complete.names
@click.option(
    "-n", "--number", metavar="N", type=Count(0), help="Show the last N events.  [default: 50; with --since: all]"
)
@since("Show the events since TIME, such as 2h, 01:30, yesterday or 2026-11-29; local time unless it names a zone.")
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line; see `procman explain health`.")
@click.pass_obj
def events(
    selection: Selection,
    names: tuple[str, ...],
    number: int | None,
    since: float | None,
    follow: bool,
    as_json: bool,
) -> int:
    """List what happened to the programs, oldest first.

    Shows problems found and solved, automatic restarts, processes that were killed or ended by themselves, and every
    start, stop, restart, install, rollback, hold and release: when, why, who gave the command, and which tasks were
    running. Times are local. Without NAME, shows the events of all programs and of the project.

    \b
    Examples:
      # Find out why a worker was restarted
      procman events celery
      # What happened last night
      procman events --since yesterday
      # Watch new events
      procman events --follow
    """
    installed = selection.installed()
    most = DEFAULT_NUMBER if number is None and since is None else number
    found = command.events(installed, names, most, since or 0.0, follow=follow)
    longest = max(len(program.name) for program in installed.manifest.programs)
    lines = map(line_of, found) if as_json else _table(found, layout(longest, width_of(sys.stdout)))
    if follow:
        return follow_lines(lines)
    echo_lines(lines)
    return 0


def _table(found: Iterable[Event], columns: Layout) -> Iterator[str]:
    zone = ""
    for event in found:
        if not zone:
            _, zone = local_time(time.time())
            yield as_header(zone, columns)
        yield from as_rows(event, zone, columns)
