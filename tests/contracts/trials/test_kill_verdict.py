"""The verdict on kills: it accepts a correct account, and rejects each way in which one can be wrong."""

from __future__ import annotations

import pytest

from tests.contracts.trials.kill_verdict import stored, violations


def verdict(store: str, *listed: tuple[str, str]) -> list[str]:
    return violations({"a"}, stored(store.splitlines()), listed)


@pytest.mark.parametrize(
    ("store", "listed"),
    [
        ("began a\nended a", []),
        ("began a", [("a", "gone")]),
        ("", [("a", "had not begun")]),
        ("", [("a", "may have finished")]),
        ("began a", [("a", "may have finished")]),
        ("began a\nended a", [("a", "may have finished")]),
        ("began a\nbegan a\nended a", [("a", "redelivered")]),
        ("began a\nbegan a", [("a", "redelivered"), ("a", "gone")]),
        ("began a\nended a", [("a", "sent again"), ("a", "handed back")]),
    ],
)
def test_correct_account_has_no_violation(store: str, listed: list[tuple[str, str]]) -> None:
    assert verdict(store, *listed) == []


@pytest.mark.parametrize(
    ("store", "listed", "wrong"),
    [
        ("", [], "a: neither done nor listed"),
        ("began a", [], "a: neither done nor listed"),
        ("began a\nended a", [("a", "gone")], "a: listed as gone, but it has ended"),
        ("", [("a", "gone")], "a: listed as gone, but it had not begun"),
        ("began a", [("a", "had not begun")], "a: listed as not begun, but it had begun"),
        ("began a", [("a", "redelivered")], "a: listed as redelivered, but it was not run again to its end"),
        ("", [("a", "sent again")], "a: listed as sent again, but it was not run again to its end"),
        ("began a\nended a", [("a", "lost")], "a: listed with the unknown outcome lost"),
        ("began a\nended a", [("b", "gone")], "b: listed, but never sent"),
    ],
)
def test_wrong_account_is_a_violation(store: str, listed: list[tuple[str, str]], wrong: str) -> None:
    assert verdict(store, *listed) == [wrong]
