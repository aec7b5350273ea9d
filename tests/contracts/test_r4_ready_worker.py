"""R4: `install --wait` counts a worker as healthy once Celery reports that it is ready, whether it takes messages or
not."""

from __future__ import annotations

import pytest

from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

PROGRAMS = """
[worker.celery]
concurrency = 1
heal = false
stop_timeout_seconds = 1
[health]
heartbeat_seconds = 1
stall_seconds = 2
"""

CONSUMER = """
import os, queue, time
from celery.worker.consumer import Consumer

def nothing(*_, **__):
    raise queue.Empty

class Held(Consumer):
    def on_ready(self):
        while os.path.exists({held!r}):
            time.sleep(0.05)
        type(self.task_consumer.channel)._get = nothing
        super().on_ready()

app.conf.worker_consumer = "mysite.celery:Held"
"""


def test_worker_is_healthy_once_it_is_ready_even_if_it_takes_no_messages(product: Product) -> None:
    held = product.directory / "held"
    held.touch()
    with (product.code / "mysite/celery.py").open("a") as app:
        app.write(CONSUMER.format(held=str(held)))
    product.configure(PROGRAMS)
    failed = product.procman("install", "--wait", "4", check=False)
    assert failed.returncode == 1
    assert "catmaid-celery: was not healthy within 4 s: it connected to the broker " in failed.stderr
    assert "but Celery has not reported that it is ready" in failed.stderr
    held.unlink()
    product.send("echo", 0, times=3)
    installed = product.procman("install", "--wait", "30")
    assert "WARNING catmaid-celery: messages have been waiting for" in installed.stderr
    assert "(PM301)" in installed.stderr
    assert "nothing is rolled back for this" in installed.stderr
    assert product.status()["catmaid-celery"]["state"] == "RUNNING"
    assert "PM301" in product.procman("health", check=False).stdout
