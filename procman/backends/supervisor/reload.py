"""Has supervisord read its files again, load programs from them and start them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from procman.backends.base import Progress
from procman.backends.supervisor.client import (
    ALREADY_ADDED,
    ALREADY_STARTED,
    BAD_NAME,
    CANT_REREAD,
    HINTS,
    WORDS,
    Client,
    Fault,
    NotRunning,
)
from procman.backends.supervisor.configuration.includes import included
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.configuration.sections import sections_of
from procman.backends.supervisor.graceful_stop import drain, stop_gracefully, unload
from procman.backends.supervisor.states import RUNNING_STATES, state_of
from procman.errors import ProcmanError
from procman.model import InstalledProgram, State


@dataclass(frozen=True)
class Reread:
    """How the files differ from what supervisord runs, by name of the group; an ungrouped program is its own."""

    changed: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


def reread(client: Client) -> Reread:
    """Have supervisord read its files again, which loads nothing yet; the error names the file it cannot read."""
    try:
        [[_, changed, removed]] = client.call("reloadConfig")
    except Fault as fault:
        if fault.code != CANT_REREAD:
            raise
        where = locate_error(fault.text, _contents(client.main)) or client.main.path
        raise ProcmanError(f"{where}: {WORDS[CANT_REREAD]}: {fault.text}", hint=HINTS[CANT_REREAD]) from None
    return Reread(frozenset(changed), frozenset(removed))


def locate_error(text: str, contents: Mapping[Path, str | None]) -> str:
    """Return the file, with a line if it can be found, that supervisord's complaint TEXT is about; empty if unknown.

    CONTENTS holds what is or will be in the files it reads; None: cannot be read as text.
    """
    said = re.search(r"\[([^\]:]+:[^\]]+)\]|in section '([^']+)'", text)
    section = said and (said[1] or said[2])
    for file, content in contents.items():
        if content is None:
            if "codec can't decode" in text:
                return str(file)
            continue
        found = next((each for each in sections_of(content) if each.header == section), None)
        if found:
            return f"{file}:{found.line}"
        if not section and f"'{file}'" in text:
            return str(file)
    return ""


def _contents(main: MainFile) -> dict[Path, str | None]:
    """Return what is in the files that supervisord reads, in its order: its own, then the included ones."""
    found: dict[Path, str | None] = {}
    for file in (main.path, *included(main.includes)):
        try:
            found[file] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            found[file] = None
        except OSError:
            continue
    return found


def load(client: Client, program: InstalledProgram, progress: Progress) -> list[str]:
    """Load PROGRAM, which starts it if it autostarts; say what else was done.

    What runs under its name in a group that is no longer configured so (a section taken over from somebody else) is
    drained first, that there are never two of it.
    """
    leftovers = _leftovers(client, program.name)
    done = []
    if leftovers:
        drain(client, leftovers, program.stop_timeout_seconds, progress)
        done = unload(client, leftovers)
    try:
        client.call("addProcessGroup", program.name)
    except Fault as fault:
        if fault.code == BAD_NAME:
            raise ProcmanError(
                f"{program.name}: supervisord does not read its section",
                hint=f"See [include] in {client.main.path}, and run `procman install`.",
            ) from None
        if fault.code != ALREADY_ADDED:
            raise
    return done


def _leftovers(client: Client, name: str) -> list[str]:
    elsewhere = [info["group"] for info in client.call("getAllProcessInfo") if info["name"] == name != info["group"]]
    if not elsewhere:
        return []
    configured = {info["group"] for info in client.call("getAllConfigInfo") if info["name"] == name}
    return [f"{group}:{name}" for group in elsewhere if group not in configured]


def load_again(client: Client, name: str) -> None:
    """Load the changed section of NAME, which has ended; it starts if it autostarts."""
    client.call("removeProcessGroup", name)
    client.call("addProcessGroup", name)


def start(client: Client, programs: Iterable[InstalledProgram], progress: Progress) -> None:
    """Start what of `programs` does not run, in order, from its section as it is in the files now."""
    differences = _reread_if_possible(client, progress)
    for program in programs:
        _start(client, program, differences, progress)


def _reread_if_possible(client: Client, progress: Progress) -> Reread:
    """A file of somebody else that cannot be read is no reason not to start what is loaded."""
    try:
        return reread(client)
    except NotRunning:
        raise
    except ProcmanError as error:
        progress(f"{error.message}; starting what supervisord has loaded")
        return Reread()


def _start(client: Client, program: InstalledProgram, differences: Reread, progress: Progress) -> None:
    info = client.infos([program.name])[program.name]
    if info is None:
        load(client, program, progress)
    elif state_of(info) in RUNNING_STATES:
        return
    else:
        if state_of(info) is State.STOPPING:
            stop_gracefully(client, {program.name: program.stop_timeout_seconds}, progress)
        if program.name in differences.changed:
            load_again(client, program.name)
    order_start(client, program)


def order_start(client: Client, program: InstalledProgram) -> None:
    """Tell supervisord to start PROGRAM; it need not have stayed up when this returns."""
    try:
        client.call("startProcess", program.name, False)
    except Fault as fault:
        if fault.code == ALREADY_STARTED:
            return
        where = f" and {program.log_file}" if program.log_file else ""
        raise ProcmanError(fault.message, hint=fault.hint or f"See {client.main.log_file}{where}.") from None
