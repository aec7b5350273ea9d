"""Tasks lost with their pool process are read from the worker's events, whose author is not trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from procman.monitoring.lost_in_pools import lost_in_pools
from procman.monitoring.lost_task import LostTask
from procman.monitoring.task_outcome import Fate, Outcome
from tests.monitoring.checks.records import MANIFEST, NAME, program

EVENT = {
    "at": 1000.0,
    "what": "lost",
    "reason": "pool process 7 ended with -9",
    "action": "gone",
    "tasks": ["shop.crop"],
    "task_ids": ["a"],
    "started": 990.0,
    "acknowledged": "early",
}


def read(directory: Path, event: object) -> list[LostTask]:
    manifest = replace(MANIFEST, directories=replace(MANIFEST.directories, state=directory))
    run = manifest.directories.run(NAME)
    run.mkdir(parents=True)
    (run / "events.jsonl").write_text(f"{json.dumps(event)}\n")
    return list(lost_in_pools(manifest, program()))


def test_task_is_read_from_its_event(tmp_path: Path) -> None:
    expected = LostTask(NAME, "a", "shop.crop", 990.0, False, EVENT["reason"], 1000.0, Fate(Outcome.GONE))  # type: ignore[arg-type]
    assert read(tmp_path, EVENT) == [expected]


@pytest.mark.parametrize(
    "changes",
    [
        {"what": "missed"},
        {"action": "elsewhere"},
        {"started": "x"},
        {"started": -1},
        {"acknowledged": []},
        {"tasks": []},
        {"task_ids": ["a", "b"]},
    ],
)
def test_any_other_event_is_left_out(tmp_path: Path, changes: dict[str, object]) -> None:
    assert read(tmp_path, {**EVENT, **changes}) == []
