"""Find out what runs a process, and would start it again: a systemd unit, supervisord, honcho, or a container."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from procman.celery_cli.running import option
from procman.host.process import PAGE_BYTES, content, directory_of, environment_of, stat_fields, status_numbers

SUPERVISORD = ("supervisord", "supervisord.py", "supervisor.supervisord")
HONCHO = "honcho"

MOST_ANCESTORS = 16

USER_MANAGER = "user@"
"""The beginning of the unit of a user's systemd, which has units of its own."""


class Runner(NamedTuple):
    """What runs a process; all fields are empty if it was started by hand."""

    unit: str = ""
    """A systemd service."""
    is_of_user: bool = False
    """Whether `unit` belongs to a user's systemd."""
    program: str = ""
    """Its name in supervisord as supervisorctl prints it, or in a Procfile."""
    manager: int = 0
    """The pid of that supervisord or honcho."""
    is_honcho: bool = False
    in_container: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Return every name by which an administrator knows it."""
        of_program = {self.program, self.program.rpartition(":")[2]}
        return frozenset({self.unit, self.unit.removesuffix(".service"), *of_program} - {""})

    def __str__(self) -> str:
        if self.in_container:
            return "in a container"
        if self.program:
            return f"{self.program} of {HONCHO if self.is_honcho else 'supervisord'}"
        return self.unit


def runner_of(pid: int) -> Runner:
    """Return what runs process `pid`, as far as the caller may see it.

    The process chooses its environment and so the name of its program: never decide by it for whom to signal.
    """
    # From proc(5): its pid in each pid namespace below the one of this /proc.
    if len(status_numbers(pid, b"NSpid:")) > 1:
        return Runner(in_container=True)
    for ancestor, words in _ancestors(pid):
        if any(Path(word).name in SUPERVISORD for word in words):
            return Runner(program=_program_of_supervisord(pid), manager=ancestor)
        if any(Path(word).name == HONCHO for word in words):
            return Runner(
                program=_shown(environment_of(pid).get("HONCHO_PROCESS_NAME", "?")), manager=ancestor, is_honcho=True
            )
    return _unit_in(_control_group(pid))


def has_read(manager: int, file: Path, *, is_honcho: bool) -> bool:
    """Return whether the supervisord or honcho `manager` has read `file`, as far as its command line names one."""
    words, directory = _words(manager), directory_of(manager) or Path("/")
    if is_honcho:
        directory /= option(words, "-d", "--app-root") or "."
    named = option(words, "-f", "--procfile") or "Procfile" if is_honcho else option(words, "-c", "--configuration")
    return named is None or os.path.realpath(directory / named) == os.path.realpath(file)


def _words(pid: int) -> list[str]:
    try:
        return content(pid, "cmdline", PAGE_BYTES).decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def _ancestors(pid: int) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield each ancestor of process `pid` with the first words of its command line, its parent first."""
    for _ in range(MOST_ANCESTORS):
        fields = stat_fields(pid)
        pid = int(fields[1]) if fields else 0
        if pid <= 1:
            return
        words = _words(pid)
        if not words:
            return
        yield pid, words[:4]


def _program_of_supervisord(pid: int) -> str:
    variables = environment_of(pid)
    name, group = variables.get("SUPERVISOR_PROCESS_NAME", "?"), variables.get("SUPERVISOR_GROUP_NAME", "")
    return _shown(name if group in ("", name) else f"{group}:{name}")


def _shown(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name[:200])


def _control_group(pid: int) -> str:
    """Return the path of the control group in which systemd keeps the process (cgroups(7), version 1 or 2)."""
    try:
        lines = content(pid, "cgroup").decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    fields = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    paths = {controllers: path for _, controllers, path in fields if controllers in ("", "name=systemd")}
    return next((path for path in paths.values() if path not in ("", "/")), "")


def _unit_in(path: str) -> Runner:
    parts = path.split("/")
    services = [part for part in parts if part.endswith(".service")]
    is_of_user = any(part.startswith(USER_MANAGER) for part in services)
    own = [part for part in services if not part.startswith(USER_MANAGER)]
    return Runner(unit=_shown(own[-1]), is_of_user=is_of_user) if own else Runner()
