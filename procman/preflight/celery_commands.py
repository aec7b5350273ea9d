"""PM789: workers and beats that are written as commands; and the subcommand of Celery that a command runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from procman.celery_cli.parse import read_command
from procman.celery_cli.running import celery_arguments, subcommand
from procman.celery_cli.script_file import SHELL
from procman.model import Kind, Level, Result
from procman.preflight.inputs import PreflightFacts
from procman.project import Command, Program

LOST = "a command has no heartbeat, so its health is unknown, and a stop may kill its running tasks"


def celery_is_no_command(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM789, once for each table."""
    for key, program in {each.key: each for each in reversed(preflight.of_kind(Kind.COMMAND))}.items():
        assert isinstance(program.options, Command)
        kind = _kind(program.options.argv)
        if kind:
            name = "beat" if kind is Kind.BEAT else f"worker.{key.partition('.')[2]}"
            detail = f"[{key}] runs a Celery {kind.value}: {LOST}"
            hint = f"Write it as [{name}], with its options as keys, and words in front of celery in the key wrapper."
            yield Result("PM789", program.name, Level.WARNING, detail, hint)


def celery_subcommand(program: Program) -> str:
    """Return the subcommand of `celery` that a command runs, such as `flower`; empty if it runs another program."""
    argv = program.options.argv if isinstance(program.options, Command) else ()
    is_celery = Path(argv[0]).name == "celery" or tuple(argv[1:3]) == ("-m", "celery") if argv else False
    return subcommand(celery_arguments(argv)) if is_celery else ""


def _kind(argv: Sequence[str]) -> Kind | None:
    """Return the kind that `argv` runs, behind any wrapper: a worker, a beat, or neither."""
    words = list(argv)
    if SHELL.fullmatch(Path(words[0]).name) and words[1:2] == ["-c"] and words[2:]:
        try:
            words = shlex.split(words[2])
        except ValueError:
            return None
    at = next((number for number, word in enumerate(words) if Path(word).name == "celery"), len(words))
    command = read_command(words[at:])
    return command.kind if command else None
