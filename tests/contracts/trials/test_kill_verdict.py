"""The verdict on kills: it accepts a correct account, and rejects each way in which one can be wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.contracts.trials.kill_verdict import Listed, Sent, stored, violations
from tests.contracts.trials.kills import Killed

TREE, CHILD, REBOOT = "1 10 whole tree", "1 10 pool child", "1 10 reboot"
"""A first kill at the time 10; tasks are listed as started at 5, if not otherwise said."""
SECOND = "kill w 2\nkilled w 2 20 worker\n"


def cut(kind: str = TREE) -> str:
    """Return the lines of a run that a kill interrupts."""
    return f"begins a 1\nbegan a 1\n{killed(kind)}"


def killed(kind: str = TREE) -> str:
    return f"kill w 1\nkilled w {kind}\n"


def run(number: int, task_id: str = "a") -> str:
    """Return the lines of a whole run."""
    return "".join(f"{what} {task_id} {number}\n" for what in ("begins", "began", "ended", "reported"))


def verdict(
    store: str, *listed: tuple[str, float], lost_by_broker: tuple[str, ...] = (), once: bool = True
) -> list[str]:
    entries = [Listed("w", "a", outcome, started) for outcome, started in listed]
    return violations({"a": Sent("w", once)}, stored(store.splitlines()), entries, lost_by_broker)


@pytest.mark.parametrize(
    ("store", "listed"),
    [
        (run(1), []),
        (run(1) + killed(), []),
        (cut(), [("gone", 5)]),
        (killed(), [("had not begun", 5)]),
        (killed(), [("may have finished", 5)]),
        (run(1) + killed(), [("may have finished", 5)]),
        (cut(REBOOT), [("may have finished", 5)]),
        (cut("1 10 worker"), [("may have finished", 5)]),
        # The main process has not noticed the death of its pool process.
        (cut(CHILD) + "kill w 2\nkilled w 2 14 reboot\n", [("may have finished", 5)]),
        # Its pool process ends a moment after the main process.
        (cut(), [("may have finished", 5), ("gone", 5)]),
        (cut() + run(2), [("redelivered", 5)]),
        (cut() + "begins a 2\nbegan a 2\n" + SECOND, [("redelivered", 5), ("gone", 15)]),
        (cut() + SECOND + run(2), [("sent again", 5), ("handed back", 15)]),
        (cut() + SECOND, [("redelivered", 5), ("had not begun", 15)]),
        # Between the begin of its preparation by Celery and the first line of the task, either is right.
        ("begins a 1\n" + killed(), [("gone", 5)]),
        ("begins a 1\n" + killed(), [("had not begun", 5)]),
        # So it is between the last line of a task and the report of its end.
        ("begins a 1\nbegan a 1\nended a 1\n" + killed(), [("gone", 5)]),
        ("begins a 1\nbegan a 1\nended a 1\n" + killed(), [("may have finished", 5)]),
        # The process noticed late that its child was dead, and the next run had begun.
        ("begins a 1\nbegan a 1\nkill w 1\n" + run(2) + f"killed w {CHILD}\n", [("redelivered", 5)]),
    ],
)
def test_correct_account_has_no_violation(store: str, listed: list[tuple[str, float]]) -> None:
    assert verdict(store, *listed) == []


@pytest.mark.parametrize(
    ("store", "listed", "wrong"),
    [
        ("", [], "neither done nor listed"),
        (cut(), [], "neither done nor listed"),
        (run(1) + killed(), [("gone", 5)], "listed as gone by kill 1 (whole tree), but it has ended"),
        (run(1) + cut().replace(" 1\n", " 2\n", 2), [("gone", 15)], "listed as gone, but no kill followed its start"),
        # It was another kill that interrupted it.
        (run(1) + killed() + SECOND, [("gone", 15)], "listed as gone by kill 2 (worker), but it had not begun"),
        (cut() + run(2) + SECOND, [("gone", 15)], "listed as gone by kill 2 (worker), but it has ended"),
        (killed() + run(1), [("gone", 5)], "listed as gone by kill 1 (whole tree), but it had not begun"),
        (cut(), [("had not begun", 5)], "listed as had not begun by kill 1 (whole tree), but it had begun"),
        (killed() + run(1), [("had not begun", 5)], "listed as had not begun by kill 1 (whole tree), but it ran again"),
        (cut() + run(2), [("gone", 5)], "listed as gone by kill 1 (whole tree), but it ran again"),
        (
            cut(CHILD),
            [("may have finished", 5)],
            "listed as may have finished by kill 1 (pool child), but it was known that it had not",
        ),
        *(
            (
                f"{cut(CHILD)}kill w 2\nkilled w 2 {later}\n",
                [("may have finished", 5)],
                "listed as may have finished by kill 1 (pool child), but it was known that it had not",
            )
            for later in ("21 reboot", "14 worker")
        ),
        (run(1), [("may have finished", 5)], "listed as may have finished, but no kill followed its start"),
        (
            run(1) + killed(),
            [("redelivered", 5)],
            "listed as redelivered by kill 1 (whole tree), but it was not run again",
        ),
        (run(1) + killed(), [("lost", 5)], "listed with the unknown outcome lost"),
        (cut() + "begins a 2\n", [("redelivered", 5)], "listed as redelivered, but it was not run again to its end"),
    ],
)
def test_wrong_account_is_a_violation(store: str, listed: list[tuple[str, float]], wrong: str) -> None:
    assert f"a: {wrong}" in verdict(store, *listed)


def test_task_that_was_never_sent_or_is_of_another_worker_is_a_violation() -> None:
    store = stored((run(1) + run(2, "b") + killed()).splitlines())
    listed = [Listed("v", "a", "may have finished", 5), Listed("w", "b", "may have finished", 5)]
    assert violations({"a": Sent("w")}, store, listed) == [
        "b: listed, but never sent",
        "a: listed for v, which cannot have had it",
    ]


def test_redis_may_run_a_task_twice_that_a_worker_held_for_too_long() -> None:
    assert verdict(cut() + run(2), ("gone", 5), once=False) == []


@pytest.mark.parametrize(
    ("store", "listed"), [("", []), (cut(), [("redelivered", 5)]), (cut() + "begins a 2\n", [("redelivered", 5)])]
)
def test_nothing_runs_a_task_whose_message_the_broker_has_lost(store: str, listed: list[tuple[str, float]]) -> None:
    assert verdict(store, *listed) != []
    assert verdict(store, *listed, lost_by_broker=("a",)) == []


@pytest.mark.parametrize("listed", ["gone", "had not begun"])
def test_lost_message_excuses_no_wrong_listing(listed: str) -> None:
    store = run(1) + killed()
    assert verdict(store, (listed, 5), lost_by_broker=("a",)) == verdict(store, (listed, 5)) != []


def lost_by_redis(never_noted: dict[str, int], *kinds: str) -> list[str]:
    kills = "".join(killed(f"{number} 10 {kind}").replace("w 1", f"w {number}") for number, kind in enumerate(kinds, 1))
    lines = (kills + "kill v 1\nkilled v 1 10 reboot\n").splitlines()
    sent = dict.fromkeys(("a", "b"), Sent("w", is_delivered_once=False))
    return Killed(sent=sent, lines=lines, never_noted=Counter(never_noted)).lost_by_redis


def test_kill_of_a_main_process_excuses_one_message_of_its_queue() -> None:
    assert lost_by_redis({"a": 1}, "worker") == ["a"]
    assert lost_by_redis({"a": 1, "b": 1}, "whole tree", "reboot") == ["a", "b"]
    assert lost_by_redis({"a": 1, "b": 1}, "worker") == []
    assert lost_by_redis({"a": 2}, "worker") == []
    assert lost_by_redis({"a": 1}, "pool child", "pool child out of memory") == []
