"""Find out whether Redis accepts what a worker must do, although it answers.

procman puts this text before that of broker_connection_script.py. No key is changed. A state that the app's account
may not ask for is unknown (None), and never taken for a good one.
"""

from typing import Any, Dict, List, Optional, Tuple

LONGEST_REASON = 300


def redis_states(channel: Any, names: List[str]) -> Dict[str, Any]:
    """Return the visibility timeout of a connection, and why Redis refuses its commands for the queues `names`."""
    seconds = getattr(channel, "visibility_timeout", None)
    return {
        "visibility_seconds": float(seconds) if isinstance(seconds, (int, float)) else None,
        "redis_refusal": _refusal(channel, names),
    }


def _refusal(channel: Any, queues: List[str]) -> Optional[str]:
    """Return why Redis refuses a command that every worker needs, empty if it accepts all; None: unknown."""
    try:
        prefix = str(getattr(channel, "global_keyprefix", ""))
        try_in_transaction(channel.client.connection_pool, _needed_commands(channel, prefix, queues))
    except Exception as error:
        return refusal_in(error)
    return ""


def try_in_transaction(pool: Any, commands: List[Tuple[Any, ...]]) -> None:
    """Raise the error of the first of `commands` that Redis refuses, and execute none.

    They are queued in a transaction that is never executed: Redis judges the permissions, the memory and the disk when
    it queues them.
    """
    connection = pool.get_connection("MULTI")
    try:
        for words in [("MULTI",), *commands]:
            connection.send_command(*words)
            connection.read_response()
    finally:
        # Without EXEC, nothing of the transaction remains.
        connection.disconnect()
        pool.release(connection)


def _needed_commands(channel: Any, prefix: str, queues: List[str]) -> List[Tuple[str, ...]]:
    unacked, index = prefix + str(channel.unacked_key), prefix + str(channel.unacked_index_key)
    commands = []  # type: List[Tuple[str, ...]]
    for name in queues:
        commands += [("LPUSH", prefix + name, ""), ("BRPOP", prefix + name, "1"), ("LLEN", prefix + name)]
    commands += [("HSET", unacked, "procman", ""), ("HDEL", unacked, "procman"), ("HGET", unacked, "procman")]
    return commands + [("ZADD", index, "0", "procman"), ("ZREM", index, "procman")]


REDIS_KINDS = {
    "ReadOnlyError": "READONLY",
    "OutOfMemoryError": "OOM",
    "NoPermissionError": "NOPERM",
    "BusyLoadingError": "LOADING",
}
"""redis-py removes the first word of the errors for which it has a type."""


def refusal_in(error: BaseException) -> Optional[str]:
    """Return Redis's own words in an error; None if it is not an answer of Redis, or about the password."""
    text, kind = str(error)[:LONGEST_REASON], REDIS_KINDS.get(type(error).__name__, "")
    if text.startswith(("NOAUTH", "WRONGPASS")) or not (kind or type(error).__name__ == "ResponseError"):
        return None
    return text if text.startswith(kind) else "%s %s" % (kind, text)
