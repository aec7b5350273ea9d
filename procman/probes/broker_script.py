"""Connect to the broker of a Celery app as a worker would, count the messages in its queues, and answer with JSON.

procman passes this text to the project's own Python on stdin, after those that it imports below:

    VIRTUALENV/bin/python - APP JSON

It runs as the service user, in the project's directory and in the environment that the programs will have, and connects
with the app's configuration. JSON is an object: "programs" has the queues of each worker (none: those of the app), and
is null to count the queues of the app alone; with "every_url", each URL of several is tried; "seconds" is the time
limit, "management" is the URL of RabbitMQ's management interface, or null. Nothing is consumed or sent, and nothing is
created that lasts.

The answer is the last line of stdout that begins with MARKER. It has no password: an error is answered with its kind
and the message of the server or the operating system only.
"""

import contextlib
import functools
import importlib
import json
import os
import signal
import sys
import time
from typing import Any, Callable, Dict, List, Optional

if __name__ == "procman.probes.broker_script":
    # As a probe, this text comes after those.
    from procman.agent.routed_queues import routed_queues
    from procman.probes.broker_address_script import passwords
    from procman.probes.broker_connection_script import CONNECT_SECONDS, describe
    from procman.probes.broker_errors_script import TimeIsUp, note_error
    from procman.probes.broker_establish_script import ask_sentinels, try_others
    from procman.probes.broker_origin_script import broker_origin
    from procman.probes.broker_states_script import acknowledges_late, denied_feature, queue_state, server_version

FORMAT = 1
MARKER = "procman-probe:"


# The answer ----------------------------------------------------------------------------------------------------------


def answer(app_name: str, asked: Dict[str, Any]) -> Dict[str, Any]:
    """Connect and return the answer; an error becomes part of it.

    Its "stage" is how far the probe got; the import of an app may itself wait for the broker.
    """
    found = {"format": FORMAT, "stage": "importing", "reachable": None, "queues": []}  # type: Dict[str, Any]
    start = time.monotonic()
    secrets = []  # type: List[str]
    try:
        _ask(app_name, asked, found, secrets)
    except BaseException as error:
        note_error(error, found, secrets)
    found["seconds"] = round(time.monotonic() - start, 3)
    return found


def _ask(app_name: str, asked: Dict[str, Any], found: Dict[str, Any], secrets: List[str]) -> None:
    app = importlib.import_module("celery.app.utils").find_app(app_name)
    app.finalize()
    programs = _programs(app, asked["programs"])
    found["stage"] = "connecting"
    # First: without its client library, kombu cannot even describe the broker.
    found["origin"] = broker_origin(app)
    connection = app.connection_for_read(connect_timeout=CONNECT_SECONDS)
    secrets.extend(passwords(connection))
    established = describe(connection, sorted(programs), asked.get("management"), found)
    for queue in found["queues"]:
        queue["programs"] = programs[queue["name"]]
    _find_states(app, connection, established, asked, found)
    if asked.get("every_url"):
        _try_every_url(app, connection, found)


def _try_every_url(app: Any, connection: Any, found: Dict[str, Any]) -> None:
    """Try the URLs, or Sentinels, that were not needed for the connection; the broker is reachable without them."""
    with contextlib.suppress(TimeIsUp):
        if connection.transport_cls == "sentinel":
            ask_sentinels(connection, found)
        else:
            connect = functools.partial(app.connection_for_read, connect_timeout=CONNECT_SECONDS)
            others, sending = list(connection.alt or ())[len(found["tried"]) :], _only_for_sending(app)
            # It is that of the other broker.
            found["origin"] = {} if sending else found["origin"]
            try_others(connect, others + sending, found)


def _only_for_sending(app: Any) -> List[str]:
    """Return the URLs of `broker_write_url`, if tasks are not sent to the broker that they are received from."""
    url = app.conf.broker_write_url
    if url == app.conf.broker_read_url:
        return []
    return list(app.connection_for_write().alt or [url])


def _programs(app: Any, workers: Optional[Dict[str, List[str]]]) -> Dict[str, List[str]]:
    """Return the queues to count, and the workers that consume each; without `workers`, the queues of the app."""
    default = sorted(map(str, app.amqp.queues.consume_from))
    if workers is None:
        return {name: [] for name in default}
    found = {}  # type: Dict[str, List[str]]
    for worker, queues in sorted(workers.items()):
        for name in queues or default:
            found.setdefault(name, []).append(worker)
    try:
        routed = routed_queues(app)
    except Exception:  # the routes are the app's own objects
        routed = set()
    return {**{name: [] for name in routed}, **found}


def _find_states(app: Any, connection: Any, established: Any, asked: Dict[str, Any], found: Dict[str, Any]) -> None:
    """Add what broker_states_script.py finds; a state that cannot be found out is None."""
    found["acks_late"] = _or_none(lambda: acknowledges_late(app))
    found["version"] = version = server_version(established)
    url = asked.get("management")
    for queue in found["queues"] if version else ():
        queue["state"] = _or_none(functools.partial(queue_state, app, connection, established, queue, url))
    found["denied"] = _or_none(lambda: denied_feature(app, connection, established)) if version else None


def _or_none(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception:
        return None


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
