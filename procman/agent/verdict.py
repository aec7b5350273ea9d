"""Judge from its heartbeat whether a worker or beat is healthy: a pure function of heartbeat, time and thresholds.

`procman install` installs this file beside the launcher, where the program judges itself; procman imports the same
code. `procman explain heartbeat` describes the fields. Times are `time.monotonic()` of the current boot.
"""

from .broker_errors import UNREACHABLE, why_disconnected
from .light_typing import Any, Mapping, NamedTuple, Optional
from .local_time import local_time

OK, WARNING, CRITICAL, UNKNOWN = "OK", "WARNING", "CRITICAL", "UNKNOWN"

WARM, FORCE = "warm", "force"
"""The remedy: a graceful stop, and a kill only once the stop timeout is over; or a kill after a few more checks,
because the main process cannot act and no task is at work."""

IMPORTING, STARTING, CONSUMING, TICKING = "importing", "starting", "consuming", "ticking"
STANDBY, DISCONNECTED, DRAINING, STOPPING = "standby", "disconnected", "draining", "stopping"
PHASES = (IMPORTING, STARTING, STANDBY, CONSUMING, TICKING, DISCONNECTED, DRAINING, STOPPING)
"""After starting, a worker is consuming and a beat is ticking; only a worker notices that it is disconnected."""

AT_WORK = (CONSUMING, TICKING, STANDBY)
"""The phases of a program that does what it should; a beat on standby waits for the lock that another beat holds."""

WITH_TASKS = (CONSUMING, DISCONNECTED, DRAINING, STOPPING)
"""The phases in which a worker can be running tasks."""

CODES = {
    "PM200": "The program reports that it is healthy",
    "PM201": "The heartbeat is up to date",
    "PM202": "The worker's event loop runs",
    "PM203": "The program is started and connected",
    "PM204": "The heartbeat is complete",
    "PM301": "No messages wait while the worker has a free slot",
    "PM302": "The pool starts the tasks that were received",
    "PM303": "Each queue of the worker has a consumer",
    "PM401": "Beat is ticking",
    "PM402": "Beat sends tasks when they are due",
}

POOLS_THAT_TELL = ("prefork",)
"""The pools whose event loop never runs a task: a loop that does not turn is stuck, not busy."""

SOLO = "solo"
"""The pool whose event loop runs every task itself, and does nothing else during a task."""


class Thresholds(NamedTuple):
    """How long to wait before a program counts as unhealthy, in seconds."""

    stale_seconds: float
    stall_seconds: float
    stop_seconds: Optional[float] = None
    """How long a stop may take; None: no limit here, because the process manager enforces its own."""


def thresholds_of(settings: Any) -> Thresholds:
    """Return the thresholds from `[health]`, as procman's or the agent's record of it."""
    return Thresholds(settings.stale_seconds, settings.stall_seconds)


class Evidence(NamedTuple):
    """What the kernel shows of a program whose heartbeat is old; `process_evidence.py` collects it."""

    idle_seconds: Optional[float] = None
    """For how long no thread of its main process has been seen to run; None: unknown."""
    acted: bool = False
    """One was seen to run before that."""
    is_stopped: bool = False
    """Its main process is stopped by a signal."""
    works: bool = False
    """A process below it has used CPU time since the check before."""
    excuse: str = ""
    """Who keeps its main process from acting on purpose, such as a debugger."""
    waits: str = ""
    """What its main process waits for that no restart would bring, such as a disk."""


NO_EVIDENCE = Evidence()


class Verdict(NamedTuple):
    """What a heartbeat shows about its program."""

    level: str
    code: str
    reason: str
    """A phrase whose "it" is the program."""
    remedy: str = ""
    """`warm` or `force` if a restart would help; empty if it would not, or if that is unknown."""


