"""Name the workers and beats of the app that run on this host already, with what imports them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from procman.accounts import user_name
from procman.adoption.running import source_of
from procman.agent import LAUNCHER
from procman.celery_cli.parse import CeleryCommand, read_command
from procman.celery_cli.running import arguments_of
from procman.celery_cli.same_app import AppPlace, is_of_app
from procman.host.celery_processes import is_celery
from procman.host.process import directory_of, user_of
from procman.host.process_table import Process, look_at
from procman.host.runner import runner_of
from procman.init.draft import Draft

MOST_NAMED = 5


def mention_running(draft: Draft) -> None:
    """Warn about the programs of the app in `draft` that run already: two beats would send every task twice."""
    app, directory, virtualenv = draft.text("project", "app"), draft.path("directory"), draft.path("virtualenv")
    if not (app and directory and virtualenv):
        return
    found = list(_running(AppPlace(app, directory, virtualenv)))
    if not found:
        return
    named = [_named(process, command) for process, command in found]
    more = [f"{len(named) - MOST_NAMED} more"] * (len(named) > MOST_NAMED)
    draft.warn(f"the app runs on this host already, as {', '.join([*named[:MOST_NAMED], *more])}: {_remedy(found)}")


def _remedy(found: Sequence[tuple[Process, CeleryCommand]]) -> str:
    others = [process for process, _ in found if not _is_procmans(process)]
    if not others:
        return "procman list shows the projects"
    sources = filter(None, (source_of(runner_of(process.pid)) for process in others))
    places = dict.fromkeys(f"--from {shlex.quote(each.place)}" for each in sources)
    if not places:
        return "stop them before the install, and prevent their next start"
    return f"to import them, type procman init {' '.join(places)}"


def _running(place: AppPlace) -> Iterator[tuple[Process, CeleryCommand]]:
    processes = look_at((), ("celery", LAUNCHER))
    for process in processes.values():
        parent = processes.get(process.parent)
        if not is_celery(process) or (parent and is_celery(parent)):
            continue
        command = read_command(["celery", *arguments_of(process.argv)])
        if command and is_of_app(command, process.argv, directory_of(process.pid), place):
            yield process, command


def _named(process: Process, command: CeleryCommand) -> str:
    user, runner = user_of(process.pid), runner_of(process.pid)
    by = "started by procman" if _is_procmans(process) else str(runner)
    who = f"process {process.pid} of {'?' if user is None else user_name(user)}"
    return f"{command.kind.value} ({', '.join(filter(None, (who, by)))})"


def _is_procmans(process: Process) -> bool:
    return any(Path(word).name == LAUNCHER for word in process.argv[:3])
