"""The kinds of kills of one worker, noted in the store of its tasks."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import psutil

from tests.contracts.trials.ground import Ground
from tests.contracts.trials.kill_verdict import CHILD_WITHOUT_MEMORY, POOL_CHILD, WHOLE_TREE
from tests.contracts.trials.memory import is_gone, run_out
from tests.product import eventually

WORKER, WORKER_WITHOUT_MEMORY = "worker", "worker out of memory"
WITHOUT_MEMORY = frozenset({CHILD_WITHOUT_MEMORY, WORKER_WITHOUT_MEMORY})


class Prey:
    """A worker of a ground, to be killed."""

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground, self.name = ground, name

    def kill(self, number: int, kind: str) -> None:
        """Kill what `kind` names, and note that as the kill of this `number`."""
        doomed = self._doomed(kind)
        self.note_kill(number)
        if kind in WITHOUT_MEMORY:
            run_out(doomed[0])
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        eventually(lambda: all(map(is_gone, doomed)), f"{self.name}: {kind} is gone")
        self.note_killed(number, kind)

    def note_kill(self, number: int) -> None:
        """Note that the worker is about to be killed."""
        self.ground.store.note_work(f"kill {self.name} {number}")

    def note_killed(self, number: int, kind: str) -> None:
        """Note that it has been killed."""
        self.ground.store.note_work(f"killed {self.name} {number} {time.time():.6f} {kind}")

    def _doomed(self, kind: str) -> list[psutil.Process]:
        found: list[psutil.Process] = []

        def are_found() -> bool:
            found[:] = self._family()
            return len(found) > (kind in (POOL_CHILD, CHILD_WITHOUT_MEMORY))

        eventually(are_found, f"{self.name} runs")
        main, *children = found
        if kind in (POOL_CHILD, CHILD_WITHOUT_MEMORY):
            return children[:1]
        return [main, *children] if kind == WHOLE_TREE else [main]

    def _family(self) -> list[psutil.Process]:
        """Return the main process and its pool processes; none while it is being restarted."""
        for process in self.ground.product.processes():
            with suppress(psutil.NoSuchProcess):
                supervisor = process.parent()
                is_own = process.environ().get("TRIAL_WORKER") == self.name
                if is_own and supervisor and "supervisord" in " ".join(supervisor.cmdline()):
                    return [process, *process.children()]
        return []
