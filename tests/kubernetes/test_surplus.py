"""How the trials on a real Kubernetes count the ticks of a second beat."""

from __future__ import annotations

import pytest

from tests.kubernetes.trials import surplus


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ("", 0),
        ("aaaa", 0),
        ("aabb", 0),
        ("aabbcc", 0),
        ("aababab", 2),
        ("aaba", 1),
        ("aabaaabb", 3),
    ],
)
def test_ticks_of_a_beat_that_another_has_followed_are_surplus(beats: str, expected: int) -> None:
    assert surplus([*beats]) == expected