def verdict(
    heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds, evidence: Evidence = NO_EVIDENCE
) -> Verdict:
    """Judge a heartbeat from `heartbeat_format.read`, written during this boot by the program's own process.

    A stuck event loop or beat is CRITICAL only if the broker has answered since; a caller that asked the broker itself
    sets `queues_asked` to the time of the answer.
    """
    age = now - heartbeat["written"]
    if age < -thresholds.stale_seconds:
        return Verdict(UNKNOWN, "PM201", "its heartbeat is dated in the future: it is not from this host's clock")
    if age > thresholds.stale_seconds:
        return _of_old_heartbeat(heartbeat, age, evidence)
    if heartbeat["phase"] not in (CONSUMING, TICKING):
        return _of_phase(heartbeat, now, thresholds)
    judge = _of_beat if heartbeat["kind"] == "beat" else _of_worker
    found = judge(heartbeat, now, thresholds)
    if found.level == OK and heartbeat["missing"]:
        return Verdict(WARNING, "PM204", f"its heartbeat is incomplete: {'; '.join(heartbeat['missing'])}")
    return found


def format_duration(seconds: float) -> str:
    """Return a length of time in at most six characters: 42s, 5m10s, 3h20m, 12d4h."""
    whole = max(0, int(seconds))
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}" + (f"{rest}{small_unit}" if rest else "")
    return f"{whole}s"


def _of_old_heartbeat(heartbeat: Mapping[str, Any], age: float, evidence: Evidence) -> Verdict:
    interval = format_duration(heartbeat["interval"])
    reason = f"its last heartbeat was {format_duration(age)} ago, but one is due every {interval}"
    is_frozen = evidence.is_stopped or (evidence.idle_seconds or 0) >= 2 * heartbeat["interval"]
    if evidence.excuse:
        return Verdict(WARNING, "PM201", f"{reason}: {evidence.excuse}")
    can_tell = heartbeat["kind"] == "beat" or heartbeat["pool"] in POOLS_THAT_TELL
    if evidence.acted and not is_frozen and can_tell:
        return Verdict(CRITICAL, "PM201", f"{reason}, although its main process runs")
    has_tasks = heartbeat["phase"] in WITH_TASKS and heartbeat["kind"] == "worker" and heartbeat["busy"] != 0
    if not can_tell and (has_tasks or not is_frozen):
        # A task in the main process can hold Python's lock for minutes, with the same effect.
        return Verdict(UNKNOWN, "PM201", f"{reason}: it is frozen, or its main process is busy with a task")
    if evidence.waits or not is_frozen:
        return Verdict(CRITICAL, "PM201", f"{reason}: {evidence.waits or 'it may be frozen'}")
    if has_tasks or evidence.works:
        return Verdict(CRITICAL, "PM201", f"{reason}: it is frozen, but its pool processes may be running tasks", WARM)
    return Verdict(CRITICAL, "PM201", f"{reason}: it is frozen", FORCE)


