"""Installed launchers: a copy in its own directory, run by the Python that a test chooses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from procman.agent import BESIDE_LAUNCHER, LAUNCHER, launcher

# How long a test waits for something that must happen. No test waits to see that something does not happen.
DEADLINE_SECONDS = 120


def wait_until(happened: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for {what()}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Launched:
    """A started program, and the output of it and its children."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until its output has `text`, this many times."""
        wait_until(
            lambda: self.text.count(text) >= times or self.process.poll() is not None,
            lambda: f"{text!r} in:\n{self.text}",
        )
        assert self.text.count(text) >= times, f"it exited; its output was:\n{self.text}"

    def end(self, number: signal.Signals | None = None) -> int:
        """Send the signal only to this process, as process managers do; return its exit status."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)


@dataclass(frozen=True)
class Installation:
    """One program: the paths of its launcher, project and run directory, and the Python that runs it."""

    directory: Path
    python: Path

    @property
    def launcher(self) -> Path:
        return self.directory / "library" / "launcher.py"

    @property
    def project(self) -> Path:
        return self.directory / "projects"

    @property
    def run_directory(self) -> Path:
        return self.directory / "run"

    @property
    def lock(self) -> Path:
        return self.directory / "run" / "lock"

    def words(self, *arguments: str | Path) -> list[str]:
        """Return the command line that starts the program."""
        return [str(word) for word in (self.python, self.launcher, *arguments)]

    def environment(self, kind: str, **more: str) -> dict[str, str]:
        """Return the variables that the start script sets."""
        return {
            "PATH": f"{self.python.parent}:/usr/bin:/bin",
            "HOME": os.environ["HOME"],
            "PROCMAN_PROGRAM": "catmaid-celery",
            "PROCMAN_KIND": kind,
            "PROCMAN_DIRECTORY": str(self.project),
            "PROCMAN_RUN_DIRECTORY": str(self.lock.parent),
            **more,
        }

    def run(self, kind: str, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the program until it exits by itself."""
        return run(self.words(*arguments), self.project, self.environment(kind, **more))


def install_launcher(directory: Path, python: Path) -> Installation:
    installation = Installation(directory, python)
    for made in (installation.launcher.parent, installation.project, installation.lock.parent):
        made.mkdir(parents=True)
    for name in (LAUNCHER, *BESIDE_LAUNCHER):
        shutil.copy(Path(launcher.__file__).with_name(name), installation.launcher.with_name(name))
    return installation


def run(words: list[str], directory: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
