"""What a handback from another thread passes to its script."""

from __future__ import annotations

import json
from typing import Any

import pytest

from procman.agent.handback_broker import _fitting

EVENT = {"what": "handed-back", "tasks": ["mysite.work"]}


@pytest.mark.parametrize(
    ("tags", "capacity", "left"),
    [
        ([], 1000, []),
        (["a" * 36], 1000, ["a" * 36]),
        (["a" * 2000], 1000, []),
        (["a" * 36, "b" * 2000], 1000, ["a" * 36]),
        (["a" * 36] * 100, 1000, ["a" * 36] * 22),
        (["a"] * 3 + ["b" * 900] * 9, 1000, ["a"] * 3),
    ],
    ids=["none", "one", "one that is too long", "a long one last", "many", "of different lengths"],
)
def test_last_messages_are_left_out_if_a_pipe_cannot_hold_all(tags: list[str], capacity: int, left: list[str]) -> None:
    order: dict[str, Any] = {"tags": tags, "acknowledged": [], "events": [EVENT]}
    content = _fitting(order, capacity)
    assert len(content) <= capacity
    assert json.loads(content) == {**order, "tags": left}


def test_order_without_tags_that_is_larger_than_a_pipe_is_an_error() -> None:
    with pytest.raises(OSError, match="larger than a pipe"):
        _fitting({"tags": ["a"], "events": [EVENT] * 100}, 1000)
