"""Recognise the existing programs that a project has adopted, or will adopt, among the processes of the host."""

from __future__ import annotations

import re

from procman.host.runner import Runner
from procman.sources import INIT_D, PROCFILE, SUPERVISOR, SYSTEMD, Source

SERVICE = ".service"


def runs(runner: Runner, source: Source, node_name: str = "") -> bool:
    """Return whether a process that `runner` runs, a worker with `node_name` or a beat, is `source`."""
    if source.scheme in (SYSTEMD, INIT_D):
        # systemd makes a unit of each script in /etc/init.d.
        unit = source.place if source.place.endswith(SERVICE) else f"{source.place}{SERVICE}"
        return runner.unit == unit and source.name.partition("@")[0] in ("", node_name.partition("@")[0])
    if source.scheme == PROCFILE:
        return runner.is_honcho and runner.program.partition(".")[0] == source.name
    return source.scheme == SUPERVISOR and not runner.is_honcho and source.name in _names_in_supervisord(runner.program)


def _names_in_supervisord(program: str) -> tuple[str, ...]:
    """Return the names that the section of `program` may have: one with numprocs has a number, and its own group."""
    group, _, name = program.rpartition(":")
    return (name, re.sub(r"_?\d+$", "", name), *((group,) if name.startswith(group) else ()))
