"""Define `procman lost`."""

from __future__ import annotations

import click

from procman.cli import complete
from procman.cli.options import since
from procman.cli.safe_streams import echo_lines
from procman.cli.selection import Selection
from procman.monitoring import lost_tasks as command
from procman.output import lost as output


@click.command()
@complete.names
@since("Show the tasks interrupted since TIME, such as 2h, 01:30, yesterday or 2026-11-29; local time.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document; see `procman explain lost`.")
@click.pass_obj
def lost(selection: Selection, names: tuple[str, ...], since: float | None, as_json: bool) -> int:
    """List the tasks that a kill interrupted, and what becomes of each.

    After a forced stop, a kill by the kernel for lack of memory, a crash or a reboot, shows each task that was running:
    when it started, whether its message is acknowledged early or late (`acks_late`), and what ended its process.

    \b
    OUTCOME is one of:
      redelivered        the broker delivers its message again: RabbitMQ at once,
                         Redis at the time shown, if a worker of the queue runs
      sent again         Celery has sent it again (`retry_on_worker_lost`)
      handed back        the worker returned its message before it was killed
      gone               it had begun, and nothing runs it again
      had not begun      its message was acknowledged, and nothing runs it
      may have finished  nothing runs it again if it did not finish

    The last processes of each worker are remembered. Ids and names are shown, never arguments.

    Exit status: 0 the tasks are shown, if there are any; 1 some cannot be read.

    \b
    Examples:
      # What did last night's reboot cost?
      procman lost --since yesterday
      # The ids of the tasks to send again, for a script
      procman lost --json crop
    """
    found = command.lost_tasks(selection.installed(), names, since or 0.0)
    echo_lines([output.as_json(found)] if as_json else output.as_text(found))
    for problem in found.problems:
        click.echo(f"procman: {problem}", err=True)
    return 1 if found.problems else 0
