"""Calls in threads: results and errors as from a plain call, several at once, and a timeout (R10)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from procman.background import Background, batches, side_by_side
from procman.errors import ProcmanError


def test_only_result_waits_for_the_call() -> None:
    called, may_go_on = threading.Event(), threading.Event()

    def answer() -> int:
        called.set()
        assert may_go_on.wait(60)
        return 7

    background = Background(answer)
    assert called.wait(60)
    may_go_on.set()
    assert background.result() == 7


def test_result_in_time_is_returned() -> None:
    assert Background(lambda: 7).result(60) == 7


def test_result_may_be_none() -> None:
    assert Background(lambda: None).result(60) is None


@pytest.mark.parametrize("timeout", [None, 60])
def test_error_is_raised_by_result(timeout: float | None) -> None:
    background = Background(lambda: (_ for _ in ()).throw(ProcmanError("as it was")))
    with pytest.raises(ProcmanError, match="as it was"):
        background.result(timeout)


def test_call_that_exceeds_the_timeout_is_abandoned() -> None:
    reader, writer = os.pipe()
    with pytest.raises(ProcmanError, match=r"no result within 0.1 s"):
        Background(lambda: os.read(reader, 1)).result(0.1)
    os.close(writer)


def test_process_ends_although_a_disk_blocks_its_thread(tmp_path: Path) -> None:
    """Opening a pipe without a writer blocks, as a dead disk does."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = f"from procman.background import Background; Background(lambda: open({str(pipe)!r}).read()).result(0.5)"
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "no result within 0.5 s" in done.stderr
    assert time.monotonic() - begun < 50


@pytest.mark.parametrize(("size", "expected"), [(1, ["w", "w", "w", "b"]), (2, ["ww", "w", "b"]), (9, ["www", "b"])])
def test_different_items_are_never_in_one_batch(size: int, expected: list[str]) -> None:
    assert ["".join(batch) for batch in batches("wwwb", size, lambda kind: kind)] == expected


def test_calls_run_while_another_waits() -> None:
    both = threading.Barrier(2, timeout=60)
    assert sorted(side_by_side([both.wait, both.wait])) == [0, 1]


def test_results_are_yielded_as_calls_end() -> None:
    first_is_seen = threading.Event()
    ended = side_by_side([lambda: first_is_seen.wait(60) and "second", lambda: "first"])
    assert next(ended) == "first"
    first_is_seen.set()
    assert list(ended) == ["second"]


def test_error_of_a_call_is_raised_and_a_single_call_runs_in_the_callers_thread() -> None:
    assert list(side_by_side([threading.current_thread])) == [threading.current_thread()]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side([lambda: 1 / 0, lambda: 1.0]))
    assert list(side_by_side([])) == []
