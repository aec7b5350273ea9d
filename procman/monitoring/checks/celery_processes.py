"""Recognise workers and beats by the command lines of processes, whatever started them."""

from __future__ import annotations

import os
from collections.abc import Collection

from procman.celery_cli.node_names import node_name
from procman.celery_cli.running import arguments_of, option, subcommand
from procman.host.process_table import Process
from procman.host.runner import Runner


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
