"""Define `procman status`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from procman.cli import complete, options
from procman.cli.selection import Selection
from procman.monitoring import status as command
from procman.output import status as output


@click.command()
@complete.names
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain status`.")
@click.option("--expand", is_flag=True, help="Give each instance of a program its own line on a terminal, too.")
@options.every
@options.watch
@click.pass_obj
def status(selection: Selection, names: tuple[str, ...], as_json: bool, expand: bool, every: bool, watch: bool) -> int:
    """Show the state, health, queued messages, memory and restarts of each program.

    Also shows which programs are held or need a restart, and whether the installed files are those of procman.toml. On
    a terminal, healthy instances of a program share a line, and columns that do not fit are left out.

    With the NAME of one program, shows all about it: exits, queues, running tasks, beat's next entries, files and the
    last lines of its log.

    Exit status: 0 every program that should run is running; 3 one is not running; 4 the state of one is unknown. With
    --all, that of the worst project.

    \b
    Examples:
      # All programs of the project
      procman status
      # Watch a restart
      procman status --watch
      # All about one program
      procman status celery
      # One program, for a script
      procman status --json celery
    """
    if watch and as_json:
        raise click.UsageError("--watch needs a terminal, and prints text only.")
    is_expanded = bool(expand or names or not sys.stdout.isatty())
    if every:
        from procman.cli.every_project import refuse_choice, show_status

        refuse_choice(selection, names)
        return show_status(as_json=as_json, expand=is_expanded, watch=watch)

    def examine() -> command.ProjectStatus:
        # A message would break the screen of --watch.
        return command.status(selection.look_up() if watch else selection.installed(), names)

    def lines(found: command.ProjectStatus) -> Iterator[str]:
        if names and len(found.programs) == 1:
            return _page(found)
        return output.as_text(found, expand=is_expanded)

    if watch:
        from procman.cli.watch import watch as keep_watching

        last = keep_watching(examine, lines)
        return last.exit_status if last else 0
    found = examine()
    # In one write: hundreds of writes take longer than the answer of supervisord.
    click.echo(output.as_json(found) if as_json else "\n".join(lines(found)))
    return found.exit_status


def _page(found: command.ProjectStatus) -> Iterator[str]:
    # Imported for one program only: monitoring asks for all of them.
    from procman.monitoring.program_page import page_of
    from procman.output import program_page

    [program] = found.programs
    return program_page.as_text(found, page_of(found.manifest, program.program, program.state, program.reported))
