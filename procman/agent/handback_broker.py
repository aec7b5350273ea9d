"""Return messages to the broker when the main thread cannot: from another thread, or by ending this process.

RabbitMQ returns everything that a connection has not acknowledged once that ends. On Redis, kombu keeps these messages
in a hash, from which handback_script.py restores them: as a child of this process or, if a task has to end first, in
its place. `exec` ends all threads before the script begins.
"""

import _socket
import errno
import fcntl
import json
import os
import signal
import sys
from time import monotonic, sleep
from typing import Any, Dict, List, Mapping

from .active_requests import note_acknowledgement

RABBITMQ, REDIS, OTHER = "RabbitMQ", "Redis", "other"

SCRIPT = "handback_script.py"
F_SETPIPE_SZ = 1031  # fcntl(2)
PIPE_BYTES = 1024 * 1024
END_SECONDS = 1.0
"""How long the child may take to end once its time is up."""
PAUSE_SECONDS = 0.02

# Saved before gevent or eventlet replaces them in the module.
_write, _waitpid, _fork, _posix_spawn = os.write, os.waitpid, os.fork, getattr(os, "posix_spawn", None)


def kind_of(channel: Any) -> str:
    """Return which broker a channel of kombu belongs to."""
    if hasattr(getattr(channel, "qos", None), "restore_by_tag"):
        return REDIS
    client = getattr(getattr(channel, "connection", None), "client", None)
    driver = getattr(getattr(client, "transport", None), "driver_type", None)
    return RABBITMQ if driver == "amqp" else OTHER


def is_known(worker: Any) -> bool:
    """Return whether messages can be returned to the broker of `worker`, connected or not.

    Elsewhere kombu returns a copy: Amazon SQS would deliver the original as well.
    """
    return _driver_of(worker) in ("amqp", "redis")


def is_redis(worker: Any) -> bool:
    """Return whether the broker of `worker` is Redis, connected or not."""
    return bool(_driver_of(worker) == "redis")


def _driver_of(worker: Any) -> Any:
    transport = getattr(getattr(worker, "_conninfo", None), "transport", None)
    return getattr(transport, "driver_type", None)


def disconnect(connection: Any) -> None:
    """Shut down the socket of kombu's connection to RabbitMQ, under TLS too; it remains open for its own thread."""
    sock = connection.connection.transport.sock
    copy = _socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
    try:
        copy.shutdown(_socket.SHUT_RDWR)
    finally:
        copy.close()


def pending_acknowledgements(consumer: Any) -> List[Any]:
    """Return the messages that Celery has acknowledged to itself only: it tells the broker when its loop turns.

    In the solo pool that is after the next task at the earliest, however early a task is to be acknowledged.
    """
    waiting = list(getattr(consumer, "_pending_operations", ()))
    waiting += list(getattr(consumer.hub, "_ready", ()))
    for frame in list(sys._current_frames().values()):
        while frame is not None:
            if frame.f_code.co_name == "create_loop":
                waiting += list(frame.f_locals.get("todo") or ())
            frame = frame.f_back  # type: ignore[assignment]
    messages = [_acknowledged_by(each) for each in waiting]
    return [message for message in messages if message is not None and not message.acknowledged]


def _acknowledged_by(operation: Any) -> Any:
    function = getattr(operation, "fun", operation)
    return function.__self__ if getattr(function, "__name__", "") == "ack_log_error" else None


def acknowledge(messages: List[Any]) -> None:
    """Acknowledge messages to RabbitMQ while the thread of the connection does not use it."""
    for message in messages:
        note_acknowledgement(message)
        message.channel.basic_ack(message.delivery_tag)


def note(acknowledged: List[Any]) -> None:
    """Record that the script acknowledges these messages."""
    for message in acknowledged:
        note_acknowledgement(message)


def held_tags(channel: Any) -> List[str]:
    """Return the delivery tags on Redis that a worker holds: neither acknowledged nor returned."""
    settled = set(channel.qos._dirty)
    return [tag for tag in list(channel.qos._delivered) if tag not in settled]


def forget(channel: Any, tags: List[str]) -> None:
    """Keep kombu from restoring messages that have been restored: another worker may have taken them by now."""
    for tag in tags:
        channel.qos._quick_ack(tag)


# The script ----------------------------------------------------------------------------------------------------------


def run_script(order: Mapping[str, Any]) -> bool:
    """Carry out `order` in a child process; return whether it succeeded, as far as that is known."""
    descriptor = _pipe_of(order)
    arguments = _arguments(descriptor)
    try:
        pid = _start(arguments)
    finally:
        os.close(descriptor)
    deadline = order["until"] + END_SECONDS
    while monotonic() < deadline:
        try:
            ended, status = _waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # the project reaps every child
            return True
        if ended:
            return status == 0
        sleep(PAUSE_SECONDS)
    os.kill(pid, signal.SIGKILL)
    return False


def _start(arguments: List[str]) -> int:
    if _posix_spawn is not None:
        return int(_posix_spawn(arguments[0], arguments, os.environ))
    pid = _fork()  # Python 3.6 and 3.7
    if pid == 0:
        try:
            os.execv(arguments[0], arguments)  # noqa: S606  # our own file, by the project's Python
        finally:
            os._exit(1)
    return pid


def become_script(order: Mapping[str, Any]) -> None:
    """Carry out `order` in place of this process, which ends with all its threads; returns only by raising OSError.

    The signals that a process manager sends stay blocked from here on; only SIGKILL ends it sooner.
    """
    descriptor = _pipe_of(order)
    arguments = _arguments(descriptor)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    try:
        os.execv(arguments[0], arguments)  # noqa: S606  # our own file, by the project's Python
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(descriptor)


def _arguments(descriptor: int) -> List[str]:
    script = os.path.join(os.path.dirname(os.path.realpath(__file__)), SCRIPT)
    return [sys.executable, script, str(descriptor)]


def _pipe_of(order: Mapping[str, Any]) -> int:
    """Return a pipe that holds `order`; with more tags than it can hold, those of the last messages are left out."""
    reading, writing = os.pipe()
    try:
        content = _fitting(order, _enlarged(writing))
        os.set_blocking(writing, False)
        if _write(writing, content) != len(content):
            raise OSError("the pipe is full")
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    os.set_inheritable(reading, True)
    return reading


def _fitting(order: Mapping[str, Any], capacity: int) -> bytes:
    fields: Dict[str, Any] = dict(order, tags=[])
    room = capacity - len(json.dumps(fields))
    if room < 0:
        raise OSError(errno.EMSGSIZE, "the order is larger than a pipe")
    for tag in order["tags"]:
        room -= len(json.dumps(tag)) + len(", ")
        if room < 0:
            break
        fields["tags"].append(tag)
    return json.dumps(fields).encode("ascii")


def _enlarged(writing: int) -> int:
    try:
        return int(fcntl.fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES))
    except OSError:
        return 65536
