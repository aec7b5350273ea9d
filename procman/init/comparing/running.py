"""Read from /proc how the existing programs run now, as evidence beside their files."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from procman.accounts import group_name, user_name
from procman.celery_cli.canonical import canonical
from procman.celery_cli.parse import read_command
from procman.host import process
from procman.host.celery_processes import TITLE, mains_among
from procman.init.comparing.behaviour import Running, node_name
from procman.init.importing.existing import Existing


def running_process(existing: Existing, pids: Iterable[int], places: Collection[Path] = ()) -> Running | None:
    """Return the process of `existing` among `pids`, which what runs it has started, and their descendants.

    None: it does not run, or several could be it. A process whose title hides its command line (setproctitle) is found
    only if it is the only one. The kernel resolves links: a directory of the process that is one of `places`, or that
    of the files, gets the name that it has there.
    """
    mains = [_read(each.pid, list(each.argv)) for each in mains_among(pids)]
    for alike in (_node, _options):
        if len(mains) > 1:
            mains = [each for each in mains if alike(each.words, each.host) == alike(existing.words, each.host)]
    if len(mains) != 1:
        return None
    known = existing.command.project if existing.command else {}
    named = [Path(str(each)) for each in (existing.directory, known.get("virtualenv")) if each]
    [found] = mains
    virtualenv, directory = (_as_named(each, [*named, *places]) for each in (found.virtualenv, found.directory))
    return replace(found, virtualenv=virtualenv, directory=directory)


def _as_named(path: str | None, places: Iterable[Path]) -> str | None:
    if path is None:
        return None
    return next((str(place) for place in places if os.path.realpath(place) == os.path.realpath(path)), path)


def _node(words: Iterable[str], host: str) -> str | None:
    command = canonical(tuple(words))
    return node_name(command.options, host) if command else None


def _options(words: Iterable[str], host: str) -> object:
    """Return the command with everything but its node name, which `host` completes."""
    command = canonical(tuple(words))
    return command and (command.kind, {**command.options, "--hostname": node_name(command.options, host)})


def _read(pid: int, words: list[str]) -> Running:
    user, nice, directory = process.user_of(pid), process.nice_of(pid), process.directory_of(pid)
    group, umask = process.status_numbers(pid, b"Gid:")[1:2], process.status_numbers(pid, b"Umask:")
    command = read_command(words)
    virtualenv = command.project.get("virtualenv") if command else None
    return Running(
        pid,
        socket.gethostname(),
        tuple(words),
        # A title overwrites the environment, too.
        {} if words[0].startswith(TITLE) else process.environment_of(pid),
        virtualenv=None if virtualenv is None else str(virtualenv),
        directory=None if directory is None else str(directory),
        user=None if user is None else user_name(user),
        group=group_name(group[0]) if group else None,
        # The digits are octal, as in procman.toml.
        umask=f"{umask[0]:03}" if umask else None,
        nice=None if nice is None else str(nice),
    )
