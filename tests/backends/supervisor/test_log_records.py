"""The history of a program's runs is read from supervisord's log, together with procman's record of its own orders."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from procman.backends.supervisor.log_records import histories_in, running_at_the_end
from procman.install.state.orders import Orders
from procman.model import RunHistory
from tests.backends.supervisor.real_supervisord import installed
from tests.tables import for_each

NOON = 1_795_953_600.0
"""As every time in a parameter, in seconds since the epoch."""

EXITED = "exited: a (exit status 1; not expected)"
KILLED = "exited: a (terminated by SIGKILL; not expected)"
STOPPED = "stopped: a (terminated by SIGTERM)"
UP = "success: a entered RUNNING state, process has stayed up for > than 10 seconds (startsecs)"
GAVE_UP = "gave up: a entered FATAL state, too many start retries too quickly"


def spawned(name: str = "a", pid: int = 7) -> str:
    return f"spawned: '{name}' with pid {pid}"


def log(*messages: tuple[float, str]) -> str:
    """Return supervisord's log with each message that many seconds after noon."""
    return "".join(f"{_clock(NOON + at)} INFO {message}\n" for at, message in messages)


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(at))) + f",{round(at % 1 * 1000):03d}"


def crash_loop(attempts: int, start: float = 0.0) -> list[tuple[float, str]]:
    """Return the records of a program whose every process lives for two seconds; supervisord waits longer each time."""
    found, at = [], start
    for pause in range(1, attempts + 1):
        found += [(at, spawned()), (at + 2, EXITED)]
        at += 2 + pause + 0.4
    return found


def history(text: str, orders: Orders | None = None, start_seconds: int = 10, **info: Any) -> RunHistory | None:
    program = replace(installed("a"), start_seconds=start_seconds)
    infos: list[Any] = [{"name": "a", **info}] if info else []
    return histories_in(text, [program], infos, {"a": orders} if orders else {}).get("a")


def counts(found: RunHistory | None) -> tuple[int, int] | None:
    """Return the counts; None for a program that has not ended by itself, so that its counts are zero."""
    return None if found is None else (found.restarts, found.failures)


@for_each(
    ("messages", "expected"),
    [
        ([], None),
        ([(0, spawned())], None),
        ([(0, spawned()), (2, EXITED)], (0, 1)),
        ([(0, spawned()), (2, EXITED), (3.4, spawned())], (1, 1)),
        (crash_loop(4), (3, 4)),
        ([(0, spawned()), (11, UP), (90, EXITED), (90.5, spawned())], (1, 0)),
        ([(0, spawned()), (11, UP), (30, EXITED), (30.5, spawned())], (1, 1)),
        ([*crash_loop(3), (13, spawned()), (23, UP), (90, EXITED), (91, spawned())], (4, 0)),
        ([*crash_loop(3), (13, spawned()), (14, STOPPED)], (0, 0)),
        ([*crash_loop(3), (13, spawned()), (14, STOPPED), (20, spawned())], (0, 0)),
        ([(0, EXITED), (1.4, spawned())], (1, 0)),
        ([(0, spawned()), (2, EXITED), (3.4, "supervisord started with pid 4"), (4, spawned())], (0, 0)),
        ([(0, spawned()), (2, "spawnerr: exited: a")], (0, 0)),
        ([(0, spawned()), (2, EXITED), (3, spawned("b"))], (0, 1)),
        ([(0, "exited: b (exit status 1; not expected)"), (1, spawned())], None),
    ],
)
def test_restarts_and_failed_runs_are_counted(
    messages: Iterable[tuple[float, str]], expected: tuple[int, int] | None
) -> None:
    assert counts(history(log(*messages))) == expected


def test_line_that_is_cut_counts_for_nothing() -> None:
    assert counts(history("xited: a (exit status 1; not expected)\n" + log((0, spawned())))) is None


@pytest.mark.parametrize("waited", [0.5, 2.5, 9.0, 400.0])
def test_start_out_of_backoff_at_another_moment_than_supervisords_own_attempt_was_an_order(waited: float) -> None:
    """supervisord logs no stop of a program in BACKOFF. Its next attempt is due three seconds after the third end."""
    messages = crash_loop(3)
    ordered = messages[-1][0] + waited
    assert counts(history(log(*messages, (ordered, spawned())))) == (0, 0)
    assert counts(history(log(*messages, (ordered, spawned()), (ordered + 2, EXITED)))) == (0, 1)


def test_restarts_after_an_order_out_of_backoff_are_counted() -> None:
    messages = [*crash_loop(3), *crash_loop(3, 11.0)]
    assert counts(history(log(*messages))) == (2, 3)


