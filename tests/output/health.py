"""The health of a project at one moment, for the tests of every format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from procman.model import Kind, Level, Result, State
from procman.monitoring.health import Health, ProgramHealth
from tests.install import sample
from tests.monitoring.checks.records import heartbeat, program, snapshot, state

QUEUES = [{"name": "celery", "messages": 10, "consumers": 0, "since": None}]


def healthy(directory: Path) -> Health:
    """Return a worker that consumes, and a command that was stopped on purpose."""
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(directory, wish, sample.rendering(directory, wish))
    worker = snapshot(heartbeat(queues=QUEUES), program=program(name="catmaid-celery"), state=state(pid=100))
    flower = snapshot(
        program=program(Kind.COMMAND, name="catmaid-flower", key="command.flower"),
        state=state(State.STOPPED, desired=False),
    )
    own = [
        _result("PM101", "catmaid-celery", values={"children": 2.0, "memory_bytes": 70012928.0, "memory_is_rss": 1.0}),
        _result("PM200", "catmaid-celery", detail="it is consuming; 0 of 2 slots are busy", values={"busy": 0.0}),
    ]
    of_project = [
        _result("PM501", None, values={"broker_up": 1.0}),
        _result("PM603", None, values={"free_mib_/var/log": 78416.0}),
    ]
    return Health(
        manifest,
        1_700_000_000.0,
        (
            ProgramHealth(worker, tuple(own)),
            ProgramHealth(flower, (_result("PM101", "catmaid-flower", detail="stopped on purpose"),)),
        ),
        tuple(of_project),
    )


def stuck(directory: Path) -> Health:
    """Return the same with a worker that does not consume, and several other problems."""
    base = healthy(directory)
    worker, flower = base.programs
    results = (
        _result("PM101", "catmaid-celery", values={"children": 2.0}),
        _result(
            "PM301", "catmaid-celery", Level.CRITICAL, "messages wait | and 'wait'", "procman restart catmaid-celery"
        ),
        _result("PM602", "catmaid-celery", Level.WARNING, "a restart is due: the launcher is newer", "procman restart"),
    )
    of_project = (
        _result("PM501", None, Level.UNKNOWN, "cannot query the broker: why"),
        _result("PM603", None, Level.WARNING, "only 3 MiB\nare free", "df -h /", values={"free_mib_/": 3.0}),
    )
    return replace(base, programs=(replace(worker, results=results), flower), results=of_project)


def _result(
    code: str, name: str | None, level: Level = Level.OK, detail: str = "", hint: str = "", **more: Any
) -> Result:
    return Result(code, name, level, detail, hint, **more)
