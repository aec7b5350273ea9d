"""The group of commands, which imports a command only when it is called, and the one place that prints errors."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from procman.cli.safe_streams import standard_streams
from procman.cli.selection import Selection
from procman.errors import ProcmanError
from procman.output.terminal import coloured, printable

COMMANDS = {
    "init": "Find the project's parts and write procman.toml.",
    "check": "Prove that what an install would start will run.",
    "render": "Show every file that procman would write.",
    "diff": "Show what an install would change.",
    "install": "Put the files in place and have the programs running.",
    "history": "Show the generations that can be brought back.",
    "rollback": "Bring back an earlier generation.",
    "uninstall": "Stop the programs and remove what procman wrote.",
    "status": "Show state, health, memory and restarts of each program.",
    "health": "Say whether the programs do what they are for.",
    "start": "Start programs.",
    "stop": "Stop programs; running tasks are finished first.",
    "restart": "Restart programs one by one; running tasks are finished first.",
    "logs": "Show what a program wrote.",
    "events": "Show what was found, healed, held and stopped, and why; the oldest first.",
    "hold": "Leave programs as they are: nothing heals them until they are released.",
    "release": "Let programs be healed again that were held; no NAME means all.",
    "heal": "Look at the programs once, and restart what has been found unsound often enough.",
    "run": "Run one program in the foreground, just as the process manager would.",
    "explain": "Explain the code of a check, or print a page of the documentation.",
    "schema": "Print the JSON Schema of procman.toml, for editors.",
}
"""Each command is the function of its name in the module of its name; the text is its help in the list."""


class LazyGroup(click.Group):
    """Knows the commands by name alone, so that `status` need not wait for what `render` imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now; None where there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"procman.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing a single command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, desired: bool) -> None:
    if desired and not ctx.resilient_parsing:
        from procman.version import VERSION

        click.echo(f"procman {VERSION}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "configuration",
    type=click.Path(path_type=Path),
    help="procman.toml; else PROCMAN_CONFIG, the working directory and its parents are looked at.",
)
@click.option("--project", metavar="NAME", help="An installed project, where there is no procman.toml at hand.")
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version.")
@click.pass_context
def procman(ctx: click.Context, configuration: Path | None, project: str | None) -> None:
    """Keep a Django project's Celery workers and beat running, under supervisord or systemd."""
    if configuration and project:
        raise click.UsageError("--config and --project exclude each other.")
    ctx.obj = Selection(configuration, project)


@standard_streams()
def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status; what a user can mend is told without a traceback (U1)."""
    try:
        status = procman.main(args=list(arguments), prog_name="procman", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ProcmanError as error:
        _tell(error)
        return error.exit_status
    except (KeyboardInterrupt, click.Abort) as error:
        print("procman: interrupted", file=sys.stderr)  # noqa: T201
        # Click's has the one that carries a hint, if there is any, for its cause.
        for hint in (error.__cause__ or error).args:
            print(f"  {hint}", file=sys.stderr)  # noqa: T201
        return 130
    except BrokenPipeError:
        # Who reads our output has seen enough.
        return 1
    return status if isinstance(status, int) else 0


def _tell(error: ProcmanError) -> None:
    word = coloured("procman:", "red", sys.stderr)
    for line in error.message.splitlines():
        click.echo(f"{word} {printable(line)}", err=True)
    for line in error.hint.splitlines():
        click.echo(f"  {printable(line)}", err=True)
