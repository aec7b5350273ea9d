"""The script that restores a worker's messages on Redis: what it records if Redis does not answer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from procman.agent import handback_broker, own_events
from procman.agent.broker_record import BROKER_FILE
from tests.agent.launching import Installation, install_launcher
from tests.celery_environments import CELERY_REDIS, environment_of

EVENT = {"what": "handed-back", "reason": "ended 1 task", "tasks": ["mysite.work"], "task_ids": ["an-id"]}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    environment = environment_of(CELERY_REDIS)
    assert environment is not None
    return install_launcher(tmp_path, environment.python)


def carry_out(installation: Installation, **more: Any) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status of the script for an order, and the events that it recorded."""
    order = {
        "program": "celery",
        "run_directory": str(installation.run_directory),
        "until": time.monotonic() + 1,
        "tags": ["a-tag"],
        "acknowledged": [],
        "events": [EVENT],
        **more,
    }
    script = installation.launcher.with_name(handback_broker.SCRIPT)
    reading, writing = os.pipe()
    os.write(writing, json.dumps(order).encode())
    os.close(writing)
    try:
        words = [str(installation.python), str(script), str(reading)]
        done = subprocess.run(words, pass_fds=[reading], capture_output=True, timeout=60, check=False)
    finally:
        os.close(reading)
    assert b"Redis returns the rest after its visibility timeout" in done.stderr + done.stdout
    path = installation.run_directory / own_events.FILE
    return done.returncode, [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.celery
@pytest.mark.parametrize("answers", [True, False], ids=["without a record", "silent"])
def test_tasks_that_have_ended_are_recorded_although_redis_does_not_answer(
    installation: Installation, answers: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if not answers:
            connection = {"transport": "redis", "hostname": "127.0.0.1", "port": silent.getsockname()[1]}
            record = {"format": 1, "connection": connection, "queues": [], "routed": []}
            (installation.run_directory / BROKER_FILE).write_text(json.dumps(record))
        status, [event] = carry_out(installation)
    assert status == 1
    assert event.items() >= EVENT.items()
