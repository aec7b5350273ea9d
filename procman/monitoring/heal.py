"""Check all programs of a project once, and heal those that need it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from procman.backends import controller_of
from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.host.process import identity
from procman.install.safe_fs.tree import Tree
from procman.install.state import json_records
from procman.install.state.event_log import INSIDE, Event, append_event, tasks_of
from procman.install.state.generations import HEALING
from procman.install.state.holds import read_holds
from procman.install.state.manifest import Manifest
from procman.install.state.orders import note_retry
from procman.lookup import Installed
from procman.model import InstalledProgram, Kind, ProgramState, State
from procman.monitoring.broker_look import look_if_due
from procman.monitoring.checks.accepted import with_accepted
from procman.monitoring.checks.barrier import failed, traceback_of
from procman.monitoring.checks.main_process import of_another_user
from procman.monitoring.ends import new_events
from procman.monitoring.examine_in_time import Hanging, examine_in_time
from procman.monitoring.heal_policy import Decision, Observation, Order, decide_all
from procman.monitoring.healed_inside import healed_inside
from procman.monitoring.healing_history import read_healing_history
from procman.monitoring.health import Health, ProgramHealth
from procman.monitoring.inside_events import new_inside_events
from procman.monitoring.lost_events import new_lost_events
from procman.monitoring.pidfd_signal import send
from procman.monitoring.program_view import Moment, now

SIGNALS = {Order.DUMP: "USR1", Order.KILL: "KILL"}
"""Without that of a stop, which the program decides."""

WITH_AN_EVENT = ("PM111", "PM112", "PM404")
"""The checks of something that happened once and is an event already: "ended" or "missed"."""

Found = Mapping[str, tuple[Event, ...]]
"""The events since the last check, by program."""

PROJECT = InstalledProgram("", "", Kind.COMMAND, True, 1, 1, False, None, None, heal=False)
"""Represents the project as a whole, which has results to report and nothing to heal."""


def heal_programs(installed: Installed, report: Callable[[Event], None], hanging: Hanging | None = None) -> Health:
    """Check all programs of `installed` once, and heal; `report` gets each event after it was logged, and those that
    the programs have logged themselves.

    The history is written before any signal is sent: if this process is killed, no signal is sent twice. A program that
    cannot be examined or healed costs the others nothing. `hanging` is that of `examine_in_time`.
    """
    manifest, moment = installed.manifest, now()
    state = manifest.directories.state
    with Tree() as tree:
        holds = read_holds(tree, state, moment.wall)
        history = read_healing_history(tree, state, moment.boot or "")
    health = examine_in_time(installed, {} if hanging is None else hanging)
    tracebacks = list(health.tracebacks)
    # The files of a program that hangs may be on a disk that does not answer.
    snapshots = [each.snapshot for each in health.programs if not each.hangs]
    ended = _found(lambda: new_events(manifest, snapshots, history, moment), tracebacks)
    inside = _found(lambda: new_inside_events(manifest, snapshots, history, moment), tracebacks)
    lost = _found(lambda: new_lost_events(manifest, snapshots, moment), tracebacks)
    observed = [
        _observed(manifest, each, moment, tracebacks, held=each.program.name in holds) for each in health.programs
    ]
    observations = [
        *(
            replace(each, ended=ended.get(name, ()), lost=lost.get(name, ()), inside=inside.get(name, ()))
            for each in observed
            for name in [each.program.name]
        ),
        Observation(PROJECT, ProgramState("", desired=True, state=State.RUNNING), "", health.results),
    ]
    after, decisions = decide_all(history, observations, manifest.health, moment.monotonic, moment.wall)
    with Tree() as tree:
        if after != history:
            tree.write(state / HEALING, json_records.to_bytes(after), 0o644)
        controller = controller_of(manifest)
        for observation in observations:
            try:
                for event in _carry_out(manifest, controller, observation, decisions[observation.program.name]):
                    if event.by != INSIDE:
                        with suppress(ProcmanError):  # a full disk must not prevent healing
                            append_event(tree, state, event)
                    report(event)
            except Exception as error:
                tracebacks.append(traceback_of(error))
    # Last, so that a broker which does not answer delays no healing; the next check judges it.
    try:
        look_if_due(installed)
    except Exception as error:
        tracebacks.append(traceback_of(error))
    return replace(health, tracebacks=tuple(tracebacks))


def _found(find: Callable[[], Found], tracebacks: list[str]) -> Found:
    try:
        return find()
    except Exception as error:
        tracebacks.append(traceback_of(error))
        return {}


def _observed(
    manifest: Manifest, found: ProgramHealth, moment: Moment, tracebacks: list[str], *, held: bool
) -> Observation:
    try:
        return _observation(manifest, found, moment, held=held)
    except Exception as error:
        tracebacks.append(traceback_of(error))
        unknown = failed("PM101", found.program.name, error, manifest)
        return Observation(replace(found.program, heal=False), found.snapshot.state, "", (*found.results, unknown))


def _observation(manifest: Manifest, found: ProgramHealth, moment: Moment, *, held: bool) -> Observation:
    snapshot, verdict = found.snapshot, found.snapshot.verdict
    # Only CRITICAL is healed.
    remedy = verdict.remedy if verdict and verdict.level == "CRITICAL" else ""
    restarts, problems = ((), ()) if found.hangs else healed_inside(manifest, found.program, moment)
    heals = found.program.kind is not Kind.HEALTH and not of_another_user(snapshot)
    return Observation(
        program=found.program if heals else replace(found.program, heal=False),
        state=snapshot.state,
        process=identity(snapshot.state.pid),
        results=tuple(
            each
            for each in (*found.results, *with_accepted(problems, manifest.accept))
            if each.code not in WITH_AN_EVENT
        ),
        remedy=remedy,
        code=verdict.code if verdict and remedy else "",
        phase=snapshot.says.get("phase"),
        **tasks_of(snapshot.says),
        held=held,
        inactivity=snapshot.inactivity,
        healed_inside=restarts,
    )


def _carry_out(
    manifest: Manifest, controller: Controller, observation: Observation, decision: Decision
) -> Iterator[Event]:
    yield from decision.events
    for order in decision.orders:
        try:
            if order is Order.START:
                note_retry(manifest, observation.program)
                controller.start([observation.program], lambda _: None)
            else:
                name = SIGNALS.get(order, observation.program.stop_signal)
                send(controller, observation.program, observation.process, signal.Signals[f"SIG{name}"])
        except ProcmanError as error:
            if decision.events:
                yield replace(decision.events[-1], what="healing", action=f"{order.value} failed: {error.message}")
            return
