"""Recognise the trouble with a broker by the error of its client library, without quoting a secret.

procman puts this text before that of the scripts that query a broker.
"""

import errno
import socket
import ssl
from typing import Any, Dict, Iterator, List, Optional

LONGEST_DETAIL = 300

AMQP_REPLIES = {403: "password", 530: "vhost"}
"""ACCESS_REFUSED and NOT_ALLOWED (AMQP 0-9-1), as RabbitMQ uses them when a connection is opened."""

_NO_TRANSPORT = "No such transport"
"""The message of kombu.transport.resolve_transport, in a KeyError."""


class TimeIsUp(BaseException):
    """The time limit is reached; not an Exception, because an import that retries the broker catches those."""


class Fault(Exception):
    """A fault of a known kind; its message has no secret."""

    def __init__(self, trouble: str, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble


def note_error(error: BaseException, found: Dict[str, Any], secrets: List[str]) -> None:
    """Put the kind of `error` and its message, without `secrets`, into `found`."""
    found["trouble"] = trouble(error)
    # An error of the app's own code may contain secrets.
    is_ours = found["stage"] != "importing"
    found["detail"] = masked_detail(message(error), secrets) if is_ours else type(error).__name__
    if found["stage"] == "connecting":
        found["reachable"] = False


def trouble(error: BaseException) -> str:
    """Return the kind of an error, a key of `TROUBLES` in broker_remedies.py, such as timeout, or other."""
    for each in _chain(error):
        kind = _kind(each)
        if kind:
            return kind
    return "settings" if isinstance(error, ValueError) else "other"


def _chain(error: Optional[BaseException]) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, Fault):
        return error.trouble
    if isinstance(error, (TimeIsUp, socket.timeout)) or name == "TimeoutError":
        return "timeout"
    if isinstance(error, ImportError):
        return "module"
    if name == "MasterNotFoundError":
        return _kind_of_sentinels(str(error))
    if isinstance(error, KeyError) and _NO_TRANSPORT in str(error):
        return "transport"
    if isinstance(error, OSError) and _kind_of_system(error):
        return _kind_of_system(error)
    if name == "AuthenticationError" or any(word in str(error) for word in ("NOAUTH", "WRONGPASS")):
        return "password"
    return AMQP_REPLIES.get(getattr(error, "code", 0) or 0, "")


def _kind_of_system(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE):
        return "refused" if error.errno == errno.ECONNREFUSED else "closed"
    return "unreachable" if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH) else ""


def _kind_of_sentinels(text: str) -> str:
    # redis-py adds the error of each Sentinel; one that does not know the master has none.
    if any(word in text for word in ("Authentication", "NOAUTH", "WRONGPASS")):
        return "sentinel-password"
    return "" if " : " in text else "sentinel-master"


def message(error: BaseException) -> str:
    """Return the message of the operating system or the server, without text from the app's own code."""
    if isinstance(error, Fault):
        return str(error)
    for each in _chain(error):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror + (": %s" % each.filename if each.filename else "")
    if type(error).__name__ == "MasterNotFoundError":
        # Settings of each Sentinel follow.
        return str(error).partition(" : ")[0]
    reply = getattr(error, "reply_text", None)
    if isinstance(error, (TimeIsUp, TimeoutError)):
        return "no answer in time"
    if isinstance(error, ImportError):
        return "no module named %s" % (error.name or "(unknown)")
    if isinstance(error, KeyError) and _NO_TRANSPORT in str(error):
        return str(error.args[0])
    if isinstance(error, ValueError):
        # The original message may quote a piece of the URL.
        return "%s: the broker's URL or a setting is invalid" % type(error).__name__
    return "%s: %s" % (type(error).__name__, str(reply or error)) if str(error) else type(error).__name__


def masked_detail(text: str, secrets: List[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***") if len(secret) > 3 else text
    return text[:LONGEST_DETAIL]
