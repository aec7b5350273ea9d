"""What counts as healthy after a start, and when the wait for it ends."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, cast

import pytest

from procman.backends.base import Controller
from procman.deploy.wait_until_healthy import wait_until_healthy
from procman.install.state.manifest import Manifest
from procman.model import End, InstalledProgram, Kind, Level, ProgramState, RunHistory, State
from procman.monitoring.program_view import now
from tests.install import sample
from tests.monitoring.checks.records import heartbeat, program, state

NAME = "catmaid-celery"
SOLO = program(name=NAME, pool="solo")
LONG_AGO = 1_000_000_000.0


class Reporting:
    """A process manager that reports one state after the other, and the last one from then on."""

    def __init__(self, *states: ProgramState) -> None:
        self._states = list(states)

    def states(self, programs: object) -> list[ProgramState]:
        return [self._states.pop(0) if len(self._states) > 1 else self._states[0]]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    wish = sample.DESIRED_STATES["one"]
    found = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    found.directories.run(NAME).mkdir(parents=True)
    return found


def write_heartbeat(manifest: Manifest, kind: str = "worker", **changed: Any) -> None:
    content = heartbeat(kind, **{"boot_id": now().boot, "pool": "solo" if kind == "worker" else None, **changed})
    (manifest.directories.run(NAME) / "heartbeat.json").write_text(json.dumps(content))


def waited(
    manifest: Manifest,
    *states: ProgramState,
    which: InstalledProgram = SOLO,
    seconds: float = 0.2,
    until_started: bool = True,
) -> list[tuple[Level, str]]:
    """Return level and detail of each program that did not become healthy."""
    controller = cast("Controller", Reporting(*states))
    found = wait_until_healthy(controller, [which], seconds, lambda _: None, manifest, until_started=until_started)
    return [(each.result.level, each.result.detail) for each in found]


def test_consuming_worker_is_healthy(manifest: Manifest) -> None:
    write_heartbeat(manifest)
    assert waited(manifest, state()) == []


@pytest.mark.parametrize("phase", ["importing", "starting", "disconnected"])
def test_worker_that_does_not_consume_yet_is_waited_for(manifest: Manifest, phase: str) -> None:
    write_heartbeat(manifest, phase=phase)
    assert len(waited(manifest, state())) == 1


def test_worker_is_healthy_only_once_celery_calls_it_ready(manifest: Manifest) -> None:
    write_heartbeat(manifest, ready=False, phase_since=time.monotonic())
    [(level, detail)] = waited(manifest, state())
    assert (level, "Celery has not reported that it is ready" in detail) == (Level.OK, True)
    write_heartbeat(manifest, ready=True)
    assert waited(manifest, state()) == []


def test_worker_that_takes_no_messages_is_healthy_if_it_is_ready(manifest: Manifest) -> None:
    write_heartbeat(manifest, ready=True, idle_with_messages_since=0)
    assert waited(manifest, state()) == []
    write_heartbeat(manifest, ready=False, idle_with_messages_since=0)
    assert len(waited(manifest, state())) == 1


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("worker", {"missing": ["tasks: there is no such signal"]}),
        ("worker", {"loop": 0}),
        ("beat", {"tick_due": None}),
    ],
)
def test_unknown_health_is_not_waited_for(manifest: Manifest, kind: str, changed: dict[str, Any]) -> None:
    write_heartbeat(manifest, kind, **changed)
    which = SOLO if kind == "worker" else program(Kind.BEAT, name=NAME)
    assert waited(manifest, state(), which=which) == []


def test_first_heartbeat_is_waited_for_only_briefly(manifest: Manifest) -> None:
    assert len(waited(manifest, state(since=time.time()))) == 1
    assert waited(manifest, state(since=LONG_AGO)) == []


@pytest.mark.parametrize("which", [program(Kind.COMMAND, name=NAME), program(name=NAME, pool="solo", launcher=False)])
def test_running_program_without_heartbeat_is_healthy(manifest: Manifest, which: InstalledProgram) -> None:
    assert waited(manifest, state(since=time.time()), which=which) == []


def test_wait_ends_as_soon_as_all_are_healthy(manifest: Manifest) -> None:
    write_heartbeat(manifest)
    begun = time.monotonic()
    assert waited(manifest, state(State.STARTING, os.getpid()), state(), seconds=600) == []
    assert time.monotonic() - begun < 300


def test_wait_ends_as_soon_as_no_program_can_become_healthy(manifest: Manifest) -> None:
    begun = time.monotonic()
    assert waited(manifest, state(State.FATAL, detail="exit status 1"), seconds=600) == [
        (Level.CRITICAL, "fatal: exit status 1")
    ]
    assert time.monotonic() - begun < 300


def test_program_stopped_on_purpose_is_not_waited_for(manifest: Manifest) -> None:
    assert waited(manifest, state(State.STOPPED, desired=False)) == []


def test_program_in_unknown_state_is_unhealthy(manifest: Manifest) -> None:
    assert waited(manifest, state(State.UNKNOWN, detail="no answer")) == [(Level.UNKNOWN, "no answer")]


@pytest.mark.parametrize(
    ("phase", "until_started", "waits"),
    [("consuming", False, 0), ("consuming", True, 1), ("starting", False, 1)],
)
def test_restart_does_not_wait_for_start_seconds_of_a_worker_that_consumes(
    manifest: Manifest, phase: str, until_started: bool, waits: int
) -> None:
    write_heartbeat(manifest, phase=phase)
    starting = state(State.STARTING, os.getpid())
    assert len(waited(manifest, starting, until_started=until_started)) == waits


def test_program_that_the_launcher_cannot_start_is_not_waited_for(manifest: Manifest) -> None:
    ended = RunHistory(failures=1, ends=(End(LONG_AGO + 1, "exit status 78"),), ordered=LONG_AGO)
    refused = ProgramState(NAME, desired=True, state=State.BACKOFF, history=ended)
    write_heartbeat(manifest)
    assert len(waited(manifest, refused, state(), seconds=60)) == 1
    # An end before the present order says nothing about this start.
    before = refused._replace(history=ended._replace(ordered=LONG_AGO + 2))
    assert waited(manifest, before, state(), seconds=60) == []
