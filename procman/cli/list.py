"""Define `procman list`."""

from __future__ import annotations

import os

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain several-projects`.")
def list(as_json: bool) -> int:  # noqa: A001 - named as the command
    """List the installed projects of the host.

    Shows the scope and the backend of each, how many of its programs are running, their most severe level, the
    installed generation and its procman.toml. Root sees the projects of the system; any other user those and its own.

    Exit status: 0 every project could be read; 1 one could not.

    \b
    Examples:
      # All projects
      procman list
      # What is wrong with them
      procman status --all
    """
    from procman.cli.every_project import SECONDS
    from procman.monitoring.every_project import ask_each
    from procman.monitoring.status import status
    from procman.output import every_project as output

    answers = ask_each(lambda installed: status(installed, ()), os.environ, SECONDS)
    if not answers and not as_json:
        click.echo(output.NOTHING, err=True)
    else:
        click.echo(output.list_as_json(answers) if as_json else "\n".join(output.as_list(answers)))
    return int(any(each.found is None for each in answers))
