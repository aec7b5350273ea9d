"""What happens to the pool processes of unacknowledged tasks when a stop cannot finish in time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from procman.agent import handback_pool
from tests.agent.launching import wait_until


class Request:
    acknowledged = False

    def on_accepted(self) -> None: ...


@pytest.fixture
def billiard() -> Iterator[Any]:
    """A pool with one process, which runs a task and has sent a message."""
    reading, writing = os.pipe()
    os.write(writing, b".")
    child = subprocess.Popen(["sleep", "60"])
    process = SimpleNamespace(
        pid=child.pid,
        outq=SimpleNamespace(_reader=SimpleNamespace(fileno=lambda: reading)),
        _controlled_termination=False,
    )
    job = SimpleNamespace(
        _accept_callback=Request().on_accepted,
        _write_to=process,
        _scheduled_for=process,
        _accepted=True,
        _worker_pid=child.pid,
        ready=lambda: False,
        discard=lambda: None,
    )
    try:
        yield SimpleNamespace(_pool=[process], _cache={1: job}, _processes=1)
    finally:
        child.kill()
        child.wait()
        os.close(reading)
        os.close(writing)


def test_process_continues_if_its_messages_cannot_be_read(billiard: Any) -> None:
    child = psutil.Process(billiard._pool[0].pid)

    def read_results() -> None:
        assert child.status() == psutil.STATUS_STOPPED
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        handback_pool.end(billiard, read_results)
    wait_until(lambda: child.status() == psutil.STATUS_SLEEPING, child.status)
    assert billiard._processes == 1


def test_process_whose_task_has_not_ended_is_killed(billiard: Any) -> None:
    child = psutil.Process(billiard._pool[0].pid)
    [request] = handback_pool.end(billiard, lambda: None)
    assert isinstance(request, Request)
    assert child.status() == psutil.STATUS_ZOMBIE
    assert billiard._processes == 0
