"""PM505 and PM506: messages that wait although nothing takes them, by the last look at the project's brokers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from procman.agent.verdict import CONSUMING, format_duration
from procman.model import Level, Result, State
from procman.monitoring.checks.broker import is_desired
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

if TYPE_CHECKING:
    # Loaded only if there is a look.
    from procman.monitoring.checks.broker_look import BrokerLook, Waiting
    from procman.probes.broker_facts import QueueFacts

GONE = (State.STOPPED, State.EXITED, State.FATAL)
"""States that last; in any other a worker consumes, or soon will."""

SETTLED_SECONDS = 30.0
"""How long the broker must have counted no consumer: a worker on another host may be restarting."""


def check_unconsumed(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield which queues have messages and no consumer, or only stopped ones (PM505)."""
    look = running.look
    if look is None or not running.is_whole:
        return
    values: dict[str, float] = {}
    for _, queue, since in look.queues():
        is_counted = running.broker is not None and is_desired(running, running.broker.queues, queue)
        values |= _values(queue, is_counted=is_counted)
        if since and _is_unconsumed(running, look, queue, since):
            yield _unconsumed(running, look, queue, since)
    if look.brokers:
        yield Result("PM505", None, Level.OK, "", "", values)


def _values(queue: QueueFacts, *, is_counted: bool) -> dict[str, float]:
    """Return the numbers of a queue; without the messages if PM304 has counted them."""
    numbers = {"unacknowledged": queue.unacknowledged, "consumers": queue.consumers}
    if not is_counted:
        numbers["messages"] = queue.messages
    return {f"{name}_{queue.name}": float(number) for name, number in numbers.items() if number is not None}


def _is_unconsumed(running: ProjectSnapshot, look: BrokerLook, queue: QueueFacts, since: Waiting) -> bool:
    workers = _workers(running, queue)
    # PM113 reports a process manager that is not running, and starting that also starts the workers.
    if queue.consumers or not all(_is_gone(each, look.wall) and not each.state.manager_problem for each in workers):
        return False
    if workers:
        return True
    if since.unconsumed_since is not None:
        return running.broker is not None or look.at - since.unconsumed_since >= SETTLED_SECONDS
    return look.at - since.untaken_since >= running.manifest.health.stall_seconds


def _workers(running: ProjectSnapshot, queue: QueueFacts) -> list[ProgramSnapshot]:
    return [each for each in running.programs if each.program.name in queue.programs]


def _is_gone(snapshot: ProgramSnapshot, wall: float) -> bool:
    """Return whether a worker was not running at the time `wall`, and will not by itself: a restart takes a moment."""
    state = snapshot.state
    return state.state in GONE and (state.since is None or wall - state.since >= snapshot.program.start_seconds)


def _unconsumed(running: ProjectSnapshot, look: BrokerLook, queue: QueueFacts, since: Waiting) -> Result:
    workers = _workers(running, queue)
    names = [each.program.name for each in workers]
    detail = f"{_number(queue)} in queue {queue.name}{_for(look, since)}, and {_lack(workers)}"
    if queue.consumers is None:
        detail += " (this broker does not report consumers on other hosts)"
    hint = f"Add {queue.name} to `queues` in [worker.NAME] and install; procman queues shows all queues"
    return Result("PM505", None, Level.WARNING, detail, f"procman start {' '.join(names)}" if names else hint)


def _number(queue: QueueFacts) -> str:
    return "1 message waits" if queue.messages == 1 else f"{queue.messages} messages wait"


def _for(look: BrokerLook, since: Waiting) -> str:
    seconds = look.at - since.untaken_since
    return f", none taken for {format_duration(seconds)}" if seconds >= 60 else ""


def _lack(workers: Sequence[ProgramSnapshot]) -> str:
    names = [each.program.name for each in workers]
    if not names:
        return "no worker consumes it"
    is_stopped = all(each.state.state is State.STOPPED for each in workers)
    if len(names) == 1:
        return f"its only worker {names[0]} {'is stopped' if is_stopped else 'does not run'}"
    return f"its workers {', '.join(names)} {'are stopped' if is_stopped else 'do not run'}"


def check_untaken(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the queues with a consumer from which nothing has been taken for `stall_seconds` (PM506)."""
    look = running.look
    if look is None or not running.is_whole or not look.brokers:
        return
    for _, queue, since in look.queues():
        if since and _is_untaken(running, look, queue, since):
            detail = f"{_number(queue)} in queue {queue.name}{_for(look, since)}, although it has a consumer"
            names = " ".join(each.program.name for each in _workers(running, queue))
            hint = f"procman logs {names}" if names else "rabbitmqctl list_consumers shows who consumes it"
            yield Result("PM506", None, Level.WARNING, detail, hint)
    yield Result("PM506", None, Level.OK, "")


def _is_untaken(running: ProjectSnapshot, look: BrokerLook, queue: QueueFacts, since: Waiting) -> bool:
    workers = [each for each in _workers(running, queue) if not _is_gone(each, look.wall)]
    if look.at - since.untaken_since < running.manifest.health.stall_seconds or queue.consumers == 0:
        return False
    if not all(_is_idle(each, since) for each in workers):
        return False
    # Of a consumer elsewhere, only the messages that it holds show whether it is busy.
    is_elsewhere = queue.consumers is not None and queue.consumers > len(workers)
    return queue.unacknowledged == 0 if is_elsewhere else bool(workers)


def _is_idle(snapshot: ProgramSnapshot, since: Waiting) -> bool:
    """Return whether a worker consumes and is idle, and no other check reports that already."""
    says, verdict = snapshot.says, snapshot.verdict
    is_fresh = verdict is not None and verdict.level == "OK" and says["phase"] == CONSUMING
    return is_fresh and says["busy"] == 0 == says["reserved"] and (says["progress"] or 0.0) <= since.untaken_since
