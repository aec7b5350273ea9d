"""What a graceful stop is under every backend: how long it may take, and what is reported meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from procman.errors import ProcmanError
from procman.model import InstalledProgram

if TYPE_CHECKING:
    from procman.backends.base import Controller, Progress

MARGIN_SECONDS = 15
"""Beyond the stop timeout: the process manager's kill of the whole group, and its end."""


class StopWait:
    """A wait for programs to end, from now on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began = time.monotonic()
        self._reported = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return time.monotonic() - self._began

    def sleep(self, limits: Mapping[str, float], longest: float = 1.0) -> None:
        """Sleep for `longest` seconds at most, less at first; report once a second what is waited for.

        `limits` maps every program that has not ended to the seconds its tasks may take. Raises ProcmanError if one
        takes longer than the process manager should give it.
        """
        elapsed = self.elapsed
        late = [name for name, limit in limits.items() if elapsed > limit + MARGIN_SECONDS]
        if late:
            raise ProcmanError(
                f"{', '.join(late)} did not end within {elapsed:.0f} s",
                hint="It may still be finishing its tasks: run the same command again to go on waiting.",
            )
        if int(elapsed) > self._reported:
            self._reported = int(elapsed)
            names = ", ".join(limits) if len(limits) < 4 else f"{len(limits)} programs"
            whose = "its" if len(limits) == 1 else "their"
            self._progress(f"{names}: finishing {whose} tasks, {elapsed:.0f} s of at most {max(limits.values()):g} s")
        time.sleep(min(longest, max(0.05, elapsed / 10)))


def stop_and_start(controller: Controller, program: InstalledProgram, progress: Progress) -> None:
    """Stop `program` gracefully and start it again; whatever interrupts that, report that it may stay stopped."""
    try:
        controller.stop([program], progress)
        controller.start([program], progress)
    except BaseException:
        progress(f"{program.name} may stay stopped: `procman start {program.name}` starts it")
        raise
