"""PM746, PM748, PM749: workers and beats that would run twice, or with one node name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from procman.celery_cli.node_names import NAMED_ALIKE, node_name
from procman.keeper import node_names
from procman.model import Kind, Level, Result
from procman.monitoring.checks.foreign_heartbeat import share_broker
from procman.preflight.inputs import OtherProgram, PreflightFacts
from procman.probes.app import Judged
from procman.project import Program, Worker

WITH_LOCK = "redbeat"
"""The package of schedulers of which only one sends at a time."""

# PM746 ---------------------------------------------------------------------------------------------------------------


def beat_is_alone(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM746: two beats with the same broker send every periodic task twice."""
    for program in preflight.of_kind(Kind.BEAT)[:1]:
        judged = _judged(preflight, program)
        for other in preflight.host.others:
            shares = share_broker(_brokers(preflight, program), other.brokers)
            # Both wait for one lock, which only one of them gets.
            excludes = other.has_lock and judged.scheduler.startswith(WITH_LOCK)
            is_beat = other.is_of_app and (other.kind is Kind.BEAT or other.with_beat)
            if is_beat and shares is not False and not excludes:
                yield _second_beat(preflight, program, other, is_certain=bool(shares))


def _second_beat(preflight: PreflightFacts, program: Program, other: OtherProgram, *, is_certain: bool) -> Result:
    if other.is_beside and not is_certain:
        return Result("PM746", program.name, Level.OK, f"{_named(other)} runs beside it, as `beside` names it")
    condition = "with the same broker" if is_certain else "if it uses the same broker"
    detail = (
        f"{_named(other)} is another beat of {other.app or 'an app'}, in {other.directory}: "
        f"{condition}, it and the project's beat would send every periodic task twice ({other.command})"
    )
    hint = _remedy(preflight, program, other, "If it uses another broker")
    if other.program:
        hint = f"Keep one of the two: remove [{program.key}] here, or stop {other.program}; or use another broker."
    return Result("PM746", program.name, _level(other), detail, hint)


# PM748 ---------------------------------------------------------------------------------------------------------------


def worker_is_alone(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM748: two workers with one node name disturb each other, and an old one may run the old code."""
    for other in preflight.host.others:
        if other.kind is not Kind.WORKER or other.is_procmans:
            continue
        program, why = _second(preflight, other)
        if program is None:
            continue
        if other.is_beside:
            yield Result("PM748", program.name, Level.OK, f"{_named(other)} runs beside it, as `beside` names it")
        else:
            detail = f"{_named(other)} {why} ({other.command})"
            hint = _remedy(preflight, program, other, "If it is meant to stay")
            yield Result("PM748", program.name, _level(other), detail, hint)


def _second(preflight: PreflightFacts, other: OtherProgram) -> tuple[Program | None, str]:
    """Return the program that a worker would disturb or double, and why; None if there is none."""
    workers = preflight.of_kind(Kind.WORKER)
    for program in workers:
        if other.node_name and _node_name(program) == other.node_name:
            why = f"has the node name of {program.name}, {other.node_name}: if it uses the same broker, {NAMED_ALIKE}"
            return program, why
    for program in workers if other.is_of_app and other.is_of_own_user else ():
        queues = sorted(_queues(preflight, program) & (set(other.queues or ()) or _defaults(preflight, program)))
        if queues:
            why = (
                f"is another worker of {other.app or 'the app'}, in {other.directory}, that consumes "
                f"{', '.join(queues[:3])} as {program.name} would: if it uses the same broker, both run its tasks"
            )
            return program, why
    return None, ""


def _queues(preflight: PreflightFacts, program: Program) -> set[str]:
    judged, worker = _judged(preflight, program), program.options
    if judged.queues is not None:
        return set(judged.queues)
    return set(worker.queues if isinstance(worker, Worker) else ()) or _defaults(preflight, program)


def _defaults(preflight: PreflightFacts, program: Program) -> set[str]:
    answer = preflight.answer(program)
    return set(answer.app.queues if answer and answer.app else ("celery",))


# PM749 ---------------------------------------------------------------------------------------------------------------


def node_names_differ(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM749: each worker of procman's projects on this host and broker has a node name of its own."""
    owners: dict[str, Program] = {}
    for program in preflight.of_kind(Kind.WORKER):
        for name in _node_names(program):
            other = owners.setdefault(name, program)
            if other is not program:
                detail = f"{other.name} and {program.name} both have the node name {name} on this host: {NAMED_ALIKE}"
                yield Result("PM749", program.name, Level.CRITICAL, detail, _rename(program))
    for other_project in preflight.host.others:
        yield from _of_another_project(preflight, other_project, owners)


def _of_another_project(
    preflight: PreflightFacts, other: OtherProgram, owners: Mapping[str, Program]
) -> Iterator[Result]:
    program = owners.get(other.node_name) if other.is_procmans and other.kind is Kind.WORKER else None
    shares = share_broker(_brokers(preflight, program), other.brokers) if program else False
    if program and shares is not False:
        condition = "" if shares else "if it uses the same broker, "
        detail = (
            f"{other.program or _named(other)} of another project has the node name of {program.name}, "
            f"{other.node_name}: {condition}{NAMED_ALIKE}"
        )
        # Nothing shows the broker of one that is just starting, or whose heartbeats only its own user can read.
        is_open = not shares and (other.is_starting or not other.is_of_own_user)
        level = Level.WARNING if is_open else _level(other)
        yield Result("PM749", program.name, level, detail, _rename(program))


def _rename(program: Program) -> str:
    return f"Set another hostname in [{program.key}], or remove it."


# All -----------------------------------------------------------------------------------------------------------------


def _node_name(program: Program) -> str:
    assert isinstance(program.options, Worker)
    return node_name(program.options.node_name, os.uname().nodename)


def _node_names(program: Program) -> Iterator[str]:
    """Yield the node names of all processes of a worker that may run at the same time."""
    assert isinstance(program.options, Worker)
    yield from (node_name(each, os.uname().nodename) for each in node_names(program.options).values())


def _judged(preflight: PreflightFacts, program: Program) -> Judged:
    answer = preflight.answer(program)
    return answer.judged.get(program.name, Judged()) if answer else Judged()


def _brokers(preflight: PreflightFacts, program: Program) -> Sequence[str]:
    answer = preflight.answer(program)
    return answer.app.brokers if answer and answer.app else ()


def _named(other: OtherProgram) -> str:
    where = f", {other.runner}" if other.runner else ""
    return f"process {other.pid} of {other.user}{where}"


def _level(other: OtherProgram) -> Level:
    # Another user must not be able to prevent an install.
    return Level.CRITICAL if other.is_believed else Level.WARNING


def _remedy(preflight: PreflightFacts, program: Program, other: OtherProgram, condition: str) -> str:
    names = json.dumps([*preflight.project.beside, other.known_as], ensure_ascii=False)
    stays = f"{condition}, write in [project]: beside = {names}" if other.known_as else ""
    return "\n".join(filter(None, (_adopt(program, other) or "Stop it and prevent its next start.", stays)))


def _adopt(program: Program, other: OtherProgram) -> str:
    if not other.source:
        return ""
    if other.source in program.adopts:
        return f"{program.name} has already replaced it, and it runs again. Stop it and prevent its next start."
    items = json.dumps([*program.adopts, other.source], ensure_ascii=False)
    return f"To replace it, write in [{program.key}]: adopts = {items}"
