"""Make supervisord read its files again, load programs from them and start them."""

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
    """How the files differ from what supervisord has loaded, by group; a program without a group is its own group."""

    changed: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


def reread(client: Client) -> Reread:
    """Make supervisord read its files again, without loading anything; the error names a file that it cannot read."""
    try:
        [[_, changed, removed]] = client.call("reloadConfig")
    except Fault as fault:
        if fault.code != CANT_REREAD:
            raise
        where = locate_error(fault.text, _contents(client.main)) or client.main.path
        raise ProcmanError(f"{where}: {WORDS[CANT_REREAD]}: {fault.text}", hint=HINTS[CANT_REREAD]) from None
    return Reread(frozenset(changed), frozenset(removed))


def locate_error(text: str, contents: Mapping[Path, str | None]) -> str:
    """Return the file, and the line if known, that supervisord's error `text` is about; empty if unknown.

    `contents` maps each file that it reads to its present or future content, None if that is not valid text.
    """
    found_section = re.search(r"\[([^\]:]+:[^\]]+)\]|in section '([^']+)'", text)
    section = found_section and (found_section[1] or found_section[2])
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
    """Return the content of the files that supervisord reads, in its order: the main file, then the included ones."""
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
    """Load `program`, which starts it if it has autostart; return what else was done.

    A program of the same name in a group that is no longer configured (an adopted section) is drained first, so that
    there are never two of it.
    """
    leftovers = _leftovers(client, program.name)
    done = []
    if leftovers:
        drain(
            client,
            leftovers,
            program.stop_timeout_seconds,
            progress,
            user=program.user,
            stop_signal=program.stop_signal,
        )
        done = unload(client, leftovers)
    try:
        client.call("addProcessGroup", program.name)
    except Fault as fault:
        if fault.code == BAD_NAME:
            raise ProcmanError(
                f"{program.name}: supervisord does not read its section",
                hint=f"Check [include] in {client.main.path}, then run `procman install`.",
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
    """Load the changed section of `name`, which has ended; this starts it if it has autostart."""
    client.call("removeProcessGroup", name)
    client.call("addProcessGroup", name)


def start(client: Client, programs: Iterable[InstalledProgram], progress: Progress) -> None:
    """Start those of `programs` that are not running, in order, from their current sections."""
    differences = _reread_if_possible(client, progress)
    for program in programs:
        _start(client, program, differences, progress)


def _reread_if_possible(client: Client, progress: Progress) -> Reread:
    """Reread the files if possible: an invalid unmanaged file must not prevent the start of loaded programs."""
    try:
        return reread(client)
    except NotRunning:
        raise
    except ProcmanError as error:
        progress(f"{error.message}; starting programs as supervisord has loaded them")
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
    """Make supervisord start `program`, without waiting whether it stays up."""
    try:
        client.call("startProcess", program.name, False)
    except Fault as fault:
        if fault.code == ALREADY_STARTED:
            return
        where = "".join(f" and {file}" for file in program.log_files[-1:])
        raise ProcmanError(fault.message, hint=fault.hint or f"See {client.main.log_file}{where}.") from None
