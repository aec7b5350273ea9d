"""Measure what the record of running tasks costs a worker: python -m benchmarks.task_record.

Needs redis-server. One worker with one pool process keeps running under the launcher, and records its tasks in turn and
does not, for a short time each, so that both meet the same memory, caches and load. Its tasks do nothing; time and
CPU time are those of `benchmarks.throughput`. DIRECTORY is where the record is written, by default in memory, as below
/run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.throughput import APP, TIMED, print_ratios
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_REDIS, environment_of
from tests.redis_server import running_redis

SWITCHED_APP = f"""{APP}

from celery.worker import state
from celery.worker.control import control_command


@control_command(args=[("wanted", str)])
def record(_, wanted):
    active = state.active_requests
    if not hasattr(app, "following"):
        app.following = active.data
    active.data = app.following if wanted == "with" else set(active.data)
    return type(active.data).__name__
"""

MEASURE = f"""{TIMED}

def switched(wanted, tasks):
    time.sleep(0.1)
    [answer] = app.control.broadcast("record", arguments={{"wanted": wanted}}, reply=True, limit=1, timeout=30)
    assert list(answer.values()) == ["RunningReferences" if wanted == "with" else "set"], answer
    return timed("celery", tasks)


pairs, tasks = map(int, sys.argv[1:])
timed("celery", tasks)  # Until then the worker may not listen for commands yet.
for number in range(pairs + 1):
    order = ("with", "without") if number % 2 else ("without", "with")
    seconds = {{wanted: switched(wanted, tasks) for wanted in order}}
    if number:
        print(json.dumps([seconds["with"], seconds["without"]]), flush=True)
"""


def main() -> None:
    """Print the rates, and the ratios with their intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--directory", default="/dev/shm")
    given = parser.parse_args()
    found = environment_of(CELERY_REDIS)
    assert found
    with (
        tempfile.TemporaryDirectory(dir=given.directory) as directory,
        _worker(Path(directory), found.python) as environment,
    ):
        words = [str(found.python), "-c", MEASURE, str(given.pairs), str(given.tasks)]
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    print_ratios([[json.loads(line) for line in done.stdout.splitlines()]], given.tasks)


@contextmanager
def _worker(directory: Path, python: Path) -> Iterator[dict[str, str]]:
    """Run a Redis and a worker; yield the environment of its app."""
    installation = install_launcher(directory / "bench", python)
    (installation.project / "gates").mkdir()
    (installation.project / "tiny.py").write_text(SWITCHED_APP)
    words = installation.words("-A", "tiny", "worker", "-c", "1", "-l", "warning")
    with running_redis(directory) as redis:
        shared = {"CELERY_BROKER_URL": redis.url(), "PYTHONPATH": str(installation.project)}
        environment = installation.environment("worker", **shared)
        with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as worker:
            try:
                yield {**os.environ, **shared}
            finally:
                worker.terminate()


if __name__ == "__main__":
    main()
