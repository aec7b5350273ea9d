"""Compare ways to deploy a worker under supervisord, on the same load: python -m benchmarks.deploy.

Needs root, for RabbitMQ in an overlay. For each way, a worker with two pool processes runs a long task, and short ones
arrive all the time; then it is restarted. Reported are the time until the command returns, the tasks lost, and the time
in which the queue had no consumer, by a passive declare every 50 ms. Every way meets the same app, broker and machine,
one after the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.contracts.trials.ground import Ground, Message, ground
from tests.product import eventually

SAMPLE_SECONDS = 0.05

CONSUMERS = """
import sys, time
from kombu import Connection
with Connection(sys.argv[1]) as connection:
    while True:
        print(connection.default_channel.queue_declare(sys.argv[2], passive=True).consumer_count, flush=True)
        time.sleep(float(sys.argv[3]))
"""

SECTION = """
[program:{name}]
command={command}
directory={directory}
environment={environment}
autostart=true
autorestart=true
{options}
"""

CELERY_EXAMPLE = "startsecs=10\nstopwaitsecs=600\nkillasgroup=true\nstopasgroup=true"
"""extra/supervisord/celeryd.conf of Celery 5."""
HONCHO = "stopsignal=QUIT"
"""What `honcho export supervisord` writes; supervisord's default of stopwaitsecs is 10."""


@dataclass(frozen=True)
class Deployed:
    """What one deploy cost."""

    seconds: float
    lost: int
    without_consumer: float


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", type=float, default=60, help="seconds that the long task takes")
    given = parser.parse_args()
    found = environment_of(CELERY_REDIS)
    assert found
    with ground(found) as place:
        for name, prepare, deploy in ways(place):
            queue = name.replace(" ", "-")
            prepare(queue)
            print(f"| {name} | {_row(measured(place, queue, given.long, deploy))} |", flush=True)
            place.product.supervisorctl("stop", "all")


def ways(place: Ground) -> list[tuple[str, Callable[[str], None], Callable[[str], None]]]:
    """Return each way with how its worker for a queue is installed, and how it is restarted."""

    def ours(queue: str, more: str) -> None:
        own = f'[worker.{queue}]\n{more}\nconcurrency = 2\nqueues = ["{queue}"]\n'
        place.configure([own + place.environment(queue, "rabbitmq")])
        place.product.procman("install", "--wait", "90")

    def foreign(queue: str, options: str) -> None:
        celery = place.product.virtualenv / "bin/celery"
        variables = {"TRIAL_DATA": place.store.data, "TRIAL_WORKER": queue, "TRIAL_BROKER": place.urls["rabbitmq"]}
        text = SECTION.format(
            name=queue,
            command=f"{celery} -A trial_app worker -c 2 -n {queue}@here -Q {queue} --without-gossip --without-mingle",
            directory=place.product.code,
            environment=",".join(f'{name}="{value}"' for name, value in variables.items()),
            options=options,
        )
        (place.product.supervisord_configuration.parent / "conf.d" / f"{queue}.conf").write_text(text)
        place.product.supervisorctl("reread")
        place.product.supervisorctl("update", queue)

    def by_procman(*words: str) -> Callable[[str], None]:
        return lambda _: _done(place.product.procman("restart", "--no-check", *words, timeout=900))

    def by_supervisorctl(queue: str) -> None:
        _done(place.product.supervisorctl("restart", queue, timeout=900))

    return [
        ("overlap", lambda queue: ours(queue, "overlap = true"), by_procman("--overlap")),
        ("procman restart", lambda queue: ours(queue, ""), by_procman()),
        ("procman no-wait", lambda queue: ours(queue, ""), by_procman("--no-wait")),
        ("celery example", lambda queue: foreign(queue, CELERY_EXAMPLE), by_supervisorctl),
        ("honcho", lambda queue: foreign(queue, HONCHO), by_supervisorctl),
    ]


def _done(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)


def measured(place: Ground, queue: str, seconds: float, deploy: Callable[[str], None]) -> Deployed:
    """Restart the worker of `queue` while it runs a task of so many seconds."""
    eventually(lambda: queue in place.store.times("ready"), f"{queue} consumes")
    long = Message(f"{queue}.long", "trials.hold", "rabbitmq", queue, (seconds,))
    place.send([long])
    eventually(lambda: any(run.task_id == long.id for run in place.store.runs()), "the long task runs")
    python = str(place.product.virtualenv / "bin/python")
    words = [python, "-c", CONSUMERS, place.urls["rabbitmq"], queue, str(SAMPLE_SECONDS)]
    consumers = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    sent, is_over = [long.id], threading.Event()

    def send() -> None:
        while not is_over.is_set():
            messages = [
                Message(f"{queue}.{number}", "trials.hold", "rabbitmq", queue, (0.1,))
                for number in range(len(sent), len(sent) + 10)
            ]
            place.send(messages)
            sent.extend(each.id for each in messages)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(3)
    began = time.monotonic()
    deploy(queue)
    took = time.monotonic() - began
    time.sleep(3)
    is_over.set()
    sender.join()
    ended = _ended(place, sent, began + seconds + 120)
    consumers.terminate()
    output, _ = consumers.communicate()
    return Deployed(took, len(set(sent) - ended), SAMPLE_SECONDS * [int(line) for line in output.split()].count(0))


def _ended(place: Ground, sent: list[str], deadline: float) -> set[str]:
    """Return the tasks that have ended, once all have, or if none has for half a minute."""
    ended: set[str] = set()
    quiet_since = time.monotonic()
    while not set(sent) <= ended and time.monotonic() < deadline and time.monotonic() < quiet_since + 30:
        runs = place.store.runs()
        found = {run.task_id for run in runs if run.has_ended}
        is_at_work = any(not run.has_ended and time.monotonic() - run.last < 1 for run in runs)
        quiet_since = time.monotonic() if found != ended or is_at_work else quiet_since
        ended = found
        time.sleep(0.5)
    return ended


def _row(deployed: Deployed) -> str:
    return f"{deployed.seconds:.1f} s | {deployed.lost} | {deployed.without_consumer:.1f} s"


if __name__ == "__main__":
    main()
