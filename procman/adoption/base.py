"""The Protocol of an adopter, which takes over the existing programs of one scheme (`procman.sources`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from procman.model import Adopted, Link
from procman.project import Project
from procman.sources import Source

Progress = Callable[[str], None]
"""Receives a message, for people, about what a long operation is waiting for."""


@dataclass(frozen=True)
class Candidate:
    """Something that runs existing programs and stops as a whole: a program of supervisord, a unit, an init.d script.

    Found before anything is changed.
    """

    sources: tuple[Source, ...]
    """Every source that it runs and the project adopts: several for the nodes of one `celery multi`."""
    label: str
    """What messages call it: `[program:celery] of /etc/supervisor/conf.d/celery.conf`, `celery.service`."""
    is_running: bool
    """Whether it runs, or would be started again at any moment: its desired state (R11)."""
    is_enabled: bool
    """Whether it starts at boot by itself."""
    has_beat: bool
    """Whether a beat runs in it, which stops before every other program."""
    files: Mapping[Path, str | None] = field(default_factory=dict)
    """What its unmanaged files will contain; None for a file that is set aside. They are backed up and restored."""
    links: tuple[Link, ...] = ()
    """Symbolic links that define it or start it at boot: `stop` removes them, and `bring_back` makes them again."""
    manager: str = ""
    """How to reach what runs it, such as the supervisord.conf; empty if that is clear from the source."""
    pids: tuple[int, ...] = ()
    """The processes that it runs now, without their children: preflight reports every other worker and beat."""
    processes: tuple[str, ...] = ()
    """What `stop` and `forget` need in order to find it later, even after an interruption: names in supervisord, or
    processes by `procman.host.process.identity`."""
    stop_signal: str = "TERM"
    """The signal on which it ends gracefully; that of Celery, unless a command takes its place."""


class Adopter(Protocol):
    """Takes over the existing programs of one scheme."""

    def find(self, sources: Sequence[Source], project: Project) -> list[Candidate]:
        """Return what runs `sources`, each source in exactly one candidate. Changes nothing.

        Raises one ProcmanError with a line for each source that matches nothing or cannot be adopted. The line begins
        with the source; the caller adds procman.toml and the table.
        """

    def stop(self, candidate: Candidate, seconds: int, progress: Progress) -> str:
        """Stop the candidate gracefully, for at most `seconds`, so that nothing starts it again; return what was done.

        Its files have been changed already. Its running tasks finish, whatever its own stop would do to them. Raises
        ProcmanError if a process is left. Idempotent. After an interruption the candidate has everything except
        `files` and `pids`, as it was found before the install began. May be called for several candidates at once.
        """

    def forget(self, candidate: Candidate, progress: Progress) -> str:
        """Remove the stopped candidate from the memory of what ran it, as far as possible without touching others.

        Return what an administrator must know about the rest, such as a command that would start it again; or empty.
        """

    def bring_back(self, adopted: Adopted, progress: Progress) -> str:
        """Start what was adopted, whose files are restored, as it was before; return what was done.

        If procman cannot, return the one command that does.
        """
