"""Count the messages in the queues of workers that may not run, and answer with JSON; the app is not imported.

procman passes this text to the project's own Python on stdin, after those of agent/broker_record.py and of the scripts
that broker_script.py needs as well:

    VIRTUALENV/bin/python - PROJECT JSON

It runs as the service user, in the project's directory. JSON is an object: "files" names the record that each worker
has left, by program; "queues" names queues to count besides theirs; "seconds" is the time limit, "management" the URL
of RabbitMQ's management interface, or null. Each broker is asked once. Nothing is declared and nothing is consumed.

The answer is the last line of stdout that begins with MARKER. Its "brokers" are answers as broker_script.py gives them,
with the names of the programs that use the broker, and for each queue of those that consume it. It has no password.
"""

import importlib
import json
import os
import signal
import sys
import time
from typing import Any, Dict, List

if __name__ == "procman.probes.broker_look_script":
    # As a probe, this text comes after those.
    from procman.agent.broker_record import names_of, read_record
    from procman.probes.broker_address_script import passwords
    from procman.probes.broker_connection_script import CONNECT_SECONDS, describe
    from procman.probes.broker_errors_script import TimeIsUp, note_error

FORMAT = 1
MARKER = "procman-probe:"
MOST_QUEUES = 1000


# The answer ----------------------------------------------------------------------------------------------------------


def look(asked: Dict[str, Any]) -> Dict[str, Any]:
    """Ask each broker, and return the answers; each broker gets an equal share of the time that is left."""
    brokers = group_by_broker(asked["files"])
    end = time.monotonic() + float(asked["seconds"])
    answers = []
    for number, broker in enumerate(brokers):
        signal.setitimer(signal.ITIMER_REAL, max(0.1, (end - time.monotonic()) / (len(brokers) - number)))
        answers.append(ask(broker, asked))
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"format": FORMAT, "brokers": answers}


def group_by_broker(files: Dict[str, str]) -> List[Dict[str, Any]]:
    """Return each connection once, with its programs and its queues: the records of the programs that declare them."""
    found = {}  # type: Dict[str, Dict[str, Any]]
    for program, path in sorted(files.items()):
        record = read_record(path)
        if record is None:
            continue
        key = json.dumps(record["connection"], sort_keys=True)
        broker = found.setdefault(key, {"connection": record["connection"], "programs": [], "queues": {}})
        broker["programs"].append(program)
        for name in names_of(record):
            broker["queues"].setdefault(name, []).append(program)
        for name in record["routed"]:
            broker["queues"].setdefault(str(name), [])
    return [found[key] for key in sorted(found)]


def ask(broker: Dict[str, Any], asked: Dict[str, Any]) -> Dict[str, Any]:
    """Connect to one broker and return its answer; an error becomes part of it."""
    found = {"stage": "connecting", "reachable": None, "queues": [], "programs": broker["programs"]}  # type: Dict[str, Any]
    start = time.monotonic()
    secrets = []  # type: List[str]
    names = sorted(set(broker["queues"]) | set(asked["queues"]))[:MOST_QUEUES]
    try:
        connection = connect(broker["connection"])
        secrets.extend(passwords(connection))
        describe(connection, names, asked.get("management"), found)
    except BaseException as error:
        note_error(error, found, secrets)
    for queue in found["queues"]:
        queue["programs"] = broker["queues"].get(queue["name"], [])
    found["seconds"] = round(time.monotonic() - start, 3)
    return found


def connect(recorded: Dict[str, Any]) -> Any:
    """Return the kombu connection of a record, which does not connect yet."""
    options = dict(recorded, connect_timeout=CONNECT_SECONDS, heartbeat=0)
    return importlib.import_module("kombu").Connection(**options)


# Input and output ----------------------------------------------------------------------------------------------------


def _time_is_up(*_: Any) -> None:
    raise TimeIsUp()


def main() -> None:
    descriptor = os.dup(1)
    os.dup2(2, 1)
    # The project's own modules are not wanted here.
    sys.path[:] = [directory for directory in sys.path if directory]
    signal.signal(signal.SIGALRM, _time_is_up)
    line = ("\n%s%s\n" % (MARKER, json.dumps(look(json.loads(sys.argv[2])), default=str))).encode("ascii")
    while line:
        line = line[os.write(descriptor, line) :]
    os._exit(0)


if __name__ == "__main__":
    main()
