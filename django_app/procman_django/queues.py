"""Ask the broker about queues: how many messages wait, how many consumers there are, how many are unacknowledged."""

import base64
import json
import threading
from time import monotonic
from typing import List, NamedTuple, Optional
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from . import celery_app
from .values import count

MOST_QUEUES = 200
MANAGEMENT_SECONDS = 2
MOST_BYTES = 1024 * 1024
"""The interface lists every consumer of a queue."""

_free = threading.BoundedSemaphore(celery_app.MOST_AT_ONCE)


class Queue(NamedTuple):
    """A queue; what is unknown is None."""

    name: str
    ready: Optional[int] = None
    consumers: Optional[int] = None
    unacknowledged: Optional[int] = None
    problem: str = ""


def of_heartbeats(programs):
    """Return the queues in the heartbeats of `programs` by name, and the programs of each."""
    queues, consumers = {}, {}
    for program in programs:
        for each in program.queues:
            queues[each.name] = Queue(each.name, each.messages, each.consumers)
            consumers.setdefault(each.name, []).append(program.name)
    return queues, consumers


def known_queues(programs):
    """Return the names of the queues of the app and of the programs: no others can be consumed from."""
    return sorted({*of_heartbeats(programs)[0], *_of_app()})[:MOST_QUEUES]


def _of_app():
    try:
        app = celery_app.find_app()
        return [] if app is None else [str(name) for name in app.amqp.queues]
    except Exception:
        # Settings that Celery cannot read: `ask` or the system checks report them.
        return []


def ask_queues(names, management_url=None) -> List[Queue]:
    """Return the queues `names` as the broker has them. Raises NoAnswer."""

    def query(connection):
        is_amqp = connection.transport.driver_type == "amqp"
        found = [_ask(connection, name, is_amqp) for name in names[:MOST_QUEUES]]
        return found, connection.virtual_host or "/"

    queues, virtual_host = celery_app.ask(query)
    if not management_url:
        return queues
    return _with_management(queues, management_url, virtual_host)


def _ask(connection, name, is_amqp):
    # A channel for each: the server closes it if the queue does not exist.
    channel = connection.channel()
    try:
        answer = channel.queue_declare(queue=name, passive=True)
    except connection.channel_errors:
        return Queue(name, problem="the broker has no such queue")
    finally:
        try:
            channel.close()
        except Exception:  # noqa: S110  # the server has closed it already
            pass
    # Only AMQP counts consumers.
    return Queue(name, answer.message_count, answer.consumer_count if is_amqp else None)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_, **__):
        return None


def _with_management(queues, url, virtual_host):
    opener, counts = build_opener(_NoRedirects, ProxyHandler({})), {}
    ends, problem = monotonic() + MANAGEMENT_SECONDS, ""

    def query():
        for queue in queues:
            if monotonic() > ends:
                raise TimeoutError
            if not queue.problem:
                counts[queue.name] = count(_get(opener, url, virtual_host, queue.name), "messages_unacknowledged")

    try:
        celery_app.within(MANAGEMENT_SECONDS, query, _free)
    except celery_app.NoAnswer as error:
        problem = "management interface: %s" % error
    return [
        queue._replace(unacknowledged=counts[queue.name])
        if queue.name in counts
        else queue._replace(problem=queue.problem or problem)
        for queue in queues
    ]


def _get(opener, url, virtual_host, name):
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = "[%s]" % host if ":" in host else host
    netloc = "%s:%d" % (netloc, parts.port) if parts.port else netloc
    path = "%s/api/queues/%s/%s" % (parts.path.rstrip("/"), quote(virtual_host, safe=""), quote(name, safe=""))
    if parts.scheme not in ("http", "https"):
        raise ValueError("PROCMAN_MANAGEMENT_URL must begin with http:// or https://")
    request = Request(urlunsplit((parts.scheme, netloc, path, "", "")))  # noqa: S310  # of the settings
    if parts.username is not None:
        account = "%s:%s" % (unquote(parts.username), unquote(parts.password or ""))
        encoded = base64.b64encode(account.encode("utf-8")).decode("ascii")
        request.add_header("Authorization", "Basic %s" % encoded)
    with opener.open(request, timeout=MANAGEMENT_SECONDS) as answer:
        found = json.loads(answer.read(MOST_BYTES).decode("utf-8"))
    return found if isinstance(found, dict) else {}
