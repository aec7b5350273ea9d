"""Measure the watcher's look at the queues of a Redis, by kombu without the app: python -m benchmarks.broker_look.

Needs redis-server. It is measured without procman, whose own part of a check is in the other benchmarks.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from procman.agent import broker_record
from procman.probes.broker import LOOK_SOURCES
from tests.celery_environments import CELERY_REDIS, environment_of
from tests.redis_server import running_redis

ROUNDS = 15

RECORD = """
import importlib.util, sys
from celery import Celery
spec = importlib.util.spec_from_file_location("broker_record", sys.argv[1])
record = importlib.util.module_from_spec(spec)
spec.loader.exec_module(record)
open(sys.argv[3], "w").write(record.record_of(Celery(broker=sys.argv[2])))
"""


def main() -> None:
    """Print the medians of several rounds."""
    found = environment_of(CELERY_REDIS)
    assert found
    python = str(found.python)
    with tempfile.TemporaryDirectory() as directory, running_redis(Path(directory)) as redis:
        path = str(Path(directory, "broker.json"))
        subprocess.run([python, "-c", RECORD, broker_record.__file__, redis.url(), path], check=True)
        asked = {"files": {"worker": path}, "queues": [], "seconds": 10, "management": None}
        text = "\n".join(source.read_text() for source in LOOK_SOURCES)
        look = _seconds([python, "-", "project", json.dumps(asked)], text)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"CPU time: {look:.2f} s, a Python that does nothing {_seconds([python, '-c', 'pass'], ''):.2f} s")
        print(f"memory: {memory / 1024:.0f} MiB")


def _seconds(words: Sequence[str], text: str) -> float:
    """Return the median CPU time of a process."""
    rounds = []
    for _ in range(ROUNDS):
        before = _spent()
        subprocess.run(words, input=text, capture_output=True, text=True, check=True)
        rounds.append(_spent() - before)
    return statistics.median(rounds)


def _spent() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    main()
