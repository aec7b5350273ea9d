"""Work side by side: each in its own thread, results as they come, and nobody waited for who is interrupted."""

from __future__ import annotations

import threading

import pytest

from procman.commands.side_by_side import batches, side_by_side


@pytest.mark.parametrize(("size", "expected"), [(1, ["w", "w", "w", "b"]), (2, ["ww", "w", "b"]), (9, ["www", "b"])])
def test_unlike_ones_are_never_in_one_batch(size: int, expected: list[str]) -> None:
    assert ["".join(batch) for batch in batches("wwwb", size, lambda kind: kind)] == expected


def test_each_goes_on_while_another_waits() -> None:
    both = threading.Barrier(2, timeout=60)
    assert sorted(side_by_side([both.wait, both.wait])) == [0, 1]


def test_the_first_to_end_is_the_first_told() -> None:
    told = threading.Event()
    ended = side_by_side([lambda: told.wait(60) and "second", lambda: "first"])
    assert next(ended) == "first"
    told.set()
    assert list(ended) == ["second"]


def test_an_error_is_raised_and_a_single_one_stays_in_its_thread() -> None:
    assert list(side_by_side([threading.current_thread])) == [threading.current_thread()]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side([lambda: 1 / 0, lambda: 1.0]))
    assert list(side_by_side([])) == []
