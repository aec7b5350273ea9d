"""Collect the queues of a project: what waits in them, who consumes them, and since when nothing was taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from procman.agent import LAUNCHER
from procman.backends import controller_of
from procman.background import Background
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.manifest import Manifest
from procman.lookup import Installed
from procman.model import Level, ProgramState, Result
from procman.monitoring.broker_look import look_at, read_look, records, require_permission
from procman.monitoring.broker_query import ask_broker
from procman.monitoring.checks.broker import check_credentials, check_queues, check_reachable
from procman.monitoring.checks.broker_look import RECENT_SECONDS, BrokerLook, Waiting, next_look
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot
from procman.monitoring.checks.waiting import check_unconsumed, check_untaken
from procman.monitoring.program_view import Moment, now, program_snapshots
from procman.monitoring.states import states_of
from procman.probes.broker_facts import BrokerFacts, QueueFacts
from procman.program_names import resolve


class Source(Enum):
    """Who counted the messages."""

    BROKER = "broker"
    """The broker, just now."""
    WATCHER = "watcher"
    """The broker, when the watcher asked it last."""
    HEARTBEATS = "heartbeats"
    """The workers, which ask about their own queues."""


class QueueRow(NamedTuple):
    """One queue; None: unknown."""

    broker: str
    """The broker's URL, without its password."""
    name: str
    ready: int | None
    unacknowledged: int | None
    consumers: int | None
    programs: tuple[ProgramState, ...]
    """The states of the programs that consume it."""
    untaken_seconds: float | None
    """For how long nothing has been taken from it; None if it is empty."""


class ProjectQueues(NamedTuple):
    """The queues of a project at one moment."""

    manifest: Manifest
    source: Source
    at: float
    """When they were counted, in seconds since the epoch."""
    age_seconds: float
    rows: tuple[QueueRow, ...]
    problem: str
    """Why the broker could not be asked; empty if it was."""
    failures: tuple[Result, ...]
    """The brokers that do not answer."""
    warnings: tuple[Result, ...]
    """PM304, PM505 and PM506."""

    @property
    def exit_status(self) -> int:
        """0, or 1 if a broker does not answer, or nothing is known (U2)."""
        return 1 if self.failures or (self.problem and not self.rows) else 0


def queues(installed: Installed, names: Sequence[str]) -> ProjectQueues:
    """Return the queues of the programs in `names`, which may also name queues; without names, all of the project.

    Asks the broker if the caller may, with a time limit; nothing is declared, taken or written.
    """
    manifest, moment = installed.manifest, now()
    states = Background(lambda: states_of(installed, controller_of(manifest), manifest.programs))
    with Tree() as tree:
        before = read_look(tree, manifest, moment.boot)
    look = _asked(installed, before, moment)
    source, problem = Source.BROKER, look.problem
    snapshots = program_snapshots(manifest, manifest.programs, states.result(), with_restarts=False)
    if problem:
        is_recent = before is not None and moment.monotonic - before.at <= RECENT_SECONDS
        source = Source.WATCHER if is_recent else Source.HEARTBEATS
        look = before if before and is_recent else _reported(snapshots, moment)
    look = _selected(look, manifest, names)
    running = ProjectSnapshot(manifest, manifest.directories.library / LAUNCHER, tuple(snapshots), look=look)
    return ProjectQueues(
        manifest=manifest,
        source=source,
        at=look.wall,
        age_seconds=moment.monotonic - look.at,
        rows=tuple(_rows(look, snapshots)),
        problem=problem,
        failures=tuple(_failures(running, look)) if source is Source.BROKER else (),
        warnings=tuple(_warnings(running, look)) if source is not Source.HEARTBEATS else (),
    )


def _asked(installed: Installed, before: BrokerLook | None, moment: Moment) -> BrokerLook:
    if records(installed.manifest):
        return look_at(installed, before, moment)
    # No worker has been started by an agent that leaves a record.
    look = BrokerLook(moment.boot or "", moment.monotonic, moment.wall)
    try:
        require_permission(installed.manifest)
        return next_look(before, look.with_brokers((ask_broker(installed),)))
    except ProcmanError as error:
        return look.with_problem(error.message)


def _reported(snapshots: Sequence[ProgramSnapshot], moment: Moment) -> BrokerLook:
    """Return what the workers that run have last reported about their own queues."""
    asked = sorted(
        (each for each in snapshots if each.says.get("queues_asked") is not None),
        key=lambda each: float(each.says["queues_asked"]),
    )
    latest: dict[str, QueueFacts] = {}
    for each in asked:
        for queue in each.says["queues"]:
            known = latest.get(queue["name"])
            programs = (*(known.programs if known else ()), each.program.name)
            latest[queue["name"]] = QueueFacts(queue["name"], queue["messages"], queue["consumers"], None, programs)
    oldest = min((float(each.says["queues_asked"]) for each in asked), default=moment.monotonic)
    broker = BrokerFacts(None, "", "", queues=tuple(latest[name] for name in sorted(latest)))
    wall = moment.wall - (moment.monotonic - oldest)
    return BrokerLook(moment.boot or "", oldest, wall, (broker,) if latest else ())


def _rows(look: BrokerLook, snapshots: Sequence[ProgramSnapshot]) -> Iterator[QueueRow]:
    states = {each.program.name: each.state for each in snapshots}
    for broker, queue, since in look.queues():
        programs = tuple(states[name] for name in queue.programs if name in states)
        untaken = _untaken(queue, look, since, snapshots)
        yield QueueRow(broker.url, queue.name, queue.messages, queue.unacknowledged, queue.consumers, programs, untaken)


def _untaken(
    queue: QueueFacts, look: BrokerLook, since: Waiting | None, snapshots: Sequence[ProgramSnapshot]
) -> float | None:
    """Return for how long nothing was taken, by the looks or by the idle workers of the queue, whichever is longer."""
    if not queue.messages:
        return None
    idle = [each.says.get("idle_with_messages_since") for each in snapshots if each.program.name in queue.programs]
    since_times = [since.untaken_since] if since else []
    since_times += [each for each in idle if each is not None and len(idle) == 1]
    return max((look.at - each for each in since_times), default=None)


def _selected(look: BrokerLook, manifest: Manifest, names: Sequence[str]) -> BrokerLook:
    """Return `look` with the queues in `names`, or of programs in it; ConfigurationError if one is neither."""
    if not names:
        return look
    of_queues = {queue.name for _, queue, _ in look.queues()}.intersection(names)
    others = [name for name in names if name not in of_queues]
    programs = {each.name for each in resolve(manifest.project, manifest.programs, others)} if others else set()

    def restricted(broker: BrokerFacts) -> BrokerFacts:
        queues = [each for each in broker.queues if each.name in of_queues or programs.intersection(each.programs)]
        return replace(broker, queues=tuple(queues))

    return look.with_brokers(map(restricted, look.brokers))


def _failures(running: ProjectSnapshot, look: BrokerLook) -> Iterator[Result]:
    for broker in look.brokers:
        asked = replace(running, broker=broker)
        results = (*check_reachable(asked), *check_credentials(asked))
        yield from (result for result in results if result.level is not Level.OK)


def _warnings(running: ProjectSnapshot, look: BrokerLook) -> Iterator[Result]:
    results: list[Result] = []
    for broker in look.brokers:
        results += check_queues(replace(running, broker=broker))
    # With a broker, the checks know that a person asks now.
    asked = replace(running, broker=look.brokers[0]) if look.brokers else running
    results += [*check_unconsumed(asked), *check_untaken(asked)]
    yield from (result for result in results if result.level is not Level.OK)
