"""The verdict on overlaps: it accepts a worker that always consumed, and rejects each way in which one can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contracts.trials.ground import Store
from tests.contracts.trials.overlap_verdict import Samples, Verdict, samples, verdict


def store(directory: Path, *, ready: tuple[float, ...], sent: float, began: float, runs: int = 1) -> Store:
    """Return a store of a worker whose first process stops at 20, and of one task."""
    lines = {
        "ready": [{"worker": "w", "at": at} for at in ready],
        "stopping": [{"worker": "w", "at": 20}],
        "sent": [{"id": "a", "at": sent}],
    }
    for name, found in lines.items():
        (directory / name).write_text("".join(f"{json.dumps(each)}\n" for each in found))
    for number in range(runs):
        path = directory / f"runs/a/w,{number},{began}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{began}\nend\n")
    return Store(directory)


def test_successor_that_is_ready_first_leaves_no_gap(tmp_path: Path) -> None:
    found = verdict(store(tmp_path, ready=(10, 19), sent=15, began=21), "w", ["a"])
    assert found == Verdict(1, [], [], [], 6)
    assert found.is_clean


def test_successor_that_is_ready_later_leaves_a_gap_in_which_a_task_waited(tmp_path: Path) -> None:
    found = verdict(store(tmp_path, ready=(10, 25), sent=22, began=26), "w", ["a"])
    assert found == Verdict(0, [5], [], ["a"], 4)
    assert not found.is_clean


@pytest.mark.parametrize(("sent", "began"), [(26, 27), (18, 19)])
def test_task_outside_the_gap_did_not_wait(tmp_path: Path, sent: float, began: float) -> None:
    assert verdict(store(tmp_path, ready=(10, 25), sent=sent, began=began), "w", ["a"]).waited_in_vain == []


def test_task_that_ran_twice_or_never_is_named(tmp_path: Path) -> None:
    found = verdict(store(tmp_path, ready=(10, 19), sent=15, began=21, runs=2), "w", ["a", "b"])
    assert found.not_once == ["a", "b"]


def test_samples_have_the_least_number_of_consumers(tmp_path: Path) -> None:
    lines = [{"at": at, "consumers": {"w": number}} for at, number in ((1, 1), (1.5, 0), (3.5, 2))]
    (tmp_path / "consumers").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    assert samples(Store(tmp_path), "w") == Samples(3, 0, 2)
