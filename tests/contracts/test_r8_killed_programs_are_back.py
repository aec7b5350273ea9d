"""R8: after kill -9 every program runs again, with one main process per node name, one beat and no orphan."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

PROGRAMS = "[worker.celery]\nconcurrency = 2\n[worker.crop]\nqueues = ['crop']\nconcurrency = 1\n[beat]"
NAMES = ("catmaid-celery@", "catmaid-crop@", "beat")


def test_killed_worker_is_restarted_without_orphans(product: Product) -> None:
    product.configure(PROGRAMS)
    product.procman("install", "--wait", "60")
    before = product.status()["catmaid-celery"]["pid"]
    children = [child.pid for child in psutil.Process(before).children()]
    os.kill(before, signal.SIGKILL)
    # It works again once nothing but its end is reported.
    eventually(lambda: product.status()["catmaid-celery"]["health"]["code"] == "PM111", "the worker was restarted")
    assert product.status()["catmaid-celery"]["pid"] != before
    eventually(
        lambda: not any(psutil.pid_exists(child) for child in children), "the pool of the killed worker has ended"
    )
    assert_one_of_each(product)
    assert product.status()["catmaid-celery"]["restarts"] == 1


def test_killed_supervisord_leaves_no_second_worker_and_no_second_beat(product: Product) -> None:
    product.configure(PROGRAMS)
    product.procman("install", "--wait", "60")
    before = {name: product.main_processes(name) for name in NAMES}
    # The task runs longer than a kill and a restart of supervisord take.
    product.send("hold", 1, 5)
    eventually(lambda: len(product.counted("started")) == 1, "the task has started")
    os.kill(product.supervisord_pid(), signal.SIGKILL)
    product.procman("start")
    eventually(lambda: is_healthy(product), "everything is healthy again")
    assert product.counted("finished") == {1: 1}
    assert_one_of_each(product)
    assert not {pid for pids in before.values() for pid in pids} & {each.pid for each in product.processes()}


def is_healthy(product: Product) -> bool:
    programs = product.status().values()
    return all(each["state"] == "RUNNING" and each["health"]["level"] == "OK" for each in programs)


def assert_one_of_each(product: Product) -> None:
    found = {name: len(product.main_processes(name)) for name in NAMES}
    assert found == dict.fromkeys(NAMES, 1)
