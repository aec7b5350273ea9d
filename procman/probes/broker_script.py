"""Connect to the broker of a Celery app as a worker would, count the messages in its queues, and answer with JSON.

procman passes this text to the project's own Python on stdin, after broker_origin_script.py, as it does with
app_script.py:

    VIRTUALENV/bin/python - APP JSON

It runs as the service user, in the project's directory and in the environment that the programs will have, and connects
with the app's configuration. JSON is an object: "queues" names the queues to count (empty: those that a worker consumes
by default), "seconds" is the time limit, "management" is the URL of RabbitMQ's management interface, or null. Nothing
is declared and nothing is consumed.

The answer is the last line of stdout that begins with MARKER. It has no password: an error is answered with its kind
and the message of the server or the operating system only.
"""

import base64
import errno
import importlib
import json
import os
import signal
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from typing import Any, Dict, Iterator, List, Optional

if __name__ == "procman.probes.broker_script":
    # As a probe, this text comes after that of broker_origin_script.py.
    from procman.probes.broker_origin_script import broker_origin

FORMAT = 1
MARKER = "procman-probe:"
LONGEST_MESSAGE = 300
CONNECT_SECONDS = 4.0
MANAGEMENT_SECONDS = 4.0
LARGEST_REPLY = 1 << 20

STAGES = ("importing", "connecting", "asking")
"""How far the probe got; the import of an app may itself wait for the broker."""

AMQP_REPLIES = {403: "password", 530: "vhost"}
"""ACCESS_REFUSED and NOT_ALLOWED (AMQP 0-9-1), as RabbitMQ uses them when a connection is opened."""


_NO_TRANSPORT = "No such transport"
"""The message of kombu.transport.resolve_transport, in a KeyError."""


class TimeIsUp(BaseException):
    """The time limit is reached; not an Exception, because an import that retries the broker catches those."""


# The answer ----------------------------------------------------------------------------------------------------------


def answer(app_name: str, asked: Dict[str, Any]) -> Dict[str, Any]:
    """Connect and return the answer; an error becomes part of it."""
    found = {"format": FORMAT, "stage": STAGES[0], "reachable": None, "queues": []}  # type: Dict[str, Any]
    start = time.monotonic()
    secrets = []  # type: List[str]
    try:
        _ask(app_name, asked, found, secrets)
    except BaseException as error:
        found["trouble"] = trouble(error)
        # An error of the app's own code may contain secrets.
        is_ours = found["stage"] != STAGES[0]
        found["detail"] = _masked(message(error), secrets) if is_ours else type(error).__name__
        if found["stage"] == "connecting":
            found["reachable"] = False
    found["seconds"] = round(time.monotonic() - start, 3)
    return found


def _ask(app_name: str, asked: Dict[str, Any], found: Dict[str, Any], secrets: List[str]) -> None:
    app = importlib.import_module("celery.app.utils").find_app(app_name)
    app.finalize()
    names = asked["queues"] or sorted(app.amqp.queues.consume_from)
    found["stage"] = "connecting"
    # First: without its client library, kombu cannot even describe the broker.
    found["origin"] = broker_origin(app)
    connection = app.connection_for_read(connect_timeout=CONNECT_SECONDS)
    secrets.extend(_passwords(connection))
    found.update(_about(connection))
    established = _establish(connection)
    found.update(_about(connection))
    found["stage"] = "asking"
    found["reachable"] = True
    found["queues"] = [_queue(connection, established, name) for name in names]
    if asked.get("management"):
        found["management"] = management(asked["management"], connection)


def _establish(connection: Any) -> Any:
    """Connect to the first of the app's brokers that accepts; if none does, raise the first one's error."""
    first = None  # type: Optional[Exception]
    for url in list(connection.alt or [None]):
        if url is not None and first is not None:
            connection.switch(url)
        try:
            return connection.transport.establish_connection()
        except Exception as error:
            first = first or error
    assert first
    raise first


def _about(connection: Any) -> Dict[str, Any]:
    transport = connection.transport
    defaults = getattr(transport, "default_connection_params", None) or {}
    user = connection.userid or defaults.get("userid")
    password = connection.password or defaults.get("password")
    return {
        "transport": str(transport.driver_type),
        "url": str(connection.as_uri()),
        "host": str(connection.hostname or defaults.get("hostname") or ""),
        "user": None if user is None else str(user),
        "default_credentials": user == password == "guest",
    }


def _queue(connection: Any, established: Any, name: str) -> Dict[str, Any]:
    # An AMQP server closes the channel if the queue does not exist.
    channel = connection.transport.create_channel(established)
    is_amqp = connection.transport.driver_type == "amqp"
    try:
        declared = channel.queue_declare(queue=name, passive=True)
        # Only AMQP counts the consumers; kombu's other transports return 0.
        return {"name": name, "messages": declared[1], "consumers": declared[2] if is_amqp else None}
    except Exception as error:
        if getattr(error, "code", None) != 404 and "NOT_FOUND" not in str(error):
            raise
        # Redis deletes empty lists.
        return {"name": name, "messages": None if is_amqp else 0, "consumers": None}
    finally:
        _close(channel)


