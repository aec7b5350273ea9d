"""Check all programs of a project once, and heal those that need it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from procman.agent.heartbeat_format import MAX_BYTES
from procman.backends import controller_of
from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.host.process import identity
from procman.install.safe_fs.tree import Tree
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state import json_records
from procman.install.state.event_log import Event, append_event
from procman.install.state.generations import HEALING
from procman.install.state.holds import read_holds
from procman.install.state.manifest import Manifest
from procman.lookup import Installed
from procman.model import InstalledProgram, Kind, ProgramState, State
from procman.monitoring.checks.main_process import of_another_user
from procman.monitoring.heal_policy import Decision, Observation, Order, decide_all
from procman.monitoring.healing_history import read_healing_history
from procman.monitoring.health import Health, ProgramHealth, examine
from procman.monitoring.pidfd_signal import send
from procman.monitoring.program_view import Moment, now, owners

SIGNALS = {Order.DUMP: signal.SIGUSR1, Order.STOP: signal.SIGTERM, Order.KILL: signal.SIGKILL}

HEALED_INSIDE = "healed.json"

PROJECT = InstalledProgram("", "", Kind.COMMAND, True, 1, 1, False, None, None, heal=False)
"""Represents the project as a whole, which has results to report and nothing to heal."""


def heal_programs(installed: Installed, report: Callable[[Event], None]) -> Health:
    """Check all programs of `installed` once, and heal; `report` gets each event after it was logged.

    The history is written before any signal is sent: if this process is killed, no signal is sent twice.
    """
    manifest, moment = installed.manifest, now()
    state = manifest.directories.state
    with Tree() as tree:
        holds = read_holds(tree, state, moment.wall)
        history = read_healing_history(tree, state, moment.boot or "")
    health = examine(installed)
    observations = [
        *(_observation(manifest, each, moment, held=each.program.name in holds) for each in health.programs),
        Observation(PROJECT, ProgramState("", desired=True, state=State.RUNNING), "", health.results),
    ]
    after, decisions = decide_all(history, observations, manifest.health, moment.monotonic, moment.wall)
    with Tree() as tree:
        if after != history:
            tree.write(state / HEALING, json_records.to_bytes(after), 0o644)
        controller = controller_of(manifest)
        for observation in observations:
            for event in _carry_out(controller, observation, decisions[observation.program.name]):
                with suppress(ProcmanError):  # a full disk must not prevent healing
                    append_event(tree, state, event)
                report(event)
    return health


def _observation(manifest: Manifest, found: ProgramHealth, moment: Moment, *, held: bool) -> Observation:
    snapshot, verdict = found.snapshot, found.snapshot.verdict
    # Only CRITICAL is healed.
    remedy = verdict.remedy if verdict and verdict.level == "CRITICAL" else ""
    heals = found.program.kind is not Kind.HEALTH and not of_another_user(snapshot)
    return Observation(
        program=found.program if heals else replace(found.program, heal=False),
        state=snapshot.state,
        process=identity(snapshot.state.pid),
        results=found.results,
        remedy=remedy,
        code=verdict.code if verdict and remedy else "",
        phase=snapshot.says.get("phase"),
        busy=bool(snapshot.says.get("busy")),
        tasks=tuple(task["name"] for task in snapshot.says.get("tasks", ())),
        held=held,
        inactivity=snapshot.inactivity,
        healed_inside=healed_inside(manifest, found.program, moment),
    )


def healed_inside(manifest: Manifest, program: InstalledProgram, moment: Moment) -> tuple[float, ...]:
    """Return when `program` reports that it stopped itself because it was unhealthy, within this boot."""
    if not program.launcher or program.kind is Kind.COMMAND:
        return ()
    path = manifest.directories.run(program.name) / HEALED_INSIDE
    try:
        said = json.loads(read_untrusted(path, owners(program.user), MAX_BYTES) or b"{}")
        restarts = [each for each in said["restarts"] if each["boot_id"] == moment.boot]
        return tuple(float(each["at"]) for each in restarts if type(each["at"]) in (int, float))
    except (UntrustedFile, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()


def _carry_out(controller: Controller, observation: Observation, decision: Decision) -> Iterator[Event]:
    yield from decision.events
    for order in decision.orders:
        try:
            if order is Order.START:
                controller.start([observation.program], lambda _: None)
            else:
                send(controller, observation.program, observation.process, SIGNALS[order])
        except ProcmanError as error:
            if decision.events:
                yield replace(decision.events[-1], what="healing", action=f"{order.value} failed: {error.message}")
            return
