"""Connect to a broker with kombu as a worker would, and count the messages in its queues.

procman puts this text before that of broker_script.py, which takes the connection from an app, and before that of
broker_look_script.py, which takes it from the file that a worker has left. Nothing is declared and nothing is consumed.
"""

import json
import time
from typing import Any, Dict, List, Optional

if __name__ == "procman.probes.broker_connection_script":
    # As a probe, this text comes after those.
    from procman.probes.broker_address_script import about
    from procman.probes.broker_establish_script import establish
    from procman.probes.broker_management_script import management, queue_seen
    from procman.probes.broker_redis_script import redis_states, refusal_in

CONNECT_SECONDS = 4.0

MOST_UNACKNOWLEDGED = 1000
"""More messages than these that a Redis holds for its workers are not counted: each is read as a whole."""
COUNTING_SECONDS = 2.0


def describe(connection: Any, names: List[str], management_url: Optional[str], found: Dict[str, Any]) -> Any:
    """Connect, and put what the broker answers about the queues `names` into `found`; an error is raised.

    Return the connection of the transport. "stage" and "reachable" of `found` show how far it got, and "tried" has each
    URL of several that was tried.
    """
    found["stage"] = "connecting"
    found.update(about(connection))
    try:
        established = establish(connection, found)
    except Exception as error:
        refusal = refusal_in(error) if connection.transport.driver_type == "redis" else None
        if refusal:
            # It answers: one that cannot save its data refuses even the PING of a new connection.
            found.update(stage="asking", reachable=True, redis_refusal=refusal)
        raise
    found.update(about(connection))
    found["stage"] = "asking"
    found["reachable"] = True
    if connection.transport.driver_type == "redis":
        # First: without its permissions, Redis answers nothing else.
        found.update(redis_states(connection.transport.create_channel(established), names))
    found["queues"] = [_queue(connection, established, name) for name in names]
    if management_url:
        found["management"] = management(management_url, connection)
        if not found["management"]["problem"]:
            for queue in found["queues"]:
                seen = queue_seen(management_url, connection, queue["name"], "messages_unacknowledged")
                queue["unacknowledged"] = seen.get("messages_unacknowledged")
    elif connection.transport.driver_type == "redis":
        unacknowledged = _unacknowledged(connection.transport.create_channel(established))
        for queue in found["queues"]:
            queue["unacknowledged"] = None if unacknowledged is None else unacknowledged.get(queue["name"], 0)
    return established


def _queue(connection: Any, established: Any, name: str) -> Dict[str, Any]:
    # An AMQP server closes the channel if the queue does not exist.
    channel = connection.transport.create_channel(established)
    messages = consumers = None  # type: Optional[int]
    try:
        if hasattr(channel, "_size"):
            # A transport that emulates AMQP does not know the consumers. A passive declaration would not find a queue
            # with `global_keyprefix`, and might create one.
            messages = int(channel._size(name))
        else:
            _, messages, consumers = channel.queue_declare(queue=name, passive=True)[:3]
    except Exception as error:
        # It does not exist, or another connection holds it exclusively.
        if getattr(error, "code", None) not in (404, 405) and "NOT_FOUND" not in str(error):
            raise
    finally:
        close_channel(channel)
    return {"name": name, "messages": messages, "consumers": consumers, "unacknowledged": None}


def _unacknowledged(channel: Any) -> Optional[Dict[str, int]]:
    """Return how many messages of each queue kombu keeps in Redis until a worker acknowledges them; None: too many."""
    client, key = channel.client, str(channel.unacked_key)
    total = client.hlen(key)
    if not total or total > MOST_UNACKNOWLEDGED:
        return None if total else {}
    until = time.monotonic() + COUNTING_SECONDS
    counted = {}  # type: Dict[str, int]
    # kombu adds its prefix to the keys of the commands that it uses itself, and HSCAN is none of them.
    for _, text in client.hscan_iter(str(getattr(channel, "global_keyprefix", "") or "") + key, count=10):
        if time.monotonic() > until:
            return None
        _, exchange, routing_key = json.loads(text)
        for name in _destinations(channel, str(exchange), str(routing_key)):
            counted[name] = counted.get(name, 0) + 1
    return counted or None


def _destinations(channel: Any, exchange: str, routing_key: str) -> List[str]:
    if not exchange:
        return [routing_key]
    try:
        return [str(queue) for key, _, queue in channel.get_table(exchange) if key == routing_key]
    except Exception:  # kombu has several for an exchange without a queue
        return []


def close_channel(channel: Any) -> None:
    """Close a channel, which the server may have closed already."""
    try:
        channel.close()
    except Exception:  # noqa: S110  # the server may have closed the channel
        pass