def _close(channel: Any) -> None:
    try:
        channel.close()
    except Exception:  # noqa: S110  # the server may have closed the channel
        pass


# Errors --------------------------------------------------------------------------------------------------------------


def trouble(error: BaseException) -> str:
    """Return the kind of an error, a key of `TROUBLES` in broker_remedies.py, such as timeout, or other."""
    for each in _chain(error):
        kind = _kind(each)
        if kind:
            return kind
    return "other"


def _chain(error: Optional[BaseException]) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, (TimeIsUp, socket.timeout)) or name == "TimeoutError":
        return "timeout"
    if isinstance(error, ImportError):
        return "module"
    if isinstance(error, KeyError) and _NO_TRANSPORT in str(error):
        return "transport"
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, OSError) and error.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE):
        return "refused" if error.errno == errno.ECONNREFUSED else "closed"
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "unreachable"
    if name == "AuthenticationError" or any(word in str(error) for word in ("NOAUTH", "WRONGPASS")):
        return "password"
    return AMQP_REPLIES.get(getattr(error, "code", 0) or 0, "")


def message(error: BaseException) -> str:
    """Return the message of the operating system or the server, without text from the app's own code."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror + (": %s" % each.filename if each.filename else "")
    reply = getattr(error, "reply_text", None)
    if isinstance(error, TimeIsUp):
        return "no answer in time"
    if isinstance(error, ImportError):
        return "no module named %s" % (error.name or "(unknown)")
    if isinstance(error, KeyError) and _NO_TRANSPORT in str(error):
        return str(error.args[0])
    if isinstance(error, ValueError):
        # The original message may quote a piece of the URL.
        return "%s: the broker's URL or a setting is invalid" % type(error).__name__
    return "%s: %s" % (type(error).__name__, str(reply or error)) if str(error) else type(error).__name__


def _passwords(connection: Any) -> List[str]:
    urls = list(connection.alt or [])
    written = [url.rpartition("@")[0].rpartition(":")[2] for url in urls if "@" in str(url)]
    return [str(each) for each in [connection.password] + written if each]


def _masked(text: str, secrets: List[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***") if len(secret) > 3 else text
    return text[:LONGEST_MESSAGE]


# RabbitMQ's management interface -------------------------------------------------------------------------------------


def management(url: str, connection: Any) -> Dict[str, Any]:
    """Ask the management interface for its alarms, with the broker's credentials."""
    defaults = connection.transport.default_connection_params
    user, password = connection.userid or defaults["userid"], connection.password or defaults["password"]
    token = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
    try:
        status, reply = _get(url.rstrip("/") + "/api/health/checks/alarms", token)
    except (OSError, ValueError) as error:
        return {"problem": message(error), "alarms": []}
    if status == 200:
        return {"problem": "", "alarms": []}
    if status == 503:
        return {"problem": "", "alarms": _alarms(reply)}
    words = {401: "it rejects the broker's user", 403: "it rejects the broker's user", 404: "page not found"}
    return {"problem": "HTTP status %s: %s" % (status, words.get(status, "unexpected answer")), "alarms": []}


def _get(url: str, token: str) -> Any:
    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """Never send the credentials elsewhere."""

    if not url.startswith(("http://", "https://")):
        raise ValueError("not an http:// or https:// URL")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect())
    request = urllib.request.Request(url, headers={"Authorization": "Basic " + token})  # noqa: S310
    try:
        with opener.open(request, timeout=MANAGEMENT_SECONDS) as reply:
            return reply.status, reply.read(LARGEST_REPLY)
    except urllib.error.HTTPError as error:
        return error.code, error.read(LARGEST_REPLY)


def _alarms(reply: bytes) -> List[str]:
    try:
        raised = json.loads(reply.decode())["alarms"]
        return sorted({"%s on %s" % (each["resource"], each["node"]) for each in raised})
    except (ValueError, KeyError, TypeError):
        return ["unknown alarm"]


# Input and output ----------------------------------------------------------------------------------------------------


def _time_is_up(*_: Any) -> None:
    raise TimeIsUp()


def main() -> None:
    descriptor = os.dup(1)
    # Keep the project's own output out of the answer.
    os.dup2(2, 1)
    app_name, asked = sys.argv[1], json.loads(sys.argv[2])
    sys.path[:] = [os.getcwd()] + [directory for directory in sys.path if directory]
    sys.argv[:] = [os.path.join(os.path.dirname(sys.executable), "celery"), "-A", app_name, "worker"]
    signal.signal(signal.SIGALRM, _time_is_up)
    signal.setitimer(signal.ITIMER_REAL, float(asked["seconds"]))
    found = answer(app_name, asked)
    signal.setitimer(signal.ITIMER_REAL, 0)
    line = ("\n%s%s\n" % (MARKER, json.dumps(found, default=str))).encode("ascii")
    while line:
        line = line[os.write(descriptor, line) :]
    os._exit(0)


if __name__ == "__main__":
    main()
