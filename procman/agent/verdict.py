"""Say from its heartbeat whether a worker or beat is sound: a pure function of the heartbeat, the time and thresholds.

`procman install` puts this file beside the launcher, for the program to judge itself; procman imports the same. What
the fields mean is in `procman explain heartbeat`. Times are `time.monotonic()` of the host's running boot.
"""

import json
from typing import Any, Dict, Mapping, NamedTuple, Optional

FORMAT = 1
MAX_BYTES = 65536
"""No heartbeat is longer, and no reader reads more."""
MAX_TASKS = 20
MAX_NAME = 200

OK, WARNING, CRITICAL, UNKNOWN = "OK", "WARNING", "CRITICAL", "UNKNOWN"

WARM, FORCE = "warm", "force"
"""What would help: a stop that lets running tasks finish, never said of a worker that is busy; or a kill, because the
main process does not listen."""

IMPORTING, STARTING, CONSUMING, TICKING = "importing", "starting", "consuming", "ticking"
DISCONNECTED, STOPPING = "disconnected", "stopping"
PHASES = (IMPORTING, STARTING, CONSUMING, TICKING, DISCONNECTED, STOPPING)
"""A worker goes from starting to consuming, a beat to ticking; only a worker knows that it is disconnected."""

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
"""Whose event loop never runs a task, so that one which stands still is stuck and not busy."""

SOLO = "solo"
"""The pool whose event loop runs every task, and does nothing else meanwhile."""


class Thresholds(NamedTuple):
    """When waiting is too long, in seconds."""

    stale_seconds: float
    stall_seconds: float
    stop_seconds: Optional[float] = None
    """How long a stop may take; None: for ever, since the process manager counts it."""


def thresholds_of(settings: Any) -> Thresholds:
    """Return the thresholds of `[health]`, be it procman's record of it or the agent's."""
    return Thresholds(settings.stale_seconds, settings.stall_seconds)


class Verdict(NamedTuple):
    """What a heartbeat comes to."""

    level: str
    code: str
    reason: str
    """In plain words, beginning with "it" or with what it is about."""
    remedy: str = ""
    """`warm` or `force` where a restart would help; empty where it would not, or where that cannot be told."""


def verdict(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    """Judge a heartbeat that `read` has returned, of the running boot and of the program's own process.

    A caller that has asked the broker itself, and was answered, passes the heartbeat with `queues_asked` set to that
    time: nothing is called stuck while the broker may be to blame.
    """
    age = now - heartbeat["written"]
    if age < -thresholds.stale_seconds:
        return Verdict(UNKNOWN, "PM201", "its heartbeat is from the future: another clock than this host's")
    if age > thresholds.stale_seconds:
        interval = format_duration(heartbeat["interval"])
        reason = f"it last wrote its heartbeat {format_duration(age)} ago and should every {interval}"
        if heartbeat["kind"] == "worker" and heartbeat["pool"] not in POOLS_THAT_TELL:
            # A task in the main process may hold Python's lock for minutes, and look just so.
            return Verdict(UNKNOWN, "PM201", f"{reason}: frozen, or busy in the main process")
        return Verdict(CRITICAL, "PM201", f"{reason}: it is frozen", FORCE)
    if heartbeat["phase"] not in (CONSUMING, TICKING):
        return _of_phase(heartbeat, now, thresholds)
    judge = _of_beat if heartbeat["kind"] == "beat" else _of_worker
    found = judge(heartbeat, now, thresholds)
    if found.level == OK and heartbeat["missing"]:
        return Verdict(WARNING, "PM204", f"not everything can be told: {'; '.join(heartbeat['missing'])}")
    return found


def format_duration(seconds: float) -> str:
    """Return a length of time in at most six characters: 42s, 5m10s, 3h20m, 12d4h."""
    whole = max(0, int(seconds))
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}" + (f"{rest}{small_unit}" if rest else "")
    return f"{whole}s"


