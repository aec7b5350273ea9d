"""What the checks of installed programs are given: plain data, gathered by `procman.monitoring.health`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from procman.agent.verdict import CONSUMING, TICKING, Verdict
from procman.host.process_table import Process, Processes, by_parent
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, ProgramState, State

if TYPE_CHECKING:
    # Nothing that `status` should wait for.
    from procman.probes.broker import BrokerFacts


class Heartbeat(NamedTuple):
    """What a program says of itself, or why that cannot be told."""

    content: Mapping[str, Any] | None
    """As `procman.agent.verdict.read` returns it, of the running boot and its own process; None: none such."""
    problem: str = ""
    """Why it says nothing; empty where there is simply no file, or one of another process."""
    is_touched: bool = False
    """Its file was touched lately although its content is old: it could not be written."""


NONE = Heartbeat(None)


class ProgramSnapshot(NamedTuple):
    """A program with all that is known about it alone."""

    program: InstalledProgram
    state: ProgramState
    heartbeat: Heartbeat = NONE
    verdict: Verdict | None = None
    """None: there is no heartbeat to judge."""
    restart_due: str = ""
    """Why, or empty."""

    @property
    def is_up(self) -> bool:
        """Say whether it has a process and is to have one."""
        return self.state.pid is not None and self.state.state in (State.RUNNING, State.STARTING)

    @property
    def is_started(self) -> bool:
        """Whether the process manager has it running, or its heartbeat shows that it already works.

        supervisord keeps a program in STARTING until `start_seconds` have passed, whatever the program does.
        """
        if self.state.state is State.STARTING:
            return self.says.get("phase") in (CONSUMING, TICKING)
        return self.state.state is State.RUNNING

    @property
    def says(self) -> Mapping[str, Any]:
        """Return the heartbeat, empty where there is none."""
        return self.heartbeat.content or {}


@dataclass(frozen=True)
class ProjectSnapshot:
    """An installed project at one moment."""

    manifest: Manifest
    launcher: Path
    """Where the launcher is installed."""
    programs: tuple[ProgramSnapshot, ...]
    others: tuple[int, ...] = ()
    """The main processes of the project's programs that were not asked for."""
    processes: Processes = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    """How the files differ from what was installed."""
    places: Mapping[Path, str] = field(default_factory=dict)
    """Directories that must not run full, and what each is for."""
    broker: BrokerFacts | None = None
    """None: the broker was not asked."""
    broker_problem: str = ""
    """Why it could not be asked, although it should have been."""
    is_whole: bool = True
    """Whether the project was asked for, and not single programs."""

    @property
    def up(self) -> tuple[ProgramSnapshot, ...]:
        """The programs that have a process."""
        return tuple(each for each in self.programs if each.is_up)

    @cached_property
    def _children(self) -> Mapping[int, Sequence[Process]]:
        return by_parent(self.processes)

    def below(self, pid: int) -> list[Process]:
        """Return PID and all processes below it, PID first; none where it is gone."""
        found = [self.processes[pid]] if pid in self.processes else []
        for process in found:
            found += self._children.get(process.pid, ())
        return found

    def tree(self, snapshot: ProgramSnapshot) -> list[Process]:
        """Return the processes of a program, its main process first; none where that is gone."""
        return self.below(snapshot.state.pid or 0)