def _of_phase(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    phase, since = heartbeat["phase"], now - heartbeat["phase_since"]
    why = why_disconnected(heartbeat["connect_error"])
    if phase in (DRAINING, STOPPING):
        tasks = "" if heartbeat["busy"] is None else f"; running tasks: {heartbeat['busy']}"
        reason = f"it has been {phase} for {format_duration(since)}{tasks}"
        if phase == DRAINING:
            return Verdict(OK, "PM203", reason)
        if thresholds.stop_seconds is not None and since > thresholds.stop_seconds + thresholds.stale_seconds:
            return Verdict(CRITICAL, "PM203", f"{reason}; its stop timeout is over", FORCE)
        return Verdict(OK, "PM203", reason)
    if phase == DISCONNECTED:
        reason = f"it has been disconnected from the broker for {format_duration(since)} and keeps trying to connect"
        return Verdict(WARNING, "PM203", f"{reason}{why}")
    if phase == STANDBY:
        return _of_standby(heartbeat, now, thresholds)
    if phase == STARTING and heartbeat["kind"] == "beat":
        level = WARNING if since > thresholds.stall_seconds else OK
        return Verdict(level, "PM401", f"it has not ticked yet; it has been starting for {format_duration(since)}")
    level = WARNING if since > thresholds.stale_seconds else OK
    if phase == IMPORTING:
        return Verdict(level, "PM203", f"it has been importing the app for {format_duration(since)}")
    reason = f"it has been starting for {format_duration(since)}"
    return Verdict(level, "PM203", f"{reason}{why or '; the broker may be down'}")


def _of_standby(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    until, retry = heartbeat["lock_until"], heartbeat["lock_retry"] or 0.0
    lock = f"the lock {heartbeat['lock']}"
    if until is None:
        return Verdict(OK, "PM200", f"it is on standby and waits for {lock}")
    if until > now:
        return Verdict(OK, "PM200", f"it is on standby; another beat holds {lock} for {format_duration(until - now)}")
    reason = f"{lock} expired {format_duration(now - until)} ago"
    if now - max(until, heartbeat["phase_since"]) > thresholds.stall_seconds + retry:
        return Verdict(WARNING, "PM401", f"it has not ticked yet, although {reason}")
    return Verdict(OK, "PM200", f"it is on standby; {reason}, and it tries to take it every {format_duration(retry)}")


def _of_worker(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    return (
        _of_loop(heartbeat, now, thresholds)
        or _of_waiting_messages(heartbeat, now, thresholds)
        or _of_pool(heartbeat, now, thresholds)
        or _of_consumers(heartbeat, now, thresholds)
        or _of_starting_pool(heartbeat, now, thresholds)
        or _of_unready(heartbeat, now, thresholds)
        or Verdict(OK, "PM200", _work(heartbeat))
    )


def _work(heartbeat: Mapping[str, Any]) -> str:
    busy, slots = heartbeat["busy"], heartbeat["slots"]
    return "it is consuming" if busy is None or slots is None else f"it is consuming; {_busy(busy, slots)}"


def _busy(busy: int, slots: int) -> str:
    return f"{busy} of {slots} slot{'' if slots == 1 else 's'} {'is' if 1 in (busy, slots) else 'are'} busy"


def _of_loop(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    loop = heartbeat["loop"]
    if loop is None or now - loop <= thresholds.stale_seconds:
        return None
    reason = f"its event loop has not run for {format_duration(now - loop)}"
    if heartbeat["pool"] not in POOLS_THAT_TELL:
        return Verdict(UNKNOWN, "PM202", f"{reason}; with the pool {heartbeat['pool']} a running task can be the cause")
    if not _broker_answered_since(heartbeat, loop):
        return Verdict(WARNING, "PM202", f"{reason}, and the broker has not answered since")
    return Verdict(CRITICAL, "PM202", f"{reason} although the broker answers", WARM)


def _broker_answered_since(heartbeat: Mapping[str, Any], since: float) -> bool:
    return heartbeat["queues_asked"] is not None and heartbeat["queues_asked"] > since


def _of_waiting_messages(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    since = heartbeat["idle_with_messages_since"]
    if since is None or now - since <= thresholds.stall_seconds:
        return None
    waiting = [queue for queue in heartbeat["queues"] if queue["messages"]]
    names = ", ".join(f"{queue['messages']} in {queue['name']}" for queue in waiting) or "in its queues"
    waited = format_duration(now - since)
    reason = f"messages have been waiting for {waited} ({names}), but it has a free slot and consumes nothing"
    return Verdict(CRITICAL, "PM301", reason, "" if heartbeat["busy"] else WARM)


def _of_pool(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    busy, slots, progress = heartbeat["busy"], heartbeat["slots"], heartbeat["progress"]
    if not heartbeat["reserved"] or busy is None or slots is None or progress is None or busy >= slots:
        return None
    if now - progress <= thresholds.stall_seconds:
        return None
    received = f"received messages ({heartbeat['reserved']})"
    reason = f"its pool has not started {received} for {format_duration(now - progress)}; {_busy(busy, slots)}"
    if busy:
        # With -O fast a message may have to wait for one slot while another is free.
        return Verdict(WARNING, "PM302", reason)
    return Verdict(CRITICAL, "PM302", f"{reason}: the pool is stuck", WARM)


def _of_starting_pool(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    """Judge a pool of which no process is ready: until one is, the worker has no slot that could be stuck."""
    since = heartbeat["pool_unready_since"]
    if since is None or not heartbeat["pool_starting"]:
        return None
    level = WARNING if now - since > thresholds.stall_seconds else OK
    return Verdict(level, "PM203", f"its pool processes have been starting for {format_duration(now - since)}")


def _of_unready(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    """Judge a worker that is connected, but whose main loop does not begin: Celery reports the worker as ready there.

    In an app that patches the standard library for gevent without that pool, it never does.
    """
    if heartbeat["ready"] is not False:
        return None
    since = now - heartbeat["phase_since"]
    reason = f"it connected to the broker {format_duration(since)} ago, but Celery has not reported that it is ready"
    return Verdict(WARNING if since > thresholds.stale_seconds else OK, "PM203", reason)


def _of_consumers(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    abandoned = [queue for queue in heartbeat["queues"] if queue["consumers"] == 0]
    if not abandoned:
        return None
    names = ", ".join(queue["name"] for queue in abandoned)
    reason = f"no worker consumes queue{'s' * (len(abandoned) > 1)} {names}, although this one should"
    if heartbeat["pool"] == SOLO and heartbeat["busy"]:
        return Verdict(UNKNOWN, "PM303", f"{reason}; in the {SOLO} pool it cannot consume until its task ends")
    # If tasks run in the main process, the last task may have delayed the reconnection.
    able = heartbeat["progress"] if heartbeat["pool"] not in POOLS_THAT_TELL else None
    if not any(now - max(queue["since"] or now, able or 0) > thresholds.stall_seconds for queue in abandoned):
        return Verdict(WARNING, "PM303", reason)
    return Verdict(CRITICAL, "PM303", f"{reason}, and messages are waiting", "" if heartbeat["busy"] else WARM)


def _of_beat(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    tick_due, next_due = heartbeat["tick_due"], heartbeat["next_due"]
    if tick_due is None:
        return Verdict(UNKNOWN, "PM401", "its ticks are unknown: its scheduler cannot be observed")
    if now - tick_due > thresholds.stale_seconds:
        reason = f"its next tick is overdue by {format_duration(now - tick_due)}"
        if not _broker_answered_since(heartbeat, tick_due):
            return Verdict(WARNING, "PM401", f"{reason}, and the broker has not answered since")
        return Verdict(CRITICAL, "PM401", f"{reason} although the broker answers: it sends no tasks", WARM)
    if heartbeat["failed_since"] is not None:
        return _of_failed_sends(heartbeat, now, thresholds)
    name = heartbeat["next_entry"]
    if next_due is not None and now - next_due > thresholds.stale_seconds:
        return Verdict(CRITICAL, "PM402", f"it is ticking, but {name} is overdue by {format_duration(now - next_due)}")
    if next_due is None or name is None:
        return Verdict(OK, "PM200", "it is ticking")
    wall = heartbeat["wall"] + now - heartbeat["written"]
    due = local_time(wall + next_due - now, wall)
    when = "now" if next_due - now < 1 else f"in {format_duration(next_due - now)}"
    return Verdict(OK, "PM200", f"it is ticking; {name} is due {when} ({due})")


def _of_failed_sends(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    sends, duration = heartbeat["failed_sends"] or 1, format_duration(now - heartbeat["failed_since"])
    how_often = f"failed {duration} ago" if sends == 1 else f"has failed {sends} times in a row for {duration}"
    others = (heartbeat["failed_entries"] or 1) - 1
    also = f"; {others} more {'entry fails' if others == 1 else 'entries fail'}" if others > 0 else ""
    reason = f"it is ticking, but sending {heartbeat['failed_entry']} {how_often}: {heartbeat['failed_error']}{also}"
    # The entry of a nightly task has failed only once by the morning.
    is_late = now - heartbeat["failed_since"] > thresholds.stale_seconds
    is_cut_off = (heartbeat["failed_error"] or "").rpartition(": ")[2] in UNREACHABLE
    return Verdict(CRITICAL if is_late and not is_cut_off else WARNING, "PM402", reason)
