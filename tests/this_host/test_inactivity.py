"""Whether a main process acts, followed from one look to the next."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from procman.agent.verdict import NO_EVIDENCE
from procman.host.inactivity import Inactivity, look
from tests.agent.test_process_evidence import TICKING, WAITING, process
from tests.product import eventually

HOUR = 3600.0


def followed(before: Inactivity | None, pid: int, now: float) -> Inactivity:
    after, _ = look(before, pid, now)
    assert after
    return after


def test_first_look_proves_nothing() -> None:
    with process(WAITING) as pid:
        after, evidence = look(None, pid, HOUR)
        assert after
        assert (after.since, after.acted) == (HOUR, False)
        assert (evidence.idle_seconds, evidence.acted, evidence.works, evidence.is_stopped) == (0, False, False, False)


def test_process_that_does_not_act_is_idle_since_the_first_look() -> None:
    with process(TICKING) as pid:
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: look(None, pid, 0.0)[1].is_stopped, "it is stopped")
        seen = followed(None, pid, HOUR)
        seen = followed(seen, pid, HOUR + 30)
        after, evidence = look(seen, pid, HOUR + 60)
        assert after
        assert (after.since, evidence.idle_seconds, evidence.acted) == (HOUR, 60, False)


def test_process_that_acts_is_not_idle() -> None:
    with process(TICKING) as pid:
        seen = followed(None, pid, HOUR)
        eventually(lambda: look(seen, pid, HOUR + 30)[1].acted, "it acts")
        after, evidence = look(seen, pid, HOUR + 30)
        assert after
        assert (after.since, evidence.idle_seconds) == (HOUR + 30, 0)


def test_later_process_of_the_same_pid_is_another_process() -> None:
    with process(WAITING) as pid:
        time.sleep(0.2)
        seen = followed(None, pid, HOUR)
        after, evidence = look(replace(seen, process=f"{pid} 1"), pid, 2 * HOUR)
        assert after
        assert (after.since, evidence.idle_seconds) == (2 * HOUR, 0)


def test_time_of_a_suspend_is_not_idle() -> None:
    with process(WAITING) as pid:
        time.sleep(0.2)
        seen = followed(None, pid, HOUR)
        _, evidence = look(replace(seen, asleep=seen.asleep - HOUR), pid, 2 * HOUR)
        assert evidence.idle_seconds == 0


def test_work_of_a_child_is_seen_from_one_look_to_the_next() -> None:
    with process(WAITING) as pid:
        seen = followed(None, pid, HOUR)
        _, evidence = look(replace(seen, children="other"), pid, HOUR + 30)
        assert evidence.works


@pytest.mark.parametrize("pid", [2**22 + 1])
def test_process_that_has_ended_gives_no_evidence(pid: int) -> None:
    assert look(None, pid, HOUR) == (None, NO_EVIDENCE)
