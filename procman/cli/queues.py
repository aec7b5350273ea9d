"""Define `procman queues`."""

from __future__ import annotations

import click

from procman.cli import complete
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.monitoring import queues as command
from procman.output import queues as output


@click.command()
@complete.names
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain queues`.")
@click.pass_obj
def queues(selection: Selection, names: tuple[str, ...], as_json: bool) -> int:
    """Show what waits in the queues, and who consumes them.

    Asks the broker with the client library of the project, as the user of its programs and without loading the app,
    and takes no message. NAME is a program or a queue. READY messages wait; UNACKED ones are held by a worker, which
    RabbitMQ reports only by its management interface (`management_url` in [health]). CONSUMERS are those of every host;
    only RabbitMQ counts them. UNTAKEN is the time since a message was last taken, as far as the watcher has seen.

    For users other than root and the user of the programs, the numbers are those that the watcher or the workers
    reported last.

    Exit status: 0 the queues are shown; 1 a broker does not answer, or nothing is known.

    \b
    Examples:
      # Find out why messages pile up
      procman queues
      # The queues of one worker, for a script
      procman queues --json crop
    """
    found = command.queues(selection.installed(), names)
    echo_lines([output.as_json(found)] if as_json else output.as_text(found))
    return found.exit_status
