"""The ends of the processes of a worker that overlaps: its keeper notes them, the process manager records its own."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from procman.backends.run_history import FORCED
from procman.install.state.manifest import Manifest
from procman.model import End, InstalledProgram, RunHistory, State
from procman.monitoring.ends import is_of
from procman.monitoring.kept import as_kept
from procman.monitoring.kept_ends import histories
from tests.monitoring.checks.records import program, state

PROGRAM = program(name="catmaid-celery", overlap_max=2)
NOW = time.time()
KEEPER, WORKER = 2**22 + 7, 2**22 + 8
"""Above the kernel's greatest pid."""


class Controller:
    """Has recorded how keepers ended."""

    def __init__(self, *ends: End) -> None:
        self._ends = ends
        self.since = 0.0

    def histories(self, programs: object, since: float) -> dict[str, RunHistory]:
        self.since = since
        return {PROGRAM.name: RunHistory(ends=self._ends)} if self._ends else {}


def noted(**changed: Any) -> dict[str, Any]:
    usual = {"pid": WORKER, "started": NOW - 90, "at": NOW - 50, "how": "killed by SIGABRT", "is_forced": False}
    return {**usual, "keeper": KEEPER, "is_last": False, **changed}


def describe(manifest: Manifest, *ends: Any, overlap: Mapping[str, Any] | None = None) -> None:
    usual = {"number": 0, "outcome": "done", "reason": "", "since": 0.0}
    found: dict[str, Any] = {
        "format": 1,
        "pid": KEEPER,
        "current": None,
        "overlap": overlap or usual,
        "workers": [],
        "ends": ends,
    }
    (manifest.directories.run(PROGRAM.name) / "keeper.json").write_text(json.dumps(found))


def found(manifest: Manifest, *recorded: End, of: InstalledProgram = PROGRAM) -> tuple[End, ...]:
    controller: Any = Controller(*recorded)
    return histories(manifest, controller, [of], 0.0).get(of.name, RunHistory()).ends


def test_end_beside_a_running_keeper_is_that_of_the_program(manifest: Manifest) -> None:
    describe(manifest, noted())
    assert found(manifest) == (End(NOW - 50, "killed by SIGABRT", WORKER, NOW - 90),)


def test_end_of_the_last_process_takes_the_place_of_the_keepers_own(manifest: Manifest) -> None:
    describe(manifest, noted(how="killed by SIGKILL", is_last=True))
    recorded = End(NOW - 49, "killed by SIGKILL", KEEPER, NOW - 99, by_kernel=True, is_repeated=True)
    [end] = found(manifest, recorded)
    assert (end.at, end.pid, end.started, end.by_kernel, end.is_repeated) == (NOW - 50, WORKER, NOW - 90, True, True)


@pytest.mark.parametrize("changed", [{"keeper": 5}, {"at": NOW - 60}, {"is_last": False}])
def test_other_ends_of_keepers_remain(manifest: Manifest, changed: dict[str, Any]) -> None:
    describe(manifest, noted(**{"is_last": True, **changed}))
    assert len(found(manifest, End(NOW - 49, "killed by SIGKILL", KEEPER, NOW - 99))) == 2


def test_end_of_a_keeper_is_that_of_all_its_processes(manifest: Manifest) -> None:
    [end] = found(manifest, End(NOW, "killed by SIGKILL", KEEPER, NOW - 100))
    assert is_of(end, WORKER, NOW - 50)
    assert not is_of(end, WORKER, NOW - 200)


def test_start_of_a_keeper_before_its_worker_is_read(manifest: Manifest) -> None:
    controller: Any = Controller()
    histories(manifest, controller, [PROGRAM], 1000.0)
    assert controller.since < 1000 - 60
    histories(manifest, controller, [program(name="catmaid-celery")], 1000.0)
    assert controller.since == 1000


def test_drainer_that_was_killed_at_its_stop_timeout_has_been_forced(manifest: Manifest) -> None:
    describe(manifest, noted(how="killed by SIGKILL", is_forced=True))
    [end] = found(manifest)
    assert (end.how, end.is_forced) == (FORCED, True)


STRANGE: tuple[dict[str, Any], ...] = (
    {"how": "\x1b[2J"},
    {"how": "killed by " + "x" * 100},
    {"at": NOW + 10 * 86400},
    {"pid": "x"},
    {"at": []},
)


@pytest.mark.parametrize("entry", [5, {}, *(noted(**changed) for changed in STRANGE)])
def test_entry_that_no_keeper_writes_is_ignored(manifest: Manifest, entry: Any) -> None:
    describe(manifest, entry, noted())
    assert len(found(manifest)) == 1


def test_program_without_overlap_keeps_its_history(manifest: Manifest) -> None:
    describe(manifest, noted())
    alone, recorded = program(name="catmaid-celery"), End(NOW, "exit status 1", KEEPER)
    assert found(manifest, recorded, of=alone) == (recorded,)


def test_state_has_the_ends_since_the_last_overlap(manifest: Manifest) -> None:
    describe(manifest, noted(), noted(keeper=5))
    kept = state(State.RUNNING, KEEPER)
    assert [end.pid for end in as_kept(manifest, PROGRAM, kept).state.history.ends] == [WORKER]
    describe(manifest, noted(), overlap={"number": 1, "outcome": "done", "reason": "", "since": time.monotonic()})
    assert as_kept(manifest, PROGRAM, kept).state.history.ends == ()
