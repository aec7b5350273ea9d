"""PM764 counts the files of a worker as a real one on Redis opens them, and predicts that it ends without enough."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procman.preflight.pool_size import FILES_PER_PROCESS, OWN_FILES, SPARE_FILES
from tests.agent.launching import wait_until
from tests.celery_environments import CELERY_REDIS, environment_of
from tests.redis_server import Redis, running_redis

pytestmark = pytest.mark.celery

PROCESSES = 8
LEAST = PROCESSES * FILES_PER_PROCESS + OWN_FILES

WORDS = ("worker", "-c", str(PROCESSES), "-l", "info", "--without-gossip", "--without-mingle")


@contextmanager
def worker(directory: Path, redis: Redis, limit: int) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a worker that may open `limit` files, and yield it and its log."""
    found = environment_of(CELERY_REDIS)
    assert found
    words = [str(found.python), "-m", "celery", "-b", redis.url(), *WORDS, "-n", f"files-{os.getpid()}@here"]
    log = directory / f"{limit}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            words,
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        ) as process,
    ):
        try:
            yield process, log
        finally:
            process.send_signal(signal.SIGTERM)


def test_worker_opens_as_many_files_as_reckoned(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        with worker(tmp_path, redis, LEAST + SPARE_FILES) as (process, log):
            wait_until(lambda: " ready." in log.read_text(), log.read_text)
            held = len([*Path(f"/proc/{process.pid}/fd").iterdir()])
        assert LEAST - 10 <= held <= LEAST + 10
        with worker(tmp_path, redis, LEAST - 15) as (process, log):
            process.wait(60)
        assert "Too many open files" in log.read_text()
