"""The project's Celery app, and queries of its broker that end within a time limit."""

import socket
import threading
from importlib import import_module
from time import monotonic

from django.conf import settings

from . import broker_errors

CONNECT_SECONDS = 2
REPLY_SECONDS = 1.0
MOST_SECONDS = 6
"""How long a page waits for the broker in all."""

MOST_AT_ONCE = 4
"""How many queries may hang, for example in a broker that accepts connections and never answers."""

_LIMITS = {"py-amqp": ("read_timeout", "write_timeout"), "redis": ("socket_timeout", "socket_connect_timeout")}
"""The transport options that limit each wait for the broker, by kombu's name of the driver."""

_free = threading.BoundedSemaphore(MOST_AT_ONCE)
_remembered = []


class NoAnswer(Exception):
    """The broker did not answer, with the reason; never its URL, which has a password."""

    problem = "The broker does not answer"

    def __init__(
        self, reason, remedy="Type procman health --probe, which asks the broker with the app's settings, too."
    ):
        super().__init__(reason)
        self.remedy = remedy

    @property
    def sentence(self):
        """What happened, why, and what to type."""
        return ("%s: %s. %s" % (self.problem, self, self.remedy)).rstrip()


class NotAsked(NoAnswer):
    """The broker was not even asked, with the reason."""

    problem = "The broker was not asked"

    def __init__(self, reason, remedy=""):
        super().__init__(reason, remedy)


class NoApp(NotAsked):
    """The setting PROCMAN_CELERY_APP names no Celery app, with the reason."""


def remember():
    """Remember the app that is current in the main thread: Celery's current app belongs to a thread."""
    _remembered[:] = [_current()]


def find_app():
    """Return the project's Celery app; None if the project has loaded none. Raises NoApp."""
    path = getattr(settings, "PROCMAN_CELERY_APP", None)
    if path:
        return _named(path)
    found = _current()
    if found is None:
        return _remembered[0] if _remembered else None
    # One that was loaded after this app, in a thread of the web server; the thread of a query has none.
    _remembered[:] = [found]
    return found


def _named(path):
    try:
        module, _, name = path.partition(":")
        found = getattr(import_module(module), name or "app")
        if not hasattr(found, "connection_for_write"):
            raise TypeError
        return found
    except Exception as error:
        # The module's own errors can have any text, such as a broker's URL.
        module = broker_errors.missing_module(error)
        missing = ": the module %s is missing" % module if module else ""
        raise NoApp("PROCMAN_CELERY_APP names no Celery app: %s%s" % (type(error).__name__, missing)) from error


def _current():
    import celery

    app = celery.current_app._get_current_object()
    # Celery creates this one if there is no other.
    return None if app.main == "default" else app


def ask(query):
    """Return `query(connection)` with a connection of its own to the broker. Raises NoAnswer."""
    app = find_app()
    if app is None:
        raise NotAsked("this process has loaded no Celery app; set PROCMAN_CELERY_APP, such as mysite.celery:app")

    def connected():
        with _connection(app) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1)
            return query(connection)

    return within(MOST_SECONDS, connected, _free)


def _connection(app):
    # Without these limits, a broker that freezes would hold the thread for as long as it is frozen.
    with app.connection_for_write() as not_connected:
        names = _LIMITS.get(not_connected.transport.driver_name, ())
    options = dict.fromkeys(names, MOST_SECONDS)
    return app.connection_for_write(connect_timeout=CONNECT_SECONDS, transport_options=options)


def within(seconds, query, free):
    """Return `query()`, run in a thread that is left alone once the time is over. Raises NoAnswer.

    `free` is the semaphore that limits how many such threads there are.
    """
    if not free.acquire(blocking=False):
        raise NotAsked("%d earlier queries are still waiting for an answer" % MOST_AT_ONCE, "Try again in a minute.")
    done = {}

    def run():
        try:
            done["answer"] = query()
        except Exception as error:
            done["error"] = _failure(error)
        finally:
            free.release()

    thread = threading.Thread(target=run, name="procman-django-query", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        free.release()
        raise NotAsked("no thread can be started") from None
    thread.join(seconds)
    if "answer" in done:
        return done["answer"]
    raise done.get("error") or NoAnswer("no answer within %d seconds" % seconds)


def _failure(error):
    reason = broker_errors.described(error)
    if broker_errors.is_missing(error):
        return NotAsked(reason, broker_errors.how_to_install(broker_errors.missing_module(error)))
    return NoAnswer(reason)


def broadcast(connection, command, arguments=None, nodes=None, timeout=REPLY_SECONDS):
    """Send a command of remote control, and return the replies by node; with `nodes`, wait for no others."""
    from kombu.utils.uuid import uuid

    mailbox = find_app().control.mailbox(connection)
    # A queue for replies of its own: kombu 4.6 would share one among the threads, which could take each other's.
    vars(mailbox).pop("reply_queue", None)
    if not isinstance(getattr(type(mailbox), "oid", None), property):
        mailbox.oid = uuid()
    # Not a connection of the pool, which may have been lost long ago.
    mailbox.producer_pool = None
    ends = monotonic() + 2 * timeout

    def check_time(_):
        # Each reply begins the timeout anew. kombu ends its loop on this.
        if monotonic() > ends:
            raise socket.timeout

    options = {"destination": nodes, "reply": True, "timeout": timeout, "callback": check_time}
    replies = mailbox._broadcast(command, arguments or {}, **options) or []
    found = {}
    for reply in replies:
        if isinstance(reply, dict):
            found.update((str(node), answer) for node, answer in reply.items())
    return found
