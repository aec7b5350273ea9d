"""Record the broker of a worker and the queues that it consumes, so that they can be looked at while it does not run.

The file contains the broker's password, so that only the programs' user may read it. It remains when the worker stops.
procman puts this text before that of broker_look_script.py, which reads the file as the same user.
"""

import json
import os
from typing import Any, Collection, Dict, List, Optional

BROKER_FILE = "broker.json"
"""The name of the file in the program's run directory."""
BROKER_FILE_MODE = 0o600
BROKER_FILE_FORMAT = 1
MOST_BYTES_OF_BROKER_FILE = 65536

PLAIN_PARTS = ("userid", "password", "virtual_host", "port", "ssl")
"""Attributes of a kombu connection that are arguments of the same name."""


def record_of(app: Any, routed: Collection[str] = ()) -> Optional[str]:
    """Return the text of the file for a worker of `app`; None if its connection cannot be written down.

    `routed` names queues that the app sends tasks to, whoever consumes them.

    An option of the transport that JSON cannot hold, such as a function, is left out. TLS is never left out, because
    the password must not be sent without it.
    """
    # Not Connection.info(), which logs a warning if there is no host.
    origin = app.connection_for_read()
    try:
        connection = plain({name: getattr(origin, name) for name in PLAIN_PARTS})
        connection.update(plain({"transport": origin.transport_cls, "alternates": list(origin.alt or [])}))
    except TypeError:
        return None
    prefix, host = origin.uri_prefix, origin.hostname
    connection["hostname"] = "%s+%s" % (prefix, host) if prefix and host else host
    connection["uri_prefix"] = prefix
    connection["login_method"] = origin.login_method
    connection["transport_options"] = _plain_members(origin.transport_options or {})
    queues = [_declaration(name, queue) for name, queue in sorted(app.amqp.queues.consume_from.items())]
    record = {"format": BROKER_FILE_FORMAT, "connection": connection, "queues": queues, "routed": sorted(routed)}
    text = json.dumps(record)
    return text if len(text) <= MOST_BYTES_OF_BROKER_FILE else json.dumps({**record, "queues": [], "routed": []})


def _declaration(name: str, queue: Any) -> Dict[str, Any]:
    exchange = getattr(queue, "exchange", None)
    return {
        "name": str(name),
        "durable": bool(queue.durable),
        "exclusive": bool(queue.exclusive),
        "auto_delete": bool(queue.auto_delete),
        "arguments": _plain_members(queue.queue_arguments or {}),
        "exchange": str(getattr(exchange, "name", "") or ""),
        "exchange_type": str(getattr(exchange, "type", "") or "direct"),
        "routing_key": str(queue.routing_key or ""),
    }


def _plain_members(options: Dict[Any, Any]) -> Dict[str, Any]:
    found = {}
    for name, value in options.items():
        try:
            found[str(name)] = plain(value)
        except TypeError:
            pass
    return found


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it; TypeError if it cannot."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)  # of a member of an enumeration, its value
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(each) for each in value]
    raise TypeError(type(value).__name__)


def read_record(path: str) -> Optional[Dict[str, Any]]:
    """Return the record in the file at `path`; None if there is none, or none of this format."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        try:
            record = json.loads(file.read(MOST_BYTES_OF_BROKER_FILE + 1).decode("utf-8"))
        except (OSError, ValueError):
            return None
    return record if _is_known(record) else None


def _is_known(record: Any) -> bool:
    """Return whether a record has this format; the service user could have written anything."""
    if not isinstance(record, dict) or record.get("format") != BROKER_FILE_FORMAT:
        return False
    if not isinstance(record.get("connection"), dict) or not isinstance(record.get("routed"), list):
        return False
    queues = record.get("queues")
    return isinstance(queues, list) and all(isinstance(queue, dict) and "name" in queue for queue in queues)


def names_of(record: Dict[str, Any]) -> List[str]:
    """Return the names of the queues of a record."""
    return [str(queue["name"]) for queue in record["queues"]]
