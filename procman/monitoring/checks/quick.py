"""Run the cheapest checks, with one result per program, for `status` and for waiting until programs are healthy."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from procman.agent.verdict import AT_WORK
from procman.host.process import started
from procman.model import Kind, Level, Result
from procman.monitoring.checks.accepted import with_accepted
from procman.monitoring.checks.ends import of_main_process, of_pool_process
from procman.monitoring.checks.heartbeat import of_earlier, of_verdict, unwritten
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.checks.main_process import RESTARTS, of_restarts
from procman.monitoring.checks.pool import lacks_pool, no_pool
from procman.monitoring.checks.process_state import check_processes

SEVERITY = (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL)
"""The levels by severity: an unknown condition may be worse than a warning."""


def check_lightly(programs: Sequence[ProgramSnapshot], accept: Collection[str] = ()) -> list[Result]:
    """Return the most severe result of PM101, PM104, PM205 while it waits for its lock, PM206 and the verdict.

    There is one for each program, in order; its `values` are always those of PM101. The verdict is on its heartbeat.
    Warnings with a code in `accept` are accepted.
    """
    return [_worst(each, result, accept) for each, result in zip(programs, check_processes(programs), strict=True)]


def _worst(snapshot: ProgramSnapshot, process: Result, accept: Collection[str]) -> Result:
    found = [process]
    if snapshot.is_started and process.level is Level.OK:
        if lacks_pool(snapshot, int(process.values.get("children", 0))):
            found.append(no_pool(snapshot))
        if snapshot.verdict:
            found.append(of_verdict(snapshot, snapshot.verdict))
        if snapshot.heartbeat.write_problem:
            found.append(unwritten(snapshot.program.name, snapshot.heartbeat.write_problem))
        if snapshot.heartbeat.earlier:
            found.append(of_earlier(snapshot))
    if len(found) == 1 and not accept:
        return process
    if accept:
        found = with_accepted(found, accept)
    worst = most_severe(found)
    if worst.level is Level.OK:
        # The last result has the most useful detail.
        worst = next((each for each in found if each.accepted), found[-1])
    return worst._replace(values=process.values)


def with_ends(snapshot: ProgramSnapshot, result: Result, accept: Collection[str] = ()) -> Result:
    """Return PM103, PM111 or PM112 in place of the OK `result` if processes of the program ended; `accept` as above."""
    if result.level is not Level.OK:
        return result
    restarts = snapshot.state.restarts or 0
    if restarts < RESTARTS and not snapshot.ended and not snapshot.pool_ended:
        return result
    since = started(snapshot.state.pid or 0) if restarts >= RESTARTS else None
    found = [of_restarts(snapshot, restarts, time.time() - since)] if since is not None else []
    if snapshot.ended:
        found.append(of_main_process(snapshot))
    if snapshot.pool_ended:
        found.append(of_pool_process(snapshot))
    bad = [each._replace(values=result.values) for each in found if each.level is not Level.OK]
    judged = with_accepted(bad, accept)
    return next((each for each in judged if each.level is not Level.OK), next(iter(judged), result))


def most_severe(results: Sequence[Result]) -> Result:
    """Return the first of the most severe `results`."""
    return max(results, key=lambda result: SEVERITY.index(result.level))


def is_at_work(snapshot: ProgramSnapshot) -> bool:
    """Return whether a program is running and, if it has a heartbeat, is ready and consumes, ticks or is on standby."""
    if not snapshot.is_started:
        return False
    phase = snapshot.says.get("phase")
    if phase is None or snapshot.program.kind is Kind.COMMAND:
        return True
    return phase in AT_WORK and snapshot.says.get("ready") is not False
