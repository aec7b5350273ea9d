"""The parts of a graceful stop that all backends share: its time limit, and the progress it reports."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from procman.errors import ProcmanError
from procman.model import InstalledProgram

if TYPE_CHECKING:
    from procman.backends.base import Controller, Progress

MARGIN_SECONDS = 15
"""Added to the stop timeout, for the process manager to kill the whole group and the processes to exit."""


class StillRunning(ProcmanError):
    """A program did not end within its stop timeout."""


class StopWait:
    """A wait for programs to exit, which begins when it is created."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began = time.monotonic()
        self._reported = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return time.monotonic() - self._began

    def sleep(self, limits: Mapping[str, float], longest: float = 1.0) -> None:
        """Sleep for at most `longest` seconds, less at first; report once a second which programs are still running.

        `limits` maps each of them to its stop timeout in seconds. Raises StillRunning if a program is still running
        after the process manager should have killed it.
        """
        elapsed = self.elapsed
        late = [name for name, limit in limits.items() if elapsed > limit + MARGIN_SECONDS]
        if late:
            raise StillRunning(
                f"{', '.join(late)} did not stop within {elapsed:.0f} s",
                hint="Tasks may still be running. To wait longer, run the same command again.",
            )
        if int(elapsed) > self._reported:
            self._reported = int(elapsed)
            names = ", ".join(limits) if len(limits) < 4 else f"{len(limits)} programs"
            limit = f"{max(limits.values()):g} s"
            self._progress(f"{names}: stopping, {elapsed:.0f} s of at most {limit} (running tasks may finish)")
        time.sleep(min(longest, max(0.05, elapsed / 10)))


def stop_and_start(controller: Controller, program: InstalledProgram, progress: Progress) -> None:
    """Stop `program` gracefully and start it again; if interrupted in between, it stays stopped."""
    controller.stop([program], progress)
    controller.start([program], progress)
