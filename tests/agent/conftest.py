"""Fixtures that start launchers, on procman's own Python and on the oldest supported one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from tests.agent.launching import Installation, Launched, install_launcher


@pytest.fixture
def installation(tmp_path: Path, python: Path) -> Installation:
    return install_launcher(tmp_path, python)


class Spawn(Protocol):
    def __call__(self, words: list[str], directory: Path, environment: dict[str, str]) -> Launched: ...


class Start(Protocol):
    def __call__(self, installation: Installation, kind: str, *arguments: str | Path, **more: str) -> Launched: ...


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start processes in sessions of their own; kill the rest of each session after the test."""
    started: list[Launched] = []

    def spawn(words: list[str], directory: Path, environment: dict[str, str]) -> Launched:
        output = tmp_path / f"output-{len(started)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                words,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Launched(process, output))
        return started[-1]

    yield spawn
    for each in started:
        with suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()


@pytest.fixture
def start(spawn: Spawn) -> Start:
    """Start programs through their launcher."""

    def start(installation: Installation, kind: str, *arguments: str | Path, **more: str) -> Launched:
        return spawn(installation.words(*arguments), installation.project, installation.environment(kind, **more))

    return start
