"""The state of a program is derived from supervisord's answers and its log."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest

from procman.backends.supervisor.states import desired, ended, program_states
from procman.model import State
from tests.backends.supervisor.real_supervisord import installed
from tests.tables import for_each


def info(statename: str, **values: Any) -> dict[str, Any]:
    """Return supervisord's answer for a program that was started at 100, with other `values`."""
    usual = {"name": "a", "group": "a", "start": 100, "stop": 0, "now": 500, "pid": 0, "exitstatus": 0, "spawnerr": ""}
    return usual | {"statename": statename} | values


@for_each(
    ("answer", "expected"),
    [
        (info("RUNNING", pid=5), True),
        (info("STARTING", pid=5), True),
        (info("BACKOFF"), True),
        (info("FATAL"), True),
        (info("EXITED"), True),
        (info("UNKNOWN"), True),
        (info("STOPPING", pid=5), False),
        (info("STOPPED"), False),
        (info("STOPPED", start=0), True),
    ],
)
def test_only_a_stop_on_purpose_changes_the_desired_state(answer: dict[str, Any], expected: bool) -> None:
    assert desired(answer, autostart=True) is expected


@for_each(
    ("answer", "expected"),
    [
        (info("STOPPED"), True),
        (info("FATAL"), True),
        (info("EXITED", stop=500), False),
        (info("EXITED", stop=498), False),
        (info("EXITED", stop=490), True),
        (info("RUNNING"), False),
        (info("STOPPING"), False),
        (info("BACKOFF"), False),
    ],
)
def test_program_that_supervisord_may_restart_has_not_ended(answer: dict[str, Any], expected: bool) -> None:
    assert ended(answer) is expected


@for_each(
    ("answer", "since", "detail"),
    [
        (info("RUNNING", pid=5, stop=90), 100, ""),
        (info("STOPPING", pid=5, stop=90), 100, ""),
        (info("STOPPED", stop=200), 200, ""),
        (info("STOPPED", start=0), None, "not started yet"),
        (info("EXITED", stop=200, exitstatus=3), 200, "exit status 3"),
        (info("EXITED", stop=200, exitstatus=-1), 200, "killed by a signal"),
        (info("FATAL", spawnerr="can't find command 'x'"), 100, "can't find command 'x'"),
        (info("BACKOFF", spawnerr=""), 100, "supervisord gives no reason"),
        # The clock was set back.
        (info("RUNNING", pid=5, now=50), 50, ""),
    ],
)
def test_since_and_detail_of_a_state(answer: dict[str, Any], since: float | None, detail: str) -> None:
    [state] = program_states([installed("a")], [answer], None)
    assert (state.since, state.detail) == (since, detail)


def test_process_has_its_real_age_after_the_clock_was_set_back() -> None:
    now, own = time.time(), os.getpid()
    real = psutil.Process().create_time()
    tomorrow = info("RUNNING", pid=own, start=int(now) + 86400, now=int(now))
    [state] = program_states([installed("a")], [tomorrow], None)
    assert state.since == pytest.approx(real, abs=1)
    assert state.clock_then == int(now) + 86400
    # A process that is younger than supervisord's start time keeps its own: it may be another process (PM102).
    [state] = program_states([installed("a")], [info("RUNNING", pid=own, now=int(now))], None)
    assert (state.since, state.clock_then) == (100, 100)


def test_state_unknown_to_procman_is_unknown() -> None:
    [state] = program_states([installed("a")], [info("HIBERNATING")], None)
    assert state.state is State.UNKNOWN


def test_program_left_stopped_by_an_adoption_should_not_run_although_its_supervisord_is_new() -> None:
    """R11: its supervisord was started without it, so `install --wait` does not wait for it."""
    program = replace(installed("a"), left_stopped=True)
    states = program_states([program], [info("STOPPED", start=0)], {})
    assert [each.desired for each in states] == [False]


@pytest.mark.parametrize(("old", "expected"), [("STOPPED", (State.STOPPED, False)), ("RUNNING", (State.UNKNOWN, True))])
def test_program_left_stopped_is_so_while_supervisord_remembers_the_adopted_one(
    old: str, expected: tuple[State, bool]
) -> None:
    program = replace(installed("a"), left_stopped=True)
    [state] = program_states([program], [info(old, group="site")], {})
    assert (state.state, state.desired) == expected