def test_order_of_procman_counts_even_at_the_moment_of_an_attempt() -> None:
    messages = [*crash_loop(3), (13.2, spawned())]
    assert counts(history(log(*messages))) == (3, 3)
    assert counts(history(log(*messages), Orders(ordered=NOON + 13.1))) == (0, 0)
    assert counts(history(log(*messages), Orders(ordered=NOON + 5))) == (2, 2)


def test_order_to_stop_in_backoff_ends_the_crash_loop() -> None:
    assert counts(history(log(*crash_loop(3)), Orders(ordered=NOON + 11))) == (0, 0)


@pytest.mark.parametrize(("retried", "expected"), [(None, (0, 0)), (30.0, (3, 3))])
def test_start_after_supervisord_gave_up_is_an_order_unless_the_watcher_gave_it(
    retried: float | None, expected: tuple[int, int]
) -> None:
    messages = [*crash_loop(3), (11, GAVE_UP), (30.2, spawned())]
    orders = None if retried is None else Orders(retried=NOON + retried)
    assert counts(history(log(*messages), orders)) == expected


def test_program_without_start_seconds_is_up_at_once() -> None:
    messages = [(0, spawned()), (2, EXITED), (2.5, spawned()), (4, EXITED), (4.5, spawned())]
    assert counts(history(log(*messages), start_seconds=0)) == (2, 2)


def test_ends_have_time_signal_or_exit_status_and_pid() -> None:
    found = history(log((0, spawned()), (11, UP), (90.25, KILLED), (91, spawned(pid=8)), (93, EXITED)))
    assert found is not None
    assert [(end.at - NOON, end.how, end.pid) for end in found.unordered] == [
        (90.25, "killed by SIGKILL", 7),
        (93, "exit status 1", 8),
    ]


@pytest.mark.parametrize(("how", "told"), [("exit status 1", 1), ("terminated by SIGKILL", 3)])
def test_first_ends_of_a_crash_loop_are_told_apart_from_it(how: str, told: int) -> None:
    messages = [(at, text.replace("exit status 1", how)) for at, text in crash_loop(5)]
    found = history(log(*messages))
    assert found is not None
    assert [end.is_repeated for end in found.ends] == [False] * told + [True] * (5 - told)


def test_ordered_stop_is_no_end_unless_it_was_forced() -> None:
    assert history(log((0, spawned()), (11, UP), (90, STOPPED), (91, spawned(pid=8)), (99, STOPPED))) is None
    forced = [(0, spawned()), (90, "killing 'a' (7) with SIGKILL"), (90, "stopped: a (terminated by SIGKILL)")]
    found = history(log(*forced, (91, spawned(pid=8))))
    assert found is not None
    assert [(end.how, end.pid) for end in found.ends] == [("killed: it did not stop within its stop timeout", 7)]
    assert found.unordered == ()


def test_times_are_right_if_supervisord_has_another_time_zone() -> None:
    found = history(log((0, spawned()), (11, UP), (90, KILLED), (91, spawned(pid=8))), pid=8, start=NOON + 91 + 7200)
    assert found is not None
    assert found.ends[0].at == NOON + 90 + 7200


def test_times_are_those_of_the_given_zone() -> None:
    text = log((0, spawned()), (11, UP), (90, KILLED))
    zone = timezone(timedelta(seconds=time.localtime(NOON).tm_gmtoff - 3600))
    found = histories_in(text, [installed("a")], [], {}, zone)["a"]
    assert [end.at for end in found.ends] == [NOON + 90 + 3600]
    assert running_at_the_end(log((0, spawned())), zone) == {"a": NOON + 3600}


ENDING = "waiting for a, b to die"


@pytest.mark.parametrize(
    ("messages", "running"),
    [
        pytest.param([(0, spawned()), (11, UP)], {"a": NOON}, id="it ran"),
        pytest.param([(0, spawned()), (5, spawned("b", 8)), (9, STOPPED)], {"b": NOON + 5}, id="one was stopped"),
        pytest.param([(0, spawned()), (2, EXITED)], {}, id="it waited for its next attempt"),
        pytest.param([(0, spawned()), (2, EXITED), (3, spawned(pid=8))], {"a": NOON + 3}, id="it was restarted"),
        pytest.param([(0, spawned()), (9, ENDING), (10, STOPPED)], {"a": NOON}, id="supervisord was ordered to end"),
        pytest.param([(0, spawned()), (9, "supervisord started with pid 9")], {}, id="another supervisord"),
    ],
)
def test_programs_that_ran_until_their_supervisord_ended(messages: Any, running: dict[str, float]) -> None:
    assert running_at_the_end(log(*messages)) == running
