"""A real worker is killed while it runs a task: status, health and events show when, how, and which task was lost."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

WORKER = "catmaid-celery"
TASK = "counting.tasks.hold"
WATCHED = f"""
[worker.celery]
concurrency = 1
stop_timeout_seconds = 2
[health]
procman = "{Path(sys.executable).with_name("procman")}"
heartbeat_seconds = 1
stale_seconds = 8
interval_seconds = 1
on_event = ["sh", "-c", "cat >> events-seen"]
"""


def ended(product: Product) -> list[dict[str, Any]]:
    lines = product.procman("events", "--json", "celery").stdout.splitlines()
    return [event for event in map(json.loads, lines) if event["what"] == "ended"]


def calls(product: Product) -> list[dict[str, Any]]:
    """Return the ends that the watcher called on_event for."""
    seen = product.directory / "events-seen"
    lines = seen.read_text().splitlines() if seen.exists() else []
    return [event for event in map(json.loads, lines) if event["what"] == "ended"]


def test_killed_worker_is_reported_with_its_task_until_it_is_restarted_by_an_order(product: Product) -> None:
    product.configure(WATCHED.replace("events-seen", str(product.directory / "events-seen")))
    product.procman("install", "--wait", "60")
    product.send("hold", 1, 60)
    eventually(lambda: product.counted("started")[1] == 1, "its task runs")
    pid = product.status()[WORKER]["pid"]
    [child] = psutil.Process(pid).children()
    child.kill()
    eventually(lambda: product.status()[WORKER]["health"]["code"] == "PM112", "the end of its pool process is reported")
    eventually(lambda: bool(ended(product)), "it is an event")
    [event] = ended(product)
    assert event["reason"] == f"pool process {child.pid}: killed by SIGKILL (cause unknown)"
    assert (event["code"], event["tasks"]) == ("PM112", [TASK])
    # The watcher starts the commands of one check at the same moment.
    eventually(lambda: len(calls(product)) == 1, "the watcher has called on_event for it")
    product.send("hold", 3, 60)
    eventually(lambda: product.counted("started")[3] == 1, "another task runs")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: product.status()[WORKER]["health"]["code"] == "PM111", "it is reported once it works again")
    health = product.status()[WORKER]["health"]
    assert health["level"] == "WARNING"
    assert ": killed by SIGKILL (cause unknown); running: counting.tasks.hold [" in health["detail"]
    assert product.procman("health", "--format", "nagios", check=False).returncode == 1
    # Its health may be found before its end.
    eventually(lambda: len(calls(product)) == 2, "the watcher calls on_event for each end")
    [_, event] = ended(product)
    assert (event["code"], event["reason"]) == ("PM111", "killed by SIGKILL (cause unknown)")
    # Celery waits ten seconds for the result of a process that has died, so that task may still be running.
    assert set(event["tasks"]) == {TASK}
    assert len(event["task_ids"][0]) == 36
    assert [each["code"] for each in calls(product)] == ["PM112", "PM111"]
    assert calls(product)[1]["task_ids"] == event["task_ids"]
    # An order is no end, whoever gives it; a kill at the stop timeout is.
    product.supervisorctl("restart", WORKER)
    eventually(lambda: product.status()[WORKER]["health"]["level"] == "OK", "it is healthy")
    assert product.status()[WORKER]["restarts"] == 0
    assert [each["code"] for each in ended(product) if each["code"]] == ["PM112", "PM111"]
    product.send("hold", 2, 60)
    eventually(lambda: product.counted("started")[2] == 1, "its task runs")
    product.procman("stop", "health")
    product.procman("restart", "celery", "--wait", "60")
    forced = ended(product)[-1]
    assert forced["reason"] == "killed: it did not stop within its stop timeout"
    assert (forced["code"], forced["tasks"]) == ("", [TASK])
    assert product.status()[WORKER]["health"]["level"] == "OK"
