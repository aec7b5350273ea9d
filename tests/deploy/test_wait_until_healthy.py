"""Waiting for programs to become healthy: what counts, and that it always ends."""

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
from procman.model import InstalledProgram, Kind, Level, ProgramState, State
from procman.monitoring.program_view import now
from tests.install import sample
from tests.monitoring.checks.records import heartbeat, program, state

NAME = "catmaid-celery"
SOLO = program(name=NAME, pool="solo")
LONG_AGO = 1_000_000_000.0


class Telling:
    """A process manager that says one thing after another, and the last for ever."""

    def __init__(self, *says: ProgramState) -> None:
        self._says = list(says)

    def states(self, programs: object) -> list[ProgramState]:
        return [self._says.pop(0) if len(self._says) > 1 else self._says[0]]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    wish = sample.DESIRED_STATES["one"]
    found = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    found.directories.run(NAME).mkdir(parents=True)
    return found


def say(manifest: Manifest, kind: str = "worker", **changed: Any) -> None:
    content = heartbeat(kind, **{"boot_id": now().boot, "pool": "solo" if kind == "worker" else None, **changed})
    (manifest.directories.run(NAME) / "heartbeat.json").write_text(json.dumps(content))


def waited(
    manifest: Manifest, *says: ProgramState, which: InstalledProgram = SOLO, seconds: float = 0.2
) -> list[tuple[Level, str]]:
    """Return level and detail of what did not become healthy."""
    found = wait_until_healthy(cast("Controller", Telling(*says)), [which], seconds, lambda _: None, manifest)
    return [(each.result.level, each.result.detail) for each in found]


def test_a_worker_that_consumes_is_healthy(manifest: Manifest) -> None:
    say(manifest)
    assert waited(manifest, state()) == []


@pytest.mark.parametrize("phase", ["importing", "starting", "disconnected"])
def test_a_worker_that_does_not_consume_yet_is_waited_for(manifest: Manifest, phase: str) -> None:
    say(manifest, phase=phase)
    assert len(waited(manifest, state())) == 1


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("worker", {"missing": ["tasks: there is no such signal"]}),
        ("worker", {"loop": 0}),
        ("beat", {"tick_due": None}),
    ],
)
def test_what_cannot_be_told_is_not_waited_for(manifest: Manifest, kind: str, changed: dict[str, Any]) -> None:
    say(manifest, kind, **changed)
    which = SOLO if kind == "worker" else program(Kind.BEAT, name=NAME)
    assert waited(manifest, state(), which=which) == []


def test_the_first_heartbeat_is_waited_for_but_not_for_ever(manifest: Manifest) -> None:
    assert len(waited(manifest, state(since=time.time()))) == 1
    assert waited(manifest, state(since=LONG_AGO)) == []


@pytest.mark.parametrize("which", [program(Kind.COMMAND, name=NAME), program(name=NAME, pool="solo", launcher=False)])
def test_what_writes_no_heartbeat_is_healthy_when_it_runs(manifest: Manifest, which: InstalledProgram) -> None:
    assert waited(manifest, state(since=time.time()), which=which) == []


def test_it_ends_as_soon_as_all_is_well(manifest: Manifest) -> None:
    say(manifest)
    begun = time.monotonic()
    assert waited(manifest, state(State.STARTING, os.getpid()), state(), seconds=600) == []
    assert time.monotonic() - begun < 300


def test_it_ends_as_soon_as_nothing_can_become_well_any_more(manifest: Manifest) -> None:
    begun = time.monotonic()
    assert waited(manifest, state(State.FATAL, detail="exit status 1"), seconds=600) == [
        (Level.CRITICAL, "fatal: exit status 1")
    ]
    assert time.monotonic() - begun < 300


def test_what_was_stopped_on_purpose_is_not_waited_for(manifest: Manifest) -> None:
    assert waited(manifest, state(State.STOPPED, desired=False)) == []


def test_a_process_manager_that_says_nothing_is_not_healthy(manifest: Manifest) -> None:
    assert waited(manifest, state(State.UNKNOWN, detail="no answer")) == [(Level.UNKNOWN, "no answer")]
