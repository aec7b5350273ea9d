"""The signals that `check --lint` accepts for a whole process group are those on which a real worker loses no task."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import IO

import pytest

from procman.lint.lint import lint
from tests.celery_environments import CELERY_5_7, environment_of
from tests.lint.valid_files import VALID_SECTION

APP = """
import time
from celery import Celery
from celery.signals import worker_ready

app = Celery("site", broker="memory://", set_as_current=True)
app.conf.worker_redirect_stdouts = False


@app.task(name="work")
def work():
    print("begun", flush=True)
    time.sleep(0.7)
    print("done", flush=True)


worker_ready.connect(lambda **_: work.delay(), weak=False)
"""


def read_until(output: IO[str], words: str) -> None:
    """Read lines up to the one with `words`; fail if it does not come."""
    read = []
    while words not in (line := output.readline()):
        read.append(line)
        assert line, "".join(read)


@contextmanager
def killed_at_the_end(worker: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a worker that does not stop, so that the test ends."""
    timer = Timer(30, os.killpg, (worker.pid, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)


@pytest.mark.celery
@pytest.mark.parametrize(
    ("name", "pool", "is_lost"), [("INT", "prefork", False), ("TERM", "prefork", True), ("TERM", "threads", False)]
)
def test_signal_to_the_group_is_reported_if_it_loses_a_task(
    tmp_path: Path, name: str, pool: str, is_lost: bool
) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    (tmp_path / "one_app.py").write_text(APP)
    options = ["-A", "one_app", "worker", "-c", "1", "-P", pool, "--without-mingle", "--without-gossip"]
    words = [str(environment.python), "-m", "celery", *options]
    worker = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert worker.stdout
    with worker, killed_at_the_end(worker):
        read_until(worker.stdout, "begun")
        os.killpg(worker.pid, signal.Signals[f"SIG{name}"])
        # Celery 5.7 would wait for the lost task for ten more seconds.
        read_until(worker.stdout, "exited with 'signal 15" if is_lost else "done")
    section = f"{VALID_SECTION}stopasgroup=true\nstopsignal={name}\n".replace("-l info", " ".join(options[3:]))
    (tmp_path / "site.conf").write_text(section)
    assert [each.code for each in lint([tmp_path / "site.conf"]).findings] == ["PM901"] * is_lost
