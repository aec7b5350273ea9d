"""Compare the processor time of a task with the launcher and without: python -m benchmarks.throughput.

As root, on two processors or more, with a RabbitMQ of its own (tests/rabbitmq_server.py). Two workers with one pool
process each share a processor, and all else has the others. Each worker has a queue of its own: one is started by the
launcher, with the default intervals and everything that the agent does, and one as plain `celery`. At the same moment
both begin to take many tasks that do nothing, so that whatever slows the processor for a while slows both alike. The
benchmark measures inside the worker, between its first and its last task, the CPU time of all threads of the worker and
its pool process: a worker that has a processor to itself does its tasks in that time.

Two processes with the same code may differ in speed as long as they live, by the layout of their memory. So each round
starts both workers again, and the interval is that of rounds and of pairs in them. `--same` compares plain `celery`
with itself, to show how far the result can be trusted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from procman.agent import heartbeat_format, task_record
from procman.agent import task_record_layout as layout
from tests.agent.launching import Installation, install_launcher
from tests.celery_environments import CELERY_5_7, environment_of
from tests.rabbitmq_server import running_rabbitmq

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
        print(cpu_seconds(os.getpid()) + cpu_seconds(os.getppid()), file=file)
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

MEASURE = """
import json, os, sys, tempfile, time
from tiny import app, gate, nothing, last


def cpu_seconds_of_both(tasks):
    directory = tempfile.mkdtemp(dir=os.path.join(os.environ["PYTHONPATH"], "gates"))
    paths = {queue: os.path.join(directory, queue) for queue in ("with", "without")}
    with app.producer_pool.acquire() as producer:
        for queue, path in paths.items():
            gate.apply_async([path], queue=queue, producer=producer)
            for _ in range(tasks):
                nothing.apply_async(queue=queue, producer=producer)
            last.apply_async([path], queue=queue, producer=producer)
    time.sleep(0.3)
    for path in paths.values():
        open(path, "w").close()
    for path in paths.values():
        while not os.path.exists(path + ".ended"):
            time.sleep(0.02)
        begun, ended = (float(open(path + end).read()) for end in (".begun", ".ended"))
        yield ended - begun


pairs, tasks = map(int, sys.argv[1:])
for number in range(pairs + 1):
    seconds = list(cpu_seconds_of_both(tasks))
    if number:
        print(json.dumps(seconds), flush=True)
"""


Pair = Sequence[float]
"""CPU seconds with and without."""


def main() -> None:
    """Print the rates, and the ratio with its interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=4, help="in each round")
    parser.add_argument("--tasks", type=int, default=1500)
    parser.add_argument("--same", action="store_true", help="start both workers as plain celery")
    given = parser.parse_args()
    one, *others = sorted(os.sched_getaffinity(0))
    if not others:
        parser.error("the benchmark needs two processors")
    os.sched_setaffinity(0, others)
    found = environment_of(CELERY_5_7)
    assert found
    with running_rabbitmq() as broker:
        rounds = [_round(found.python, broker.url, given, number, one) for number in range(given.rounds)]
    print_ratio(rounds, given.tasks)


def _round(python: Path, url: str, given: argparse.Namespace, number: int, processor: int) -> Sequence[Pair]:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as workers:
        installation = install_launcher(Path(directory) / "bench", python)
        (installation.project / "gates").mkdir()
        (installation.project / "tiny.py").write_text(APP)
        shared = {"CELERY_BROKER_URL": url, "PYTHONPATH": str(installation.project), "PYTHONHASHSEED": str(number)}
        for queue in ("with", "without") if number % 2 else ("without", "with"):
            is_launched = queue == "with" and not given.same
            with _on(processor):
                workers.enter_context(_worker(installation, queue, shared, is_launched))
        words = [str(python), "-c", MEASURE, str(given.pairs), str(given.tasks)]
        done = subprocess.run(words, env={**os.environ, **shared}, stdout=subprocess.PIPE, text=True, check=True)
        if not given.same:
            _check_the_agent(installation)
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def _on(processor: int) -> Iterator[None]:
    """Let the processes that this one starts inherit that they run on one processor."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


@contextmanager
def _worker(installation: Installation, queue: str, shared: Mapping[str, str], is_launched: bool) -> Iterator[None]:
    """Run a worker of a queue, under the launcher or as plain `celery`."""
    words = ["-A", "tiny", "worker", "-c", "1", "-l", "warning", "-Q", queue, "-n", f"bench-{queue}@%h"]
    environment = installation.environment("worker", **shared)
    command = installation.words(*words)
    if not is_launched:
        command = [str(installation.python), "-m", "celery", *words]
        # All else is equal, the environment too.
        environment = {name: value for name, value in environment.items() if not name.startswith("PROCMAN_")}
    with subprocess.Popen(command, cwd=installation.project, env=environment, stdout=subprocess.DEVNULL) as worker:
        try:
            yield
        finally:
            worker.terminate()


def _check_the_agent(installation: Installation) -> None:
    """Check that the launched worker has done all that is measured."""
    record = (installation.run_directory / task_record.FILE).read_bytes()
    *_, state, _ = layout.MARK.unpack_from(record, layout.mark_offset(0))
    assert state == layout.ENDED, "its pool process has not marked the end of its last task"
    heartbeat = heartbeat_format.read((installation.run_directory / heartbeat_format.FILE).read_text())
    assert not heartbeat["missing"], heartbeat["missing"]


def print_ratio(rounds: Sequence[Sequence[Pair]], tasks: int) -> None:
    """Print the rates, and the ratio of the pairs."""
    pairs = [pair for each in rounds for pair in each]
    ours, plain = (tasks / statistics.median(pair[which] for pair in pairs) for which in (0, 1))
    print(f"with {ours:.0f} tasks, without {plain:.0f} tasks in a second of CPU time, {len(pairs)} pairs")
    ratio, low, high = interval([[ours / plain for ours, plain in each] for each in rounds])
    print(f"CPU time with / CPU time without: {ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}")


def interval(rounds: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Return the median of the ratios of all `rounds` and its 95 % interval, by bootstrap of rounds and of ratios."""
    chance = random.Random(1)

    def drawn() -> float:
        found = (chance.choices(each, k=len(each)) for each in chance.choices(rounds, k=len(rounds)))
        return statistics.median(ratio for each in found for ratio in each)

    medians = sorted(drawn() for _ in range(ROUNDS))
    median = statistics.median(ratio for each in rounds for ratio in each)
    return median, medians[ROUNDS * 25 // 1000], medians[ROUNDS * 975 // 1000]


if __name__ == "__main__":
    main()
