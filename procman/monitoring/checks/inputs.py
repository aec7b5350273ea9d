"""Define the input of the checks of installed programs: plain data, gathered by `procman.monitoring.health`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from procman.agent.verdict import AT_WORK, Verdict
from procman.host.process_table import Process, Processes, by_parent
from procman.install.state.manifest import Manifest
from procman.model import End, InstalledProgram, ProgramState, State
from procman.records import record

if TYPE_CHECKING:
    # `status` must not wait for these imports.
    from procman.agent.task_record import RunningTask
    from procman.host.inactivity import Inactivity
    from procman.host.write_problem import WriteProblem
    from procman.monitoring.checks.broker_look import BrokerLook
    from procman.probes.broker_facts import BrokerFacts


class Heartbeat(NamedTuple):
    """The heartbeat of a program, or the reason why it cannot be read."""

    content: Mapping[str, Any] | None
    """As `heartbeat_format.read` of the agent returns it, of this boot and of the program's own process; or None."""
    problem: str = ""
    """Why it cannot be read; empty if there is no file, or the file of another process."""
    write_problem: WriteProblem | None = None
    """Why the program cannot write it; None if it can, or if no reason can be seen."""
    earlier: int | None = None
    """The pid of an earlier process of the program, which still writes the file; this one waits for its lock."""
    remedy: str = ""
    """How to fix `problem`; empty: as usual."""


NONE = Heartbeat(None)


class EndReport(NamedTuple):
    """How a main process or a pool process ended, and which tasks it was running."""

    end: End
    cause: str = ""
    """Of a SIGKILL; empty for any other end."""
    tasks: tuple[RunningTask, ...] = ()
    total: int = 0
    """How many tasks were running, as far as known, with those that could not be recorded."""

    @property
    def reason(self) -> str:
        """How it ended, and why."""
        return f"{self.end.how} ({self.cause})" if self.cause else self.end.how


class KeptWorker(NamedTuple):
    """One process of a worker that overlaps."""

    slot: str
    pid: int
    state: str
    started: float
    """By the monotonic clock, as `since`."""
    since: float
    directory: Path


class FailedOverlap(NamedTuple):
    """The last overlap restart of a worker, which failed or was refused."""

    at: float
    """Seconds since the epoch."""
    outcome: str
    """`failed` or `refused`."""
    reason: str


class Keeper(NamedTuple):
    """The parent of the processes of a worker that overlaps."""

    pid: int
    written: float | None
    """When it last described its processes, by the monotonic clock: every 10 seconds. None: an earlier version."""
    overlap_failed: FailedOverlap | None
    """None if the last overlap restart succeeded, or if there was none since the program was started."""


class ProgramSnapshot(NamedTuple):
    """A program, its state and its heartbeat at one moment."""

    program: InstalledProgram
    state: ProgramState
    heartbeat: Heartbeat = NONE
    verdict: Verdict | None = None
    """None: there is no heartbeat to judge."""
    restart_due: str = ""
    """Why, or empty."""
    inactivity: Inactivity | None = None
    """What was seen of its main process; None unless its heartbeat is old."""
    last_error: str = ""
    """The line of its log that names why its last run ended; empty unless it is in a crash loop."""
    ended: EndReport | None = None
    """Its last end since the last order, within an hour, that neither an order nor healing caused."""
    pool_ended: EndReport | None = None
    """The last end of one of its pool processes, within an hour, that Celery did not cause."""
    draining: tuple[KeptWorker, ...] = ()
    """The earlier processes of a worker that overlaps, which finish their tasks."""
    keeper: Keeper | None = None
    """None: it does not overlap, or its keeper has described nothing yet."""
    run_directory: Path | None = None
    """That of its main process: one of several, if it overlaps."""

    @property
    def mains(self) -> tuple[int, ...]:
        """Its main process, if it has one, and the earlier ones that drain."""
        return tuple(pid for pid in (self.state.pid, *(each.pid for each in self.draining)) if pid)

    @property
    def is_up(self) -> bool:
        """Whether it has a process and is not being stopped."""
        return self.state.pid is not None and self.state.state in (State.RUNNING, State.STARTING)

    @property
    def is_started(self) -> bool:
        """Whether the process manager has it running, or its heartbeat shows that it already works.

        supervisord keeps a program in STARTING until `start_seconds` have passed, whatever the program does.
        """
        if self.state.state is State.STARTING:
            return self.says.get("phase") in AT_WORK
        return self.state.state is State.RUNNING

    @property
    def says(self) -> Mapping[str, Any]:
        """The heartbeat; empty if there is none."""
        return self.heartbeat.content or {}


@record(frozen=True)
class ProjectSnapshot:
    """An installed project at one moment."""

    manifest: Manifest
    launcher: Path
    """The path of the installed launcher."""
    programs: tuple[ProgramSnapshot, ...]
    others: tuple[int, ...] = ()
    """The main processes of the project's other programs, which are not being checked."""
    processes: Processes = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    """How the files differ from the installed generation."""
    is_half_removed: bool = False
    """Whether an uninstall was interrupted."""
    places: Mapping[Path, str] = field(default_factory=dict)
    """Directories that need free space, and the purpose of each."""
    broker: BrokerFacts | None = None
    """None: the broker was not queried."""
    broker_problem: str = ""
    """Why the broker could not be queried."""
    look: BrokerLook | None = None
    """What the watcher, or just now a query, has seen of the project's brokers; None: nothing, or too long ago."""
    is_whole: bool = True
    """Whether the whole project is checked, and not single programs."""

    @property
    def up(self) -> tuple[ProgramSnapshot, ...]:
        """The programs that have a process."""
        return tuple(each for each in self.programs if each.is_up)

    @cached_property
    def _children(self) -> Mapping[int, Sequence[Process]]:
        return by_parent(self.processes)

    def below(self, pid: int) -> list[Process]:
        """Return process `pid` and all processes below it, `pid` first; none if it has ended."""
        found = [self.processes[pid]] if pid in self.processes else []
        for process in found:
            found += self.children(process.pid)
        return found

    def children(self, pid: int) -> Sequence[Process]:
        """Return the children of process `pid`."""
        return self._children.get(pid, ())

    def tree(self, snapshot: ProgramSnapshot) -> list[Process]:
        """Return the processes of a program, its main process first, and those that drain last."""
        return [process for pid in snapshot.mains for process in self.below(pid)]
