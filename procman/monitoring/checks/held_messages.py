"""PM508 and PM512: workers that hold messages which another worker, or another task, could have been working on.

Neither is healed: a restart returns the messages, and the same worker takes them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from procman.agent.verdict import CONSUMING, format_duration
from procman.model import Kind, Level, Result
from procman.monitoring.checks.foreign_heartbeat import share_broker
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot


def check_scheduled(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether tasks that wait for their ETA leave a worker room for others (PM508)."""
    for snapshot in _consuming(running):
        says, name = snapshot.says, snapshot.program.name
        waiting = sum(queue["messages"] or 0 for queue in says["queues"])
        since = says["full_since"]
        full = 0 if since is None else says["written"] - since
        if full < snapshot.program.stall_seconds or not waiting or not _has_free_slot(says):
            yield Result("PM508", name, Level.OK, "")
            continue
        others = "1 other waits" if waiting == 1 else f"{waiting} others wait"
        held, whose, them = f"all {says['scheduled']} messages that it may hold have", "their", "them"
        if says["scheduled"] == 1:
            held, whose, them = "the only message that it may hold has", "its", "it"
        detail = (
            f"{held} waited {format_duration(full)} for {whose} ETA or a rate limit; {others} behind {them}, although "
            "it has a free slot"
        )
        hint = (
            f"Set a higher prefetch_multiplier in [{snapshot.program.key}]\n"
            "Or use a topic exchange, so that RabbitMQ keeps tasks until their ETA: procman explain PM508"
        )
        yield Result("PM508", name, Level.WARNING, detail, hint, {"scheduled": float(says["scheduled"] or 0)})


def check_hoarding(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether a worker has reserved what an idle worker of the same queue could run (PM512)."""
    workers = list(_consuming(running))
    for snapshot in workers:
        says, name = snapshot.says, snapshot.program.name
        idle = [each for each in workers if _is_idle(each.says) and _share_queue(says, each.says)]
        if not idle or not _is_hoarding(says, snapshot.program.stall_seconds):
            yield Result("PM512", name, Level.OK, "")
            continue
        slots = "1 slot" if says["slots"] == 1 else f"{says['slots']} slots"
        messages = "1 message" if says["reserved"] == 1 else f"{says['reserved']} messages"
        detail = (
            f"it has reserved {messages} for {slots}, and none has started for "
            f"{format_duration(_running_seconds(says))}, while {idle[0].program.name} of the same queue is idle"
        )
        hint = (
            f"Set prefetch_multiplier = 1 in [{snapshot.program.key}]\n"
            "With Redis and acks_late, also: worker_disable_prefetch = True in the app (Celery 5.6)"
        )
        yield Result("PM512", name, Level.WARNING, detail, hint)


def _consuming(running: ProjectSnapshot) -> Iterator[ProgramSnapshot]:
    for snapshot in running.up:
        if snapshot.program.kind is Kind.WORKER and snapshot.says.get("phase") == CONSUMING:
            yield snapshot


def _has_free_slot(says: Mapping[str, Any]) -> bool:
    return says["busy"] is not None and says["slots"] is not None and says["busy"] < says["slots"]


def _is_idle(says: Mapping[str, Any]) -> bool:
    return _has_free_slot(says) and says["reserved"] == 0


def _is_hoarding(says: Mapping[str, Any], seconds: float) -> bool:
    if says["reserved"] is None or says["slots"] is None or _has_free_slot(says):
        return False
    return says["reserved"] > says["slots"] and _running_seconds(says) >= seconds


def _running_seconds(says: Mapping[str, Any]) -> float:
    """Return for how long all running tasks have been running, and so nothing reserved has started."""
    times = [says["written"] - task["since"] for task in says["tasks"] if task["since"] is not None]
    return min(times, default=0.0)


def _share_queue(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(queues_of(one) & queues_of(other)) and share_broker(one["brokers"], other["brokers"]) is True


def queues_of(says: Mapping[str, Any]) -> set[str]:
    """Return the names of the queues that a worker consumes, by its heartbeat."""
    return {queue["name"] for queue in says.get("queues", ())}
