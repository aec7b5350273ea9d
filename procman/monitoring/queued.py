"""Count the messages that wait for each program, by what the project's heartbeats last reported about its queues."""

from __future__ import annotations

from collections.abc import Iterable

from procman.monitoring.checks.inputs import ProgramSnapshot


def queued(snapshots: Iterable[ProgramSnapshot], now: float, fresh_seconds: float) -> dict[str, int]:
    """Return the messages that wait in all queues of a program, by its name; it is missing if they are unknown.

    `now` is the monotonic clock. Of several programs with the same queue, the last to have asked the broker counts. An
    answer older than `fresh_seconds` does not: the broker, or the worker that asked, may have failed since.
    """
    asked = [each for each in snapshots if _is_fresh(each, now, fresh_seconds)]
    latest: dict[str, int | None] = {}
    for each in sorted(asked, key=lambda each: float(each.says["queues_asked"])):
        latest |= {queue["name"]: queue["messages"] for queue in each.says["queues"]}
    found = {each.program.name: [latest[queue["name"]] for queue in each.says["queues"]] for each in asked}
    counted = {name: [number for number in numbers if number is not None] for name, numbers in found.items()}
    return {name: sum(numbers) for name, numbers in counted.items() if len(numbers) == len(found[name])}


def _is_fresh(snapshot: ProgramSnapshot, now: float, fresh_seconds: float) -> bool:
    says = snapshot.says
    return bool(says.get("queues")) and says["queues_asked"] is not None and now - says["queues_asked"] <= fresh_seconds
