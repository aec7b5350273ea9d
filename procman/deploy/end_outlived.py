"""Stop the processes of workers that overlap which have outlived their keeper, as a process manager would."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from procman.agent import slots
from procman.backends.base import Controller, Progress
from procman.host.held_process import signal_process
from procman.host.process import identity, stat_fields
from procman.host.process_tree import children_finder, tree_of
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, State
from procman.monitoring.kept import is_child
from procman.monitoring.outlived import outlived_by, outlived_keeper
from procman.monitoring.running_tasks import run_directories

PAUSE_SECONDS = 0.2
ZOMBIE = b"Z"
"""The state of a process that has ended and that its parent has not noticed (proc(5))."""
KILLED_SECONDS = 10.0
"""How long a killed process may take to end."""


class _Process(NamedTuple):
    program: InstalledProgram
    process: str
    """Its `identity`."""
    directory: Path


class EndOfOutlived:
    """Has ordered the processes of programs to stop that outlived their keepers; `wait` until they have ended."""

    def __init__(self, manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram]) -> None:
        self._began = time.monotonic()
        overlapping = [program for program in programs if program.overlap_max or _has_overlapped(manifest, program)]
        known = _known(controller, overlapping) if overlapping else []
        workers = [each for program, pid in known for each in _outlived(manifest, program, pid)]
        keepers = [each for program, pid in known for each in _keepers(manifest, program, pid)]
        if workers or keepers:
            # A program that another command or systemd has started meanwhile has another main process.
            mains = {pid for _, pid in _known(controller, overlapping)} - {None}
            workers, keepers = ([each for each in some if _is_unknown(each, mains)] for some in (workers, keepers))
        self._running = [*workers, *keepers]
        self.count = len(workers)
        for each in workers:
            _set_limit(each.directory)
            signal_process(each.process, signal.SIGTERM)
        for each in keepers:
            # One that is frozen ends after its processes, too.
            signal_process(each.process, signal.SIGCONT)

    def wait(self, progress: Progress) -> None:
        """Wait until they have ended; kill each at its stop timeout, with all processes below it."""
        killed: set[str] = set()
        while self._running:
            elapsed = time.monotonic() - self._began
            for each in self._running:
                seconds = each.program.stop_timeout_seconds
                if elapsed >= seconds and each.process not in killed:
                    killed.add(each.process)
                    _kill(each.process)
            left = [each for each in self._running if _is_running(each.process)]
            for each in self._running:
                if each not in left:
                    _remove(each.directory / slots.STOP)
            self._running = [] if left and elapsed > _limit(left) + KILLED_SECONDS else left
            for each in left[:1]:
                pid, seconds = each.process.split()[0], each.program.stop_timeout_seconds
                progress(f"{each.program.name}: stopping process {pid}, {elapsed:.0f} s of at most {seconds} s")
            if left:
                time.sleep(PAUSE_SECONDS)


def _has_overlapped(manifest: Manifest, program: InstalledProgram) -> bool:
    """Return whether a process may still run in a slot that an install has taken from `program`."""
    _, *further = run_directories(manifest, program)
    return any(os.path.lexists(each / slots.LOCK) for each in further)


def _outlived(manifest: Manifest, program: InstalledProgram, keeper: int | None) -> list[_Process]:
    overlapping = replace(program, overlap_max=program.overlap_max or 1)
    workers = outlived_by(manifest, overlapping, keeper)
    found = [_Process(program, identity(each.pid), each.directory) for each in workers]
    return [each for each in found if each.process]  # the others have just ended


def _keepers(manifest: Manifest, program: InstalledProgram, keeper: int | None) -> list[_Process]:
    process = identity(outlived_keeper(manifest, program, keeper))
    return [_Process(program, process, manifest.directories.run(program.name))] if process else []


def _known(controller: Controller, programs: Sequence[InstalledProgram]) -> list[tuple[InstalledProgram, int | None]]:
    """Return each of `programs` with its main process, of which the process manager knows."""
    # Without an answer, its main process would be taken for one that has outlived its keeper.
    states = zip(programs, controller.states(programs), strict=True)
    return [(program, state.pid) for program, state in states if state.state is not State.UNKNOWN]


def _is_unknown(process: _Process, mains: Collection[int | None]) -> bool:
    pid = int(process.process.split()[0])
    return pid not in mains and not any(main and is_child(pid, main) for main in mains)


def _limit(running: Sequence[_Process]) -> float:
    return max(each.program.stop_timeout_seconds for each in running)


def _set_limit(directory: Path) -> None:
    """Let SIGTERM have a limit for the worker of this run directory, which drains otherwise for as long as it takes."""
    # Without the file, on a full disk, it hands nothing back before it is killed.
    with suppress(OSError):
        os.close(os.open(directory / slots.STOP, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _kill(process: str) -> None:
    pids = tree_of(int(process.split()[0]), children_finder())
    # Its pool first: once it has lost its parent, its processes could not be found any more.
    for each in [identity(pid) for pid in reversed(pids)]:
        if each:
            signal_process(each, signal.SIGKILL)


def _is_running(process: str) -> bool:
    pid = int(process.split()[0])
    return identity(pid) == process and stat_fields(pid)[:1] != [ZOMBIE]
