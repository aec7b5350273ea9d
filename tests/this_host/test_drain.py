"""Workers end gracefully, whatever is in front of them; real Celery."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from procman.host.celery_processes import mains_among, node_of, processes_below
from procman.host.drain import drain, is_running
from procman.host.process import identity
from procman.host.process_tree import children_finder, tree_of
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import Product, eventually

pytestmark = [pytest.mark.celery]

FORMS = {
    "direct": "exec {celery}",
    "shell": "{celery}; echo ended",
    "remapped": "REMAP_SIGTERM=SIGQUIT exec {celery}",
    "loop": "while true; do {celery}; done",
    "beat": "exec {celery} -B -s {directory}/schedule",
}
"""How a worker is started, by the name of its queue."""

TASK_SECONDS = 12
"""Longer than it takes to send all tasks to workers that run, and to find these."""

Started = tuple[Product, dict[str, "subprocess.Popen[bytes]"]]


@pytest.fixture
def started() -> Iterator[Started]:
    """A worker in each of FORMS, with a task in progress."""
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    product.data.mkdir()
    programs = {name: _start(product, name, form) for name, form in FORMS.items()}
    try:
        count = len(FORMS)
        product.send_each("hold", 0, 0, queues=FORMS)
        eventually(lambda: len(product.counted("finished")) == count, "each worker has started")
        product.send_each("hold", count, TASK_SECONDS, queues=FORMS)
        eventually(lambda: len(product.counted("started")) == 2 * count, "each task has started")
        assert len(product.counted("finished")) == count
        yield product, programs
    finally:
        for program in programs.values():
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
        product.close()


def _start(product: Product, name: str, form: str) -> subprocess.Popen[bytes]:
    words = [f"{product.virtualenv}/bin/celery", "-A", "mysite", "worker", "-c", "1", "-Q", name, "-n", f"{name[0]}@%h"]
    line = form.format(celery=shlex.join(words), directory=product.directory)
    environment = {**product.environment, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    return subprocess.Popen(["/bin/sh", "-c", line], cwd=product.code, env=environment, start_new_session=True)


def test_task_in_progress_finishes_whatever_is_in_front_of_the_worker(started: Started) -> None:
    product, programs = started
    trees = {name: tree_of(program.pid, children_finder()) for name, program in programs.items()}
    every = [pid for tree in trees.values() for pid in tree]
    identities = [identity(pid) for pid in every]
    assert {node_of(main) for main in mains_among(every)} == {name[0] for name in FORMS}
    pool = processes_below(every) - {main.pid for main in mains_among(every)}
    assert mains_among(pid for pid in pool if pid not in [program.pid for program in programs.values()]) == []
    done = drain("workers", lambda: every, 120, lambda _: None)
    assert done == "stopped gracefully"
    assert product.counted("finished") == Counter(range(2 * len(FORMS)))
    assert {name: program.poll() for name, program in programs.items()} == {
        "direct": 0,
        "shell": -signal.SIGTERM,
        "loop": -signal.SIGTERM,
        "remapped": 1,
        "beat": 0,
    }
    assert not any(is_running(each) for each in identities)


def test_main_process_that_does_not_look_like_celery_gets_the_signal_and_its_parent_gets_none() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "sleep 100; exit 7"]) as parent:
        eventually(lambda: len(processes_below([parent.pid])) == 2, "it has started")
        [main] = processes_below([parent.pid]) - {parent.pid}
        assert drain("sleep", lambda: [main], 20, lambda _: None, main=main) == "stopped gracefully"
        assert parent.wait(120) == 7


def test_process_that_does_not_end_in_time_is_killed_with_its_children() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; sleep 100; exit 7"]) as main:
        eventually(lambda: len(processes_below([main.pid])) == 2, "it has started")
        every = [identity(pid) for pid in processes_below([main.pid])]
        done = drain("sleep", lambda: [main.pid], 0, lambda _: None, main=main.pid)
        assert done == "killed after 0 s; its running tasks may be lost"
        assert not any(is_running(each) for each in every)
