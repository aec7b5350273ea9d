"""Compare ways to deploy a worker, on the same load: python -m benchmarks.deploy.

As root, in a booted Debian of its own (tests/host) with RabbitMQ, one way after the other. A worker with two pool
processes runs a long task, and short ones arrive all the time; then it is restarted. Reported are the time until the
command returns, the tasks lost, the time in which the queue had no consumer, by a passive declare every 50 ms, and
whether a new process consumes in the end. The files that procman does not write are those of
benchmarks/foreign_workers.py.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

from benchmarks.foreign_workers import FOREIGN
from tests.host.catmaid import VIRTUALENV, Project, install_procman, install_project
from tests.host.machine import Host
from tests.host.projects import OWN
from tests.host.trials import CODE, DATA, Trials

SAMPLE_SECONDS = 0.05
SHORT_SECONDS, PAUSE_SECONDS = 0.1, 0.15
AROUND_SECONDS = 3.0
"""How long short tasks arrive before the deploy and after it."""
QUIET_SECONDS = 60.0
"""After this time without any news, what has not ended is lost."""
LIMIT_SECONDS = 900.0

TOML = """
[project]
name = "{queue}"
app = "trial_app"
directory = "{code}"
virtualenv = "{virtualenv}"
user = "www-data"
backend = "{backend}"
environment_file = "{environment_file}"
writable_paths = ["{data}"]

[environment]
TRIAL_DATA = "{data}"

[worker.crop]
overlap = {overlap}
queues = ["{queue}"]
concurrency = 2

[worker.crop.environment]
TRIAL_WORKER = "{queue}"
TRIAL_BROKER_NAME = "rabbitmq"
"""

PROCMAN = ("restart --overlap", "restart", "restart --no-wait")


@dataclass(frozen=True)
class Way:
    """A way to deploy: how the worker of a queue is installed, and the command."""

    manager: str
    title: str
    install: Sequence[str]
    """Shell commands, in the host."""
    command: str
    remove: Sequence[str]
    queue: str


@dataclass(frozen=True)
class Deployed:
    """What one deploy cost."""

    seconds: float
    lost: int
    without_consumer: float
    is_replaced: bool
    """Whether a new process consumes at the end."""


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", type=float, default=60, help="seconds that the long task takes")
    given = parser.parse_args()
    print(
        "| way | until the command returns | of an overlap | tasks lost | time without a consumer |\n"
        + "|---" * 5
        + "|"
    )
    with Host() as host:
        install_procman(host)
        install_project(host)
        host.run("systemctl start supervisor")
        trials, overlaps = Trials(host), dict[str, float]()
        for way in ways(host):
            for command in way.install:
                host.run(command, timeout=180)
            found = measured(trials, way, given.long)
            for command in way.remove:
                host.run(command, check=False, timeout=300)
            ratio = found.seconds / overlaps.setdefault(way.manager, found.seconds)
            rest = f"{found.lost} | {found.without_consumer:.1f} s | {'runs' if found.is_replaced else 'does not run'}"
            print(f"| {way.manager}: {way.title} | {found.seconds:.1f} s | {ratio:.1f} | {rest} |", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


def ways(host: Host) -> Iterator[Way]:
    """Yield each way; the overlap comes first for each process manager."""
    numbers = count(1)
    for backend in ("systemd", "supervisor"):
        for words in PROCMAN:
            yield _by_procman(host, f"way{next(numbers)}", backend, words)
        for title, prepare in FOREIGN[backend].items():
            queue = f"foreign{next(numbers)}"
            yield Way(backend, title, *prepare(host, queue), queue)


def _by_procman(host: Host, queue: str, backend: str, words: str) -> Way:
    places = {
        "code": CODE,
        "data": DATA,
        "virtualenv": VIRTUALENV,
        "environment_file": Trials.environment_file(backend),
    }
    overlap = str("--overlap" in words).lower()
    text = TOML.format(queue=queue, backend=backend, overlap=overlap, **places)
    project = Project(host, queue, text + (OWN if backend == "supervisor" else ""))
    procman = f"procman --config {project.configuration}"
    install = [f"{procman} install --no-check --wait 90"]
    return Way(backend, f"`procman {words}`", install, f"{procman} {words}", [f"{procman} uninstall --purge"], queue)


def measured(trials: Trials, way: Way, seconds: float) -> Deployed:
    """Deploy in this way while the worker runs a task of so many seconds."""
    host, queue, long = trials.host, way.queue, f"{way.queue}.long"
    host.wait_for(lambda: queue in trials.store.times("ready"), 120, f"{queue} consumes")
    trials.send([trials.message(long, queue, "rabbitmq", "trials.hold", seconds)])
    host.wait_for(lambda: trials.store.runs_of(long), 60, "the long task runs")
    number = int((LIMIT_SECONDS + 2 * AROUND_SECONDS) / PAUSE_SECONDS)
    ids = [f"{queue}.{each}" for each in range(number)]
    messages = [trials.message(each, queue, "rabbitmq", "trials.hold", SHORT_SECONDS) for each in ids]
    with trials.sampled([queue], SAMPLE_SECONDS):
        with trials.trickle(messages, PAUSE_SECONDS):
            time.sleep(AROUND_SECONDS)
            began = time.monotonic()
            host.run(way.command, timeout=LIMIT_SECONDS)
            took = time.monotonic() - began
            time.sleep(AROUND_SECONDS)
        noted = trials.store.sent()
        lost = _lost(trials, [long, *(each for each in ids if each in noted)], began + seconds + LIMIT_SECONDS)
    without = sum(after - at for (at, consumers), (after, _) in pairwise(trials.store.sampled(queue)) if not consumers)
    return Deployed(took, lost, without, len(trials.store.times("ready")[queue]) > 1)


def _lost(trials: Trials, sent: Sequence[str], deadline: float) -> int:
    """Return how many tasks have not ended, once all have, or if nothing has happened for a while."""
    left, quiet_since = set(sent), time.monotonic()
    while left and time.monotonic() < min(deadline, quiet_since + QUIET_SECONDS):
        ended = {each for each in left if trials.store.has_ended(each)}
        runs = [run for each in left - ended for run in trials.store.runs_of(each)]
        if ended or any(time.monotonic() - run.last < 1 for run in runs):
            quiet_since = time.monotonic()
        left -= ended
        time.sleep(0.5)
    return len(left)


if __name__ == "__main__":
    main()
