"""Find states of a broker in which it answers, and yet loses messages or refuses what a worker sends.

procman puts this text before that of broker_script.py. Nothing here changes a queue or a key. A state that the app's
account may not ask for is unknown (None), and never taken for a good one.
"""

import binascii
import os
import re
from typing import Any, Callable, Dict, List, Optional, Tuple

if __name__ == "procman.probes.broker_states_script":
    # As a probe, this text comes after those.
    from procman.probes.broker_connection_script import close_channel
    from procman.probes.broker_management_script import queue_seen

LONGEST_REASON = 300

PIDBOX = "procman-probe-%s"
"""The node name for which a control queue is declared; the queue is deleted at once."""

DENIED = re.compile(r"deprecated|not permitted", re.IGNORECASE)
FEATURE = re.compile(r"Feature `?([a-z_]+)`?")


def acknowledges_late(app: Any) -> bool:
    """Return whether the app, or a task of it, acknowledges messages after the task."""
    return bool(app.conf.task_acks_late) or any(getattr(task, "acks_late", False) for task in app.tasks.values())


def server_version(established: Any) -> str:
    """Return the version of a RabbitMQ; empty for any other server."""
    properties = getattr(established, "server_properties", None) or {}
    return str(properties.get("version") or "") if properties.get("product") == "RabbitMQ" else ""


# Queues of RabbitMQ --------------------------------------------------------------------------------------------------


def queue_state(
    app: Any, connection: Any, established: Any, counted: Dict[str, Any], management_url: Optional[str]
) -> Dict[str, Any]:
    """Return what RabbitMQ makes of a queue: its own arguments and policy, or else the arguments in the app."""
    queue = app.amqp.queues[counted["name"]]
    declared = dict(queue.queue_arguments or {})
    exists = counted["messages"] is not None
    refused = _refused_declaration(connection, established, queue) if exists else ""
    seen = _arguments_and_policy(management_url, connection, queue.name) if management_url and exists else None
    arguments, policy = seen or (declared, {})
    values = [each for each in (arguments.get("x-consumer-timeout"), policy.get("consumer-timeout")) if each]
    is_known = seen is not None or not refused
    return {
        "refused": refused,
        "is_quorum": is_known and arguments.get("x-queue-type") == "quorum",
        # RabbitMQ uses the lower of the two numbers of an argument and a policy, and -1 is unlimited.
        "delivery_limit": _lowest(arguments.get("x-delivery-limit"), policy.get("delivery-limit")),
        "has_dead_letters": "x-dead-letter-exchange" in arguments or "dead-letter-exchange" in policy,
        "consumer_timeout_seconds": min(values) / 1000.0 if values else None,
        "delays_natively": _delays_natively(app, queue),
    }


def _lowest(*limits: Any) -> Optional[int]:
    known = [int(each) for each in limits if isinstance(each, int)]
    finite = [each for each in known if each >= 0]
    return min(finite) if finite else (-1 if known else None)


def _delays_natively(app: Any, queue: Any) -> bool:
    # Celery 5.5 and later lets RabbitMQ keep a task until its ETA, unless the exchange is direct.
    return hasattr(app.conf, "broker_native_delayed_delivery_queue_type") and queue.exchange.type != "direct"


def _refused_declaration(connection: Any, established: Any, queue: Any) -> str:
    """Declare a queue that exists as the app does; return the reason why the server refuses it.

    A declaration with the same arguments changes nothing.
    """
    channel = connection.transport.create_channel(established)
    try:
        queue.bind(channel).queue_declare()
    except Exception as error:
        return _reason(error) if getattr(error, "code", None) == 406 else ""
    finally:
        close_channel(channel)
    return ""


def _reason(error: BaseException) -> str:
    # RabbitMQ's own text has several lines.
    return " ".join(str(getattr(error, "reply_text", None) or error).split())[:LONGEST_REASON]


def _arguments_and_policy(url: str, connection: Any, name: str) -> Optional[Tuple[Dict[str, Any], Dict[str, Any]]]:
    """Return the arguments and the effective policy of a queue; None if the account may not see them."""
    found = queue_seen(url, connection, name, "arguments", "effective_policy_definition")
    if "arguments" not in found:
        return None
    # Instead of an empty object, RabbitMQ 3 returns a list.
    return found["arguments"] or {}, found.get("effective_policy_definition") or {}


# Features that RabbitMQ denies ---------------------------------------------------------------------------------------


def denied_feature(app: Any, connection: Any, established: Any) -> Dict[str, str]:
    """Return the deprecated feature that this Celery needs and RabbitMQ denies, and its reason; empty if none.

    A worker declares its control queue and sets its prefetch count when it connects. Both are tried as this version of
    Celery does, on connections of their own, because RabbitMQ closes a connection for it.
    """
    for needed, name, attempt in _attempts(app, connection, established):
        if not needed:
            continue
        try:
            _on_own_connection(connection, attempt)
        except Exception as error:
            text = _reason(error)
            if DENIED.search(text):
                found = FEATURE.search(text)
                return {"feature": found.group(1) if found else name, "reason": text}
    return {}


def _attempts(app: Any, connection: Any, established: Any) -> List[Tuple[bool, str, Callable[[Any], None]]]:
    random = binascii.hexlify(os.urandom(8)).decode()
    queue = app.control.mailbox.get_queue(PIDBOX % random)
    quorum = any(
        (each.queue_arguments or {}).get("x-queue-type") == "quorum" for each in list(app.amqp.queues.values())
    )
    # As celery.worker.consumer.tasks.Tasks does.
    is_global = not connection.transport.qos_semantics_matches_spec(established)
    if getattr(app.conf, "worker_detect_quorum_queues", False) and quorum:
        is_global = False

    def declare(channel: Any) -> None:
        queue.bind(channel).queue_declare()
        channel.queue_delete(queue.name)

    return [
        (not queue.durable and not queue.exclusive, "transient_nonexcl_queues", declare),
        (is_global, "global_qos", lambda channel: channel.basic_qos(0, 1, True)),
    ]


def _on_own_connection(connection: Any, attempt: Callable[[Any], None]) -> None:
    own = connection.transport.establish_connection()
    try:
        attempt(connection.transport.create_channel(own))
    finally:
        try:
            connection.transport.close_connection(own)
        except Exception:  # noqa: S110  # the server may have closed it
            pass
