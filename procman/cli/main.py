"""Define the group of commands, and print every error of a user in one place."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from procman.cli import options
from procman.cli.safe_streams import INTERRUPTED, standard_streams
from procman.cli.selection import Selection
from procman.errors import ProcmanError
from procman.output.terminal import coloured, printable
from procman.suggest import nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "init": "Inspect a project and write its procman.toml.",
    "check": "Check that the programs will run, without starting them.",
    "render": "Print every file that an install would write.",
    "export": "Print the files for Compose, a Dockerfile or Kubernetes.",
    "diff": "Show what an install would change.",
    "install": "Install the files and start the programs.",
    "history": "List the generations that a rollback can restore.",
    "rollback": "Roll back to an earlier generation.",
    "uninstall": "Stop the programs and remove the installed files.",
    "list": "List the installed projects of the host.",
    "status": "Show the state, health, queued messages, memory and restarts of each program.",
    "queues": "Show what waits in the queues, and who consumes them.",
    "health": "Check that workers consume and beat ticks.",
    "start": "Start programs.",
    "stop": "Stop programs gracefully: running tasks finish first.",
    "restart": "Restart programs gracefully, one at a time.",
    "reload": "Reload programs: they load their code again without a restart.",
    "logs": "Show the logs of programs in one stream.",
    "events": "List what happened to the programs, oldest first.",
    "lost": "List the tasks that a kill interrupted, and what becomes of each.",
    "hold": "Hold programs: do not heal them until they are released.",
    "release": "Release held programs, so that they are healed again.",
    "heal": "Check the programs once and restart those that stay unhealthy.",
    "run": "Run one program in the foreground, as the process manager would.",
    "explain": "Explain the code of a check, or print a page of the documentation.",
    "completion": "Print the script that completes procman in bash, zsh or fish.",
    "schema": "Print the JSON Schema of procman.toml, for editors.",
}
"""Each command is the function of that name in the module of that name; the text is its line in `procman --help`."""

OF_NO_PROJECT = {"init", "list", "explain", "completion", "schema"}
"""The commands that accept no `--config` and `--project` after them."""

SYNONYMS = {
    "apply": "install",
    "config": "render",
    "delete": "uninstall",
    "deploy": "install",
    "doctor": "check",
    "down": "stop",
    "exec": "run",
    "help": "--help",
    "kill": "stop",
    "ls": "list",
    "monitor": "health",
    "projects": "list",
    "ps": "status",
    "remove": "uninstall",
    "reread": "install",
    "rm": "uninstall",
    "show": "status",
    "tail": "logs",
    "test": "check",
    "top": "status",
    "undo": "rollback",
    "up": "start",
    "update": "install",
    "validate": "check",
    "version": "--version",
}
"""Words of similar tools, and what they are here."""


class LazyGroup(click.Group):
    """Imports a command only when it is called, so that `status` does not wait for the imports of `render`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which an administrator needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command; None if it does not exist."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"procman.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        if cmd_name not in OF_NO_PROJECT and not any(each.name == "configuration" for each in command.params):
            command.params += options.project_options(expose_value=False, callback=options.select)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the command line; suggest one if it is misspelt. Click knows none by name."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            if ctx.resilient_parsing:
                # This is completion, which must print no message; nothing follows a misspelt command.
                return name, click.Command(name), []
            near = SYNONYMS.get(name.lower()) or _nearest_command(name)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {near!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands without importing them, and options as Click does."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _nearest_command(name: str) -> str | None:
    """Return the command that begins with `name`, or else the most similar one."""
    return next((each for each in COMMANDS if len(name) > 1 and each.startswith(name)), None) or nearest(name, COMMANDS)


def _version(ctx: click.Context, _: click.Parameter, desired: bool) -> None:
    if desired and not ctx.resilient_parsing:
        from procman.version import VERSION

        click.echo(f"procman {VERSION}")
        ctx.exit()


@click.group(cls=LazyGroup, params=options.project_options(), context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-V",
    "--version",
    is_flag=True,
    callback=_version,
    expose_value=False,
    is_eager=True,
    help="Show the version and exit.",
)
@click.pass_context
def procman(ctx: click.Context, configuration: Path | None, project: str | None) -> None:
    """Keep a Django project's Celery workers and beat running, under supervisord or systemd.

    procman.toml describes the programs. NAME in a command is the name of a program or its key in procman.toml:
    catmaid-celery or celery. A pattern in quotes, such as "fetch*", names several. --config and --project may also
    follow the command.

    \b
    Examples:
      # Install a project
      procman init
      procman check
      procman install
      # Check a project from any directory
      procman status --project catmaid
    """
    if configuration and project:
        raise click.UsageError("--config and --project cannot be used together.")
    ctx.obj = Selection(configuration, project)


@standard_streams()
def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status; print errors that the user can fix without a traceback (U1)."""
    try:
        status = procman.main(args=list(arguments), prog_name="procman", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ProcmanError as error:
        _show(error)
        return error.exit_status
    except (KeyboardInterrupt, click.Abort) as error:
        print("procman: interrupted", file=sys.stderr)  # noqa: T201
        # The cause of Click's own exception has the hint, if there is one.
        for hint in (error.__cause__ or error).args:
            print(f"  {hint}", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has closed the pipe, as `head` does.
        return 1
    return status if isinstance(status, int) else 0


def _show(error: ProcmanError) -> None:
    word = coloured("procman:", "red", sys.stderr)
    for line in error.message.splitlines():
        click.echo(f"{word} {printable(line)}", err=True)
    for line in error.hint.splitlines():
        click.echo(f"  {printable(line)}", err=True)