def _of_phase(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    phase, since = heartbeat["phase"], now - heartbeat["phase_since"]
    if phase == STOPPING:
        if thresholds.stop_seconds is not None and since > thresholds.stop_seconds + thresholds.stale_seconds:
            return Verdict(
                CRITICAL, "PM203", f"it has been stopping for {format_duration(since)} and does not end", FORCE
            )
        return Verdict(OK, "PM203", f"it is stopping, for {format_duration(since)}, and finishes its running tasks")
    if phase == DISCONNECTED:
        return Verdict(
            WARNING, "PM203", f"it has had no connection to the broker for {format_duration(since)} and keeps trying"
        )
    level = WARNING if since > thresholds.stale_seconds else OK
    if phase == IMPORTING:
        return Verdict(level, "PM203", f"it has been importing the app for {format_duration(since)}")
    return Verdict(level, "PM203", f"it has been starting for {format_duration(since)}; the broker may be away")


def _of_worker(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    return (
        _of_loop(heartbeat, now, thresholds)
        or _of_waiting_messages(heartbeat, now, thresholds)
        or _of_pool(heartbeat, now, thresholds)
        or _of_consumers(heartbeat, now, thresholds)
        or Verdict(OK, "PM200", _work(heartbeat))
    )


def _work(heartbeat: Mapping[str, Any]) -> str:
    busy, slots = heartbeat["busy"], heartbeat["slots"]
    if busy is None or slots is None:
        return "it is consuming"
    if busy >= slots:
        return f"it is consuming; all of its {slots} slots are busy"
    return f"it is consuming; {busy} of its {slots} slots are busy"


def _of_loop(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    loop = heartbeat["loop"]
    if loop is None or now - loop <= thresholds.stale_seconds:
        return None
    reason = f"its event loop has stood still for {format_duration(now - loop)}"
    if heartbeat["pool"] not in POOLS_THAT_TELL:
        return Verdict(UNKNOWN, "PM202", f"{reason}, which a task can do in this pool ({heartbeat['pool']})")
    if not _broker_answered_since(heartbeat, loop):
        return Verdict(WARNING, "PM202", f"{reason}, and the broker has not answered since")
    return Verdict(CRITICAL, "PM202", f"{reason} while the broker answers", FORCE)


def _broker_answered_since(heartbeat: Mapping[str, Any], since: float) -> bool:
    return heartbeat["queues_asked"] is not None and heartbeat["queues_asked"] > since


def _of_waiting_messages(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    since = heartbeat["idle_with_messages_since"]
    if since is None or now - since <= thresholds.stall_seconds:
        return None
    waiting = [queue for queue in heartbeat["queues"] if queue["messages"]]
    names = ", ".join(f"{queue['messages']} in {queue['name']}" for queue in waiting) or "in its queues"
    waited = format_duration(now - since)
    reason = f"messages have been waiting for {waited} ({names}) while it has a free slot and takes none"
    return Verdict(CRITICAL, "PM301", reason, "" if heartbeat["busy"] else WARM)


def _of_pool(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    busy, slots, progress = heartbeat["busy"], heartbeat["slots"], heartbeat["progress"]
    if not heartbeat["reserved"] or busy is None or slots is None or progress is None or busy >= slots:
        return None
    if now - progress <= thresholds.stall_seconds:
        return None
    reason = f"{heartbeat['reserved']} received messages have not been started for {format_duration(now - progress)}"
    if busy:
        # With -O fast a message may rightly wait for one slot while another is free.
        return Verdict(WARNING, "PM302", f"{reason}, with {busy} of its {slots} slots busy")
    return Verdict(CRITICAL, "PM302", f"{reason}, and none of its {slots} slots is busy: the pool is stuck", WARM)


def _of_consumers(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Optional[Verdict]:
    abandoned = [queue for queue in heartbeat["queues"] if queue["consumers"] == 0]
    if not abandoned:
        return None
    names = ", ".join(queue["name"] for queue in abandoned)
    reason = f"nobody consumes {names}, which this worker should"
    if heartbeat["pool"] == SOLO and heartbeat["busy"]:
        return Verdict(UNKNOWN, "PM303", f"{reason}; in this pool ({SOLO}) it can only after its task")
    # Where tasks run in the main process it may have connected again no earlier than the last one let it.
    able = heartbeat["progress"] if heartbeat["pool"] not in POOLS_THAT_TELL else None
    if not any(now - max(queue["since"] or now, able or 0) > thresholds.stall_seconds for queue in abandoned):
        return Verdict(WARNING, "PM303", reason)
    return Verdict(CRITICAL, "PM303", f"{reason}, and messages wait there", "" if heartbeat["busy"] else WARM)


def _of_beat(heartbeat: Mapping[str, Any], now: float, thresholds: Thresholds) -> Verdict:
    tick_due, next_due = heartbeat["tick_due"], heartbeat["next_due"]
    if tick_due is None:
        return Verdict(UNKNOWN, "PM401", "it cannot be told whether it ticks: it uses a scheduler of its own kind")
    if now - tick_due > thresholds.stale_seconds:
        reason = f"its next tick has been due for {format_duration(now - tick_due)}"
        if not _broker_answered_since(heartbeat, tick_due):
            return Verdict(WARNING, "PM401", f"{reason}, and the broker has not answered since")
        return Verdict(CRITICAL, "PM401", f"{reason} while the broker answers: it sends nothing", WARM)
    name = heartbeat["next_entry"]
    if next_due is not None and now - next_due > thresholds.stale_seconds:
        return Verdict(CRITICAL, "PM402", f"it ticks, but {name} has been due for {format_duration(now - next_due)}")
    if next_due is None or name is None:
        return Verdict(OK, "PM200", "it is ticking")
    return Verdict(OK, "PM200", f"it is ticking; {name} is due in {format_duration(max(0.0, next_due - now))}")


# Reading -------------------------------------------------------------------------------------------------------------


class Field(NamedTuple):
    """What one field of a heartbeat may hold."""

    kind: type
    nullable: bool = False
    choices: Any = ()


QUEUE = {
    "name": Field(str),
    "messages": Field(int, True),
    "consumers": Field(int, True),
    "since": Field(float, True),
}
TASK = {"name": Field(str), "since": Field(float, True)}
VERDICT = {
    "level": Field(str, choices=(OK, WARNING, CRITICAL, UNKNOWN)),
    "code": Field(str, choices=tuple(CODES)),
    "reason": Field(str),
    "remedy": Field(str, choices=("", WARM, FORCE)),
}

FIELDS = {
    "format": Field(int, choices=(FORMAT,)),
    "program": Field(str),
    "kind": Field(str, choices=("worker", "beat")),
    "boot_id": Field(str, True),
    "pid": Field(int),
    "started": Field(float),
    "interval": Field(float),
    "written": Field(float),
    "wall": Field(float),
    "phase": Field(str, choices=PHASES),
    "phase_since": Field(float),
    "loop": Field(float, True),
    "pool": Field(str, True),
    "slots": Field(int, True),
    "busy": Field(int, True),
    "reserved": Field(int, True),
    "finished": Field(int),
    "progress": Field(float, True),
    "queues_asked": Field(float, True),
    "idle_with_messages_since": Field(float, True),
    "node_name": Field(str, True),
    "tick": Field(float, True),
    "tick_due": Field(float, True),
    "next_due": Field(float, True),
    "next_entry": Field(str, True),
    "scheduler": Field(str, True),
    "held": Field(bool, True),
}


def read(text: str) -> Dict[str, Any]:
    """Return the heartbeat that `text` is, with every field: those that may be null and are left out are None.

    Raises ValueError, saying what is wrong. Whoever wrote the file may have meant harm: numbers are finite, and texts
    are printable, so that they can be shown on a terminal. Fields that are not known are left out.
    """
    if len(text) > MAX_BYTES:
        raise ValueError("it is too long")
    try:
        found = json.loads(text, parse_constant=_refuse, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    heartbeat = _read_fields(found, FIELDS, "heartbeat")
    heartbeat["queues"] = [_read_fields(each, QUEUE, "queues") for each in _list(found, "queues")]
    heartbeat["tasks"] = [_read_fields(each, TASK, "tasks") for each in _list(found, "tasks")]
    heartbeat["missing"] = [_value(each, Field(str), "missing") for each in _list(found, "missing")]
    versions = found.get("versions") or {}
    if not isinstance(versions, dict):
        raise ValueError("versions is of the wrong type")
    heartbeat["versions"] = {
        _value(name, Field(str), "versions"): _value(version, Field(str, True), "versions")
        for name, version in versions.items()
    }
    own = found.get("verdict")
    heartbeat["verdict"] = None if own is None else _read_fields(own, VERDICT, "verdict")
    return heartbeat


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _integer(digits: str) -> int:
    if len(digits) > 15:
        raise ValueError("a number is too long")
    return int(digits)


def _list(found: Mapping[str, Any], name: str) -> Any:
    value = found.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{name} is of the wrong type")
    return value


def _read_fields(found: Any, fields: Mapping[str, Field], what: str) -> Dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"{what} is of the wrong type")
    return {name: _value(found.get(name), field, name) for name, field in fields.items()}


def _value(value: Any, field: Field, name: str) -> Any:
    if value is None and field.nullable:
        return None
    accepted = (int, float) if field.kind is float else field.kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and field.kind is not bool):
        raise ValueError(f"{name} is missing or of the wrong type")
    if field.choices and value not in field.choices:
        raise ValueError(f"{name} is none of what it may be")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{name} cannot be printed")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise ValueError(f"{name} is no finite number")
    return value
