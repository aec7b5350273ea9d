"""A loop over a table reports every case that fails, and a test needs no argument for what the table provides."""

from __future__ import annotations

import inspect

import pytest

from tests.tables import for_each


def test_every_case_that_fails_is_reported_and_the_others_run() -> None:
    ran = []

    @for_each(("one", "two"), [(1, 1), (2, 3), (4, 4), (5, 6)])
    def compare(one: int, two: int) -> None:
        ran.append(one)
        assert one == two, "they differ"

    with pytest.raises(AssertionError, match=r"(?s)2 of 4 cases fail.*'one': 2.*they differ.*'one': 5") as caught:
        compare()
    assert ran == [1, 2, 4, 5]
    assert isinstance(caught.value.__cause__, AssertionError)


def test_exception_that_is_missing_is_a_failure() -> None:
    @for_each("value", ["x", "1"])
    def refuse(value: str) -> None:
        with pytest.raises(ValueError, match="invalid"):
            int(value)

    with pytest.raises(AssertionError, match="1 of 2 cases fail"):
        refuse()


def test_two_tables_give_every_combination_and_other_arguments_remain() -> None:
    ran = []

    @for_each("one", "ab")
    @for_each("two", "cd")
    def collect(one: str, two: str, other: str) -> None:
        ran.append(one + two + other)

    assert list(inspect.signature(collect).parameters) == ["other"]
    collect(other="!")
    assert ran == ["ac!", "ad!", "bc!", "bd!"]
