"""Examine the health of a project: whether workers consume and beat ticks, not only whether processes exist."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from procman.agent import LAUNCHER
from procman.backends import controller_of
from procman.celery_cli.running import CELERY
from procman.errors import ProcmanError
from procman.host.process_table import look_at
from procman.install.plan.drift import differences
from procman.install.safe_fs.tree import Tree
from procman.install.state.holds import Hold, read_holds
from procman.install.state.manifest import Manifest
from procman.lookup import Installed
from procman.model import InstalledProgram, Level, ProgramState, Result
from procman.monitoring.broker_look import recent_look
from procman.monitoring.checks.accepted import with_accepted
from procman.monitoring.checks.barrier import run_each
from procman.monitoring.checks.causes import without_effects
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot
from procman.monitoring.checks.quick import SEVERITY, most_severe
from procman.monitoring.checks.redelivery import longest
from procman.monitoring.checks.registry import RUNNING, Check, Reach
from procman.monitoring.program_view import program_snapshots
from procman.monitoring.states import states_of
from procman.program_names import resolve

if TYPE_CHECKING:
    # Monitoring runs this every minute, and hardly ever queries the broker.
    from procman.probes.broker_facts import BrokerFacts

OK = Result("PM200", None, Level.OK, "")

DOUBTFUL = ("PM202", "PM401")
"""Problems that an unreachable broker can cause."""


@dataclass(frozen=True)
class ProgramHealth:
    """One program, and the results of every check of it."""

    snapshot: ProgramSnapshot
    results: tuple[Result, ...]
    hangs: bool = False
    """Whether its checks have not ended within their time limit."""

    @property
    def program(self) -> InstalledProgram:
        """The program."""
        return self.snapshot.program

    @property
    def worst(self) -> Result:
        """The most severe result; for a healthy program, that of its heartbeat, or else the last with a detail."""
        worst = most_severe(self.results) if self.results else OK
        if worst.level is not Level.OK:
            return worst
        detailed = [result for result in self.results if result.detail and not result.accepted]
        verdict = self.snapshot.verdict
        of_heartbeat = [result for result in detailed if verdict and result.code == verdict.code]
        return next(reversed(of_heartbeat or detailed), worst)


@dataclass(frozen=True)
class Health:
    """The health of an installed project, or of some of its programs, at one moment."""

    manifest: Manifest
    at: float
    """Seconds since the epoch."""
    programs: tuple[ProgramHealth, ...]
    results: tuple[Result, ...]
    """Results of the project as a whole."""
    probed: bool = False
    """Whether the broker was queried."""
    tracebacks: tuple[str, ...] = ()
    """Of the checks that failed."""

    @property
    def everything(self) -> tuple[Result, ...]:
        """Every result, those of programs first."""
        return (*(result for each in self.programs for result in each.results), *self.results)

    @property
    def level(self) -> Level:
        """The most severe level; as a number, the exit status of a monitoring plugin."""
        return max((result.level for result in self.everything), key=SEVERITY.index, default=Level.OK)


def examine(installed: Installed, names: Sequence[str] = (), *, probe: bool = False) -> Health:
    """Return the health of the programs in `names`; without names, of all programs and of the project itself.

    With `probe`, the broker is queried, which takes as long as loading the app. Without, it is queried only if a
    program is stuck and the broker may be the cause. Starts, stops and writes nothing.
    """
    manifest = installed.manifest
    programs = resolve(manifest.project, manifest.programs, names)
    every = states_of(installed, controller_of(manifest), manifest.programs)
    meant = {program.name for program in programs}
    states = [state for state in every if state.name in meant]
    snapshots = program_snapshots(manifest, programs, states)
    facts, problem = None, ""
    if probe or any(_needs_broker(each) for each in snapshots):
        facts, problem = _ask(installed, snapshots)
    if facts and facts.reachable and any(_needs_broker(each) for each in snapshots):
        snapshots = program_snapshots(manifest, programs, states, broker_answered=True)
    running = _running(installed, snapshots, every, facts, problem, is_whole=not names)
    return _judged(running, RUNNING, probed=facts is not None)


def examine_program(manifest: Manifest, program: InstalledProgram, state: ProgramState) -> Health:
    """Return the health of `program`, as far as only its own files and processes show it; query no broker."""
    running = ProjectSnapshot(
        manifest=manifest,
        launcher=manifest.directories.library / LAUNCHER,
        programs=tuple(program_snapshots(manifest, [program], [state], with_restarts=False)),
        processes=look_at([state.pid] if state.pid else [], []),
        is_whole=False,
    )
    return _judged(running, [check for check in RUNNING if check.reach is Reach.PROGRAM])


def examine_project(manifest: Manifest) -> Health:
    """Return the health of the project as a whole, apart from its programs; query no broker."""
    running = ProjectSnapshot(
        manifest=manifest,
        launcher=manifest.directories.library / LAUNCHER,
        programs=(),
        differences=tuple(differences(manifest)),
        places=_places(manifest),
    )
    return _judged(running, [check for check in RUNNING if check.reach is Reach.PROJECT])


def _judged(running: ProjectSnapshot, checks: Sequence[Check[ProjectSnapshot]], *, probed: bool = False) -> Health:
    at = time.time()
    with Tree() as tree:
        holds = read_holds(tree, running.manifest.directories.state, at)
    results, tracebacks = run_each(checks, running)
    results = with_accepted(results, running.manifest.accept)
    found: dict[str | None, list[Result]] = {}
    for result in results:
        found.setdefault(result.program, []).append(_with_hold(result, holds.get(result.program or "")))
    return Health(
        running.manifest,
        at,
        tuple(
            ProgramHealth(each, without_effects(each, found.get(each.program.name, ()))) for each in running.programs
        ),
        tuple(found.get(None, ())),
        probed=probed,
        tracebacks=tuple(tracebacks),
    )


def write(path: Path, text: str) -> None:
    """Replace the file `path` atomically by `text`, readable for every user. Raises ProcmanError."""
    if os.path.isdir(path):  # noqa: PTH112 - returns False, and raises nothing, without permission to look
        raise ProcmanError(f"{path} is a directory", hint=f"Name a file in it, such as {path / 'procman.prom'}")
    with Tree() as tree:
        tree.write(path.absolute(), text.encode("utf-8"), 0o644)


def _needs_broker(snapshot: ProgramSnapshot) -> bool:
    return bool(snapshot.verdict and snapshot.verdict.level == "WARNING" and snapshot.verdict.code in DOUBTFUL)


def _ask(installed: Installed, snapshots: Sequence[ProgramSnapshot]) -> tuple[BrokerFacts | None, str]:
    # Imported when needed: it imports the reader of procman.toml.
    from procman.monitoring.broker_query import ask_broker, with_server_timeout

    seconds = max((longest(each.says)[0] for each in snapshots if each.says), default=0.0)
    try:
        return with_server_timeout(ask_broker(installed), seconds), ""
    except ProcmanError as error:
        return None, error.message


def _with_hold(result: Result, hold: Hold | None) -> Result:
    """Add to a problem of a held program that healing will not solve it: an administrator must not wait for that."""
    if hold is None or result.level is Level.OK:
        return result
    remedy = f"procman release {result.program} (it is then healed again)"
    hint = f"{result.hint}\n{remedy}" if result.hint else remedy
    return result._replace(detail=f"{result.detail} (held by {hold.by}, so it is not healed)", hint=hint)


def _running(
    installed: Installed,
    snapshots: Sequence[ProgramSnapshot],
    every: Sequence[ProgramState],
    facts: BrokerFacts | None,
    problem: str,
    *,
    is_whole: bool,
) -> ProjectSnapshot:
    manifest, asked = installed.manifest, {each.program.name for each in snapshots}
    launcher = manifest.directories.library / LAUNCHER
    return ProjectSnapshot(
        manifest=manifest,
        launcher=launcher,
        programs=tuple(snapshots),
        others=tuple(state.pid for state in every if state.pid and state.name not in asked),
        processes=look_at([state.pid for state in every if state.pid], [LAUNCHER, CELERY]),
        differences=tuple(differences(manifest)) if is_whole and not installed.is_half_removed else (),
        is_half_removed=installed.is_half_removed,
        places=_places(manifest),
        broker=facts,
        broker_problem=problem,
        look=recent_look(manifest, facts) if is_whole else None,
        is_whole=is_whole,
    )


def _places(manifest: Manifest) -> Mapping[Path, str]:
    places = dict.fromkeys(manifest.writable_paths, "writable_paths")
    places |= {path.parent: "beat's schedule" for path in manifest.schedule_files}
    places |= {path.parent: "logs" for path in manifest.log_files}
    return {manifest.directories.state: "procman's state", **places}
