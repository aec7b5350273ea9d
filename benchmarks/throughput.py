"""Compare tasks per second with the launcher and without: python -m benchmarks.throughput.

As root, in a booted Debian of its own with RabbitMQ (tests/host). Two workers with one pool process each keep running,
each with a queue of its own: one started by the launcher, with the default intervals, and one as plain `celery`. In
turn, each gets many tasks that do nothing, behind a task that waits until all are queued. The benchmark measures the
time from the end of that task to the last one, and the CPU time of all threads of the worker and its pool process,
which is more reliable on a busy machine. Both are measured inside the worker.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

from procman.agent import BESIDE_LAUNCHER, LAUNCHER, launcher
from tests.host.catmaid import SECRET, VIRTUALENV, install_procman, install_project
from tests.host.machine import Host

PLACE = "/srv/bench"
ENVIRONMENT = {"CELERY_BROKER_URL": f"amqp://catmaid:{SECRET}@localhost:5672//", "PYTHONPATH": PLACE}
ROUNDS = 10_000
"""Rounds of the bootstrap."""

APP = """
import os, time
from celery import Celery

app = Celery("tiny", broker=os.environ["CELERY_BROKER_URL"])
app.conf.task_ignore_result = True


def cpu_seconds(pid):
    threads = [f"/proc/{pid}/task/{thread}/schedstat" for thread in os.listdir(f"/proc/{pid}/task")]
    return sum(int(open(thread).read().split()[0]) for thread in threads) / 1e9


def note(path):
    with open(path + ".part", "w") as file:
        print(time.monotonic(), cpu_seconds(os.getpid()) + cpu_seconds(os.getppid()), file=file)
    os.rename(path + ".part", path)


@app.task
def gate(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    note(path + ".begun")


@app.task
def nothing():
    pass


@app.task
def last(path):
    note(path + ".ended")
"""

TIMED = """
import json, os, sys, tempfile, time
from tiny import app, gate, nothing, last


def timed(queue, tasks):
    path = os.path.join(tempfile.mkdtemp(dir=os.path.join(os.environ["PYTHONPATH"], "gates")), "open")
    with app.producer_pool.acquire() as producer:
        gate.apply_async([path], queue=queue, producer=producer)
        for _ in range(tasks):
            nothing.apply_async(queue=queue, producer=producer)
        last.apply_async([path], queue=queue, producer=producer)
    time.sleep(0.3)
    open(path, "w").close()
    while not os.path.exists(path + ".ended"):
        time.sleep(0.02)
    begun, ended = ([float(word) for word in open(path + end).read().split()] for end in (".begun", ".ended"))
    return [after - before for before, after in zip(begun, ended)]
"""

MEASURE = f"""{TIMED}

pairs, tasks = map(int, sys.argv[1:])
for number in range(pairs + 1):
    order = ("with", "without") if number % 2 else ("without", "with")
    seconds = {{queue: timed(queue, tasks) for queue in order}}
    if number:
        print(json.dumps([seconds["with"], seconds["without"]]), flush=True)
"""


def main() -> None:
    """Print the rates, and the ratios with their intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--tasks", type=int, default=3000)
    given = parser.parse_args()
    with Host() as host:
        install_procman(host)
        install_project(host)
        _start_workers(host)
        words = [f"{VIRTUALENV}/bin/python", "-c", MEASURE, str(given.pairs), str(given.tasks)]
        done = host.run(words, "www-data", environment=ENVIRONMENT, timeout=3600)
    print_ratios([json.loads(line) for line in done.stdout.splitlines()], given.tasks)


def print_ratios(pairs: Sequence[Sequence[Sequence[float]]], tasks: int) -> None:
    """Print the rates, and the ratios of pairs, each of seconds and of CPU seconds with and without."""
    ours, plain = (statistics.median(pair[which][0] for pair in pairs) for which in (0, 1))
    print(f"with {tasks / ours:.0f} tasks/s, without {tasks / plain:.0f} tasks/s, {len(pairs)} pairs")
    for figure, name in enumerate(("time", "CPU time")):
        ratio, low, high = interval([ours[figure] / plain[figure] for ours, plain in pairs])
        print(f"{name} with / {name} without: {ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}")


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of `ratios` and its 95 % interval, by bootstrap."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(ROUNDS))
    return statistics.median(ratios), medians[ROUNDS * 25 // 1000], medians[ROUNDS * 975 // 1000]


def _start_workers(host: Host) -> None:
    directories = "gates run launcher"
    host.run(f"install -d -o www-data {PLACE} {' '.join(f'{PLACE}/{name}' for name in directories.split())}")
    host.write(f"{PLACE}/tiny.py", APP)
    for name in (*BESIDE_LAUNCHER, LAUNCHER):
        shutil.copy(Path(launcher.__file__).with_name(name), host.path(f"{PLACE}/launcher"))
    arguments = ["-A", "tiny", "worker", "-c", "1", "-l", "warning"]
    launched = {
        "PROCMAN_PROGRAM": "bench",
        "PROCMAN_KIND": "worker",
        "PROCMAN_DIRECTORY": PLACE,
        "PROCMAN_RUN_DIRECTORY": f"{PLACE}/run",
    }
    python = f"{VIRTUALENV}/bin/python"
    _start(host, "with", launched, [python, f"{PLACE}/launcher/{LAUNCHER}", *arguments, "-Q", "with", "-n", "with@%%h"])
    plain = [f"{VIRTUALENV}/bin/celery", *arguments, "-Q", "without", "-n", "without@%%h"]
    _start(host, "without", {}, plain)


def _start(host: Host, unit: str, more: dict[str, str], words: list[str]) -> None:
    settings = [f"--setenv={name}={value}" for name, value in {**ENVIRONMENT, **more}.items()]
    host.run(["systemd-run", "--quiet", f"--unit={unit}", "--uid=www-data", *settings, *words])


if __name__ == "__main__":
    main()
