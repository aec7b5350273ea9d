"""R7: stop and restart within the stop timeout lose neither running nor queued tasks."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

TEN = range(1, 11)
TASK_SECONDS = 6


def test_ten_running_tasks_survive_a_stop(product: Product) -> None:
    product.configure("\n".join(f'[worker.w{n}]\nconcurrency = 1\nqueues = ["q{n}"]' for n in TEN))
    product.procman("install")
    for number in TEN:
        product.send("hold", number, TASK_SECONDS, queue=f"q{number}")
    eventually(lambda: len(product.counted("started")) == len(TEN), "every task has started")
    product.procman("stop")
    assert product.counted("finished") == Counter(TEN)
    assert all(each["state"] == "STOPPED" and not each["wanted"] for each in product.status().values())


def test_running_task_survives_supervisorctl_restart(product_with_each_celery: Product) -> None:
    product = product_with_each_celery
    product.configure("[worker.celery]\nconcurrency = 1")
    product.procman("install", "--wait", "60")
    product.send("hold", 1, TASK_SECONDS)
    eventually(lambda: product.counted("started") == Counter([1]), "the task has started")
    restarted = product.supervisorctl("restart", "catmaid-celery")
    assert restarted.returncode == 0, restarted.stdout
    assert product.counted("finished") == Counter([1])


def test_two_hundred_queued_tasks_run_exactly_once_through_five_restarts(product: Product) -> None:
    product.configure("[worker.celery]\nconcurrency = 2")
    product.procman("install", "--wait", "60")
    product.send("hold", 1, 0.05, times=200)
    for _ in range(5):
        product.procman("restart")
    eventually(lambda: len(product.counted("finished")) == 200, "every task is done")
    assert product.counted("finished") == Counter(range(1, 201))
    assert product.counted("started") == Counter(range(1, 201))
