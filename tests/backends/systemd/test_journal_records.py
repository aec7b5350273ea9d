"""The history of a unit's runs is read from what systemd 252 logs, here as recorded on a booted host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from procman.backends.systemd.journal_records import histories_in, query
from procman.model import RunHistory, Scope
from tests.tables import for_each

UNIT = "shop-celery.service"

NOON = 1_795_953_600.0

STARTING = {"MESSAGE_ID": "7d4958e842da4a758f6c1cdc7b36dcc5"}
STARTED = {"MESSAGE_ID": "39f53479d3a045ac8e11786248231fbf"}
STOPPING = {"MESSAGE_ID": "de5b426a63be47a7b6ac3eaac82e2f6f"}
STOPPED = {"MESSAGE_ID": "9d1aaa27d60140bd96365438aad20286"}
AGAIN = {"MESSAGE_ID": "5eb03494b6584870a536b337290809b3"}
SUCCEEDED = {"MESSAGE_ID": "7ad2d189f7e94e70a38c781354912448"}
OUT_OF_MEMORY = {"MESSAGE_ID": "fe6faa94e7774663a0da52717891d8ef"}
EXITED_1 = {"MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15", "EXIT_CODE": "exited", "EXIT_STATUS": "1"}
KILLED = {"MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15", "EXIT_CODE": "killed", "EXIT_STATUS": "9"}
ABORTED = {"MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15", "EXIT_CODE": "dumped", "EXIT_STATUS": "6"}


def failed(result: str) -> dict[str, str]:
    return {"MESSAGE_ID": "d9b373ed55a64feb8242e02dbe79a49c", "UNIT_RESULT": result}


UP = [(0, STARTING), (5, STARTED)]
RESTARTED = [(92, AGAIN), (92, STOPPED), (92, STARTING), (97, STARTED)]
FAILING = [(1, EXITED_1), (1, failed("exit-code")), (3, AGAIN), (3, STOPPED), (3, STARTING)]


def read(*messages: tuple[float, dict[str, str]], field: str = "UNIT") -> RunHistory:
    lines = [
        json.dumps({"__REALTIME_TIMESTAMP": str(int((NOON + at) * 1e6)), field: UNIT, **message})
        for at, message in messages
    ]
    return histories_in(["", "{", *lines], [UNIT])[UNIT]


def ends(found: RunHistory) -> list[tuple[float, str, bool]]:
    return [(end.at - NOON, end.how, end.by_kernel) for end in found.unordered]


@for_each("field", ["UNIT", "USER_UNIT"])
@for_each(
    ("messages", "expected"),
    [
        ([(90, KILLED), (90, failed("signal"))], (90, "killed by SIGKILL", False)),
        ([(90, EXITED_1), (90, failed("exit-code"))], (90, "exit status 1", False)),
        ([(90, SUCCEEDED)], (90, "exit status 0", False)),
        ([(90, ABORTED), (90, failed("watchdog"))], (90, "killed by systemd's watchdog: it hung", False)),
        ([(90, KILLED), (90, failed("oom-kill"))], (90, "killed by SIGKILL", True)),
        ([(89, OUT_OF_MEMORY), (90, KILLED), (90, failed("signal"))], (90, "killed by SIGKILL", True)),
        ([(30, OUT_OF_MEMORY), (90, KILLED), (90, failed("signal"))], (90, "killed by SIGKILL", False)),
    ],
)
def test_end_has_time_and_signal_or_exit_status(messages: Any, expected: tuple[float, str, bool], field: str) -> None:
    found = read(*UP, *messages, *RESTARTED, field=field)
    assert ends(found) == [expected]
    assert (found.restarts, found.failures) == (1, 0)


def test_ordered_stop_or_restart_is_no_end() -> None:
    found = read(*UP, (90, STOPPING), (91, SUCCEEDED), (91, STOPPED), (91, STARTING), (96, STARTED))
    assert (found.ends, found.restarts, found.ordered) == ((), 0, NOON + 91)


def test_kill_at_the_stop_timeout_is_a_forced_end() -> None:
    found = read(*UP, (90, STOPPING), (92, KILLED), (92, failed("timeout")), (92, STOPPED))
    assert [(end.how, end.is_forced) for end in found.ends] == [
        ("killed: it did not stop within its stop timeout", True)
    ]
    assert found.unordered == ()


@pytest.mark.parametrize(
    ("result", "forced"), [("signal", []), ("timeout", ["killed: it did not stop within its stop timeout"])]
)
def test_stop_during_a_reload_is_no_end_although_systemd_does_not_announce_it(result: str, forced: list[str]) -> None:
    found = read(*UP, (90, KILLED), (90, failed(result)), (90.01, STOPPED))
    assert ([end.how for end in found.ends], found.unordered) == (forced, ())


def test_runs_that_end_early_are_counted() -> None:
    again = [(at + 3, message) for at, message in FAILING]
    found = read((0, STARTING), *FAILING, *again)
    assert (found.restarts, found.failures) == (2, 2)


@pytest.mark.parametrize("order", [[(2, STOPPED), (60, STARTING)], [(2, STARTING)], [(2, STOPPED), (2, STARTING)]])
def test_order_out_of_the_pause_before_an_automatic_restart_resets_the_counts(order: Any) -> None:
    """systemd 252 keeps NRestarts= then, and logs no "Stopping" either."""
    found = read((0, STARTING), (1, EXITED_1), (1, failed("exit-code")), *order)
    assert (found.restarts, found.failures, found.unordered) == (0, 0, ())


@pytest.mark.parametrize(
    ("scope", "fields"), [(Scope.SYSTEM, {"_PID=1", f"UNIT={UNIT}"}), (Scope.USER, {f"USER_UNIT={UNIT}"})]
)
def test_only_messages_of_systemd_itself_are_asked_for(scope: Scope, fields: set[str]) -> None:
    """A service could log that it was killed."""
    words = query([UNIT], scope, NOON + 0.5)
    assert f"--since=@{int(NOON)}" in words
    assert {word for word in words if "=" in word and not word.startswith(("--", "MESSAGE_ID"))} == fields
