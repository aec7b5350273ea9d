"""Recognise workers and beats by the command lines of processes, whatever started them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence

from procman.agent import LAUNCHER
from procman.celery_cli.node_names import node_name
from procman.host.process_table import Process
from procman.host.runner import Runner
from procman.monitoring.checks.orphans import celery_arguments

TITLE = re.compile(r"\[celeryd: \S+:MainProcess\][^(]*\((?P<worker>.*)\)|\[celery beat\] ?(?P<beat>.*)")
"""The command line that Celery shows in place of its own if setproctitle is installed (celery.platforms)."""

FLAGS = ("-C", "--no-color", "-q", "--quiet", "--skip-checks", "--version")
"""The options in front of the subcommand that have no value."""


def arguments_of(argv: Sequence[str]) -> Sequence[str]:
    """Return the arguments of `celery` in a command line, even if a launcher runs it; empty if it is not Celery's."""
    launched = [argv[at + 1 :] for at, word in enumerate(argv[:3]) if word.endswith(f"/{LAUNCHER}")]
    if launched:
        return launched[0]
    title = TITLE.fullmatch(argv[0]) if len(argv) == 1 else None
    return (title["worker"] or title["beat"] or "").split() if title else celery_arguments(argv)


def subcommand(arguments: Sequence[str]) -> str:
    """Return `worker`, `beat` or another subcommand of `celery`; empty if `arguments` have none."""
    has_value = False
    for word in arguments:
        if has_value:
            has_value = False
        elif not word.startswith("-"):
            return word
        else:
            has_value = word not in FLAGS and "=" not in word and (word.startswith("--") or len(word) == 2)
    return ""


def option(arguments: Sequence[str], short: str, long: str) -> str | None:
    """Return the value of an option in `arguments`; None if it is not set."""
    for number, word in enumerate(arguments):
        if word in (short, long):
            return arguments[number + 1] if number + 1 < len(arguments) else None
        if word.startswith(f"{long}="):
            return word.removeprefix(f"{long}=")
        if word.startswith(short) and not word.startswith("--"):
            return word.removeprefix(short)
    return None


def node_name_of(process: Process, host: str) -> str:
    """Return the node name of a worker on `host`; empty if the process is none."""
    arguments = arguments_of(process.argv)
    if process.is_zombie or subcommand(arguments) != "worker":
        return ""
    return node_name(option(arguments, "-n", "--hostname"), host)


def is_named(names: Collection[str], own_name: str, runner: Runner) -> bool:
    """Return whether `names`, as in the key `beside`, name a worker by its node name or by what runs it."""
    nodes = {node_name(name, os.uname().nodename) for name in names if "@" in name}
    return own_name in nodes or not runner.names.isdisjoint(names)
