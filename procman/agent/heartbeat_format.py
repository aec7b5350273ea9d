"""Define the fields of a heartbeat, and read one without trusting its author.

`procman install` installs this file beside the launcher; procman imports the same code.
"""

from . import strict_json
from .light_typing import Any, Dict, Mapping, NamedTuple
from .missed_outcomes import OUTCOMES
from .verdict import CODES, CRITICAL, FORCE, OK, PHASES, UNKNOWN, WARM, WARNING

FORMAT = 1
FILE = "heartbeat.json"
"""The name of the file in the program's run directory."""
MAX_BYTES = 65536
"""The longest heartbeat that is written or read."""
MOST = 10**15
"""Any float distinguishes smaller whole numbers."""
MAX_TASKS = 20
MAX_NAME = 200
MAX_ENTRIES = 5
"""Entries of beat's schedule."""


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
TASK = {"id": Field(str, True), "name": Field(str), "since": Field(float, True)}
ENTRY = {"name": Field(str), "due": Field(float)}
MISSED = {
    "name": Field(str),
    "times": Field(int),
    "last": Field(float),
    "outcome": Field(str, choices=OUTCOMES),
}
POOL_END = {
    "pid": Field(int),
    "at": Field(float),
    "how": Field(str),
    "for_memory": Field(bool),
    "task": Field(str, True),
    "task_id": Field(str, True),
}
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
    "ready": Field(bool, True),
    "loop": Field(float, True),
    "pool": Field(str, True),
    "slots": Field(int, True),
    "busy": Field(int, True),
    "reserved": Field(int, True),
    "scheduled": Field(int, True),
    "full_since": Field(float, True),
    "visibility_seconds": Field(float, True),
    "time_limit": Field(float, True),
    "finished": Field(int),
    "progress": Field(float, True),
    "pool_processes": Field(int, True),
    "pool_starting": Field(int, True),
    "pool_start_seconds": Field(float, True),
    "pool_unready_since": Field(float, True),
    "queues_asked": Field(float, True),
    "idle_with_messages_since": Field(float, True),
    "longest_task": Field(str, True),
    "longest_task_seconds": Field(float, True),
    "longest_late_task": Field(str, True),
    "longest_late_task_seconds": Field(float, True),
    "node_name": Field(str, True),
    "connect_error": Field(str, True),
    "tick": Field(float, True),
    "tick_due": Field(float, True),
    "next_due": Field(float, True),
    "next_entry": Field(str, True),
    "ticked": Field(float, True),
    "down_since": Field(float, True),
    "missed_at": Field(float, True),
    "missed_total": Field(int, True),
    "missed_lost": Field(int, True),
    "scheduler": Field(str, True),
    "lock": Field(str, True),
    "lock_until": Field(float, True),
    "lock_retry": Field(float, True),
    "failed_entry": Field(str, True),
    "failed_sends": Field(int, True),
    "failed_since": Field(float, True),
    "failed_error": Field(str, True),
    "failed_entries": Field(int, True),
    "changed_module": Field(str, True),
    "changed_modules": Field(int, True),
    "held": Field(bool, True),
}


def read(text: str) -> Dict[str, Any]:
    """Parse a heartbeat and return every known field; nullable fields that are missing are None.

    Raises ValueError with the reason. The file's author is not trusted: numbers must be finite and texts printable,
    so that they can be shown on a terminal. Unknown fields are dropped.
    """
    found = strict_json.parse(text, most=MAX_BYTES)
    heartbeat = _read_fields(found, FIELDS, "heartbeat")
    heartbeat["queues"] = [_read_fields(each, QUEUE, "queues") for each in _list(found, "queues")]
    heartbeat["tasks"] = [_read_fields(each, TASK, "tasks") for each in _list(found, "tasks")]
    heartbeat["next_entries"] = [_read_fields(each, ENTRY, "next_entries") for each in _list(found, "next_entries")]
    heartbeat["missed_entries"] = [
        _read_fields(each, MISSED, "missed_entries") for each in _list(found, "missed_entries")
    ]
    heartbeat["pool_ends"] = [_read_fields(each, POOL_END, "pool_ends") for each in _list(found, "pool_ends")]
    heartbeat["brokers"] = [_value(each, Field(str), "brokers") for each in _list(found, "brokers")]
    heartbeat["missing"] = [_value(each, Field(str), "missing") for each in _list(found, "missing")]
    versions = found.get("versions") or {}
    if not isinstance(versions, dict):
        raise ValueError("versions has the wrong type")
    heartbeat["versions"] = {
        _value(name, Field(str), "versions"): _value(version, Field(str, True), "versions")
        for name, version in versions.items()
    }
    own = found.get("verdict")
    heartbeat["verdict"] = None if own is None else _read_fields(own, VERDICT, "verdict")
    return heartbeat


def _list(found: Mapping[str, Any], name: str) -> Any:
    value = found.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{name} has the wrong type")
    return value


def _read_fields(found: Any, fields: Mapping[str, Field], what: str) -> Dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"{what} has the wrong type")
    read = {}
    for name, field in fields.items():
        value = found.get(name)
        # Most fields are empty; `health` reads thousands every minute.
        read[name] = None if value is None and field.nullable else _value(value, field, name)
    return read


def _value(value: Any, field: Field, name: str) -> Any:
    if value is None and field.nullable:
        return None
    accepted = (int, float) if field.kind is float else field.kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and field.kind is not bool):
        raise ValueError(f"{name} is missing or has the wrong type")
    if field.choices and value not in field.choices:
        raise ValueError(f"{name} has an unknown value")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{name} has unprintable characters")
    if isinstance(value, int) and abs(value) >= MOST:
        raise ValueError(f"{name} is too large")
    return value
