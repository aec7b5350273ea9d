"""PM111 and PM112: the end of a main process or a pool process."""

from __future__ import annotations

import time
from typing import Any

import pytest

from procman.agent.task_record import RunningTask
from procman.model import End, Level, Result, State
from procman.monitoring.checks.ends import check_main_process, check_pool_processes
from procman.monitoring.checks.inputs import EndReport
from procman.monitoring.checks.quick import with_ends
from procman.monitoring.ends import event_of, pool_reports
from tests.monitoring.checks.records import NAME, heartbeat, running, snapshot, state

AT = 1_795_953_600.0
CLOCK = time.strftime("%H:%M:%S", time.localtime(AT))
KILLED = End(AT, "killed by SIGKILL")
TASKS = tuple(RunningTask(f"id-{number}", "shop.slow", 1.0, AT) for number in range(5))


def result(report: EndReport | None, **changed: Any) -> Result:
    [found] = check_main_process(running(snapshot(heartbeat(), state=state(**changed), ended=report)))
    return found


def test_main_process_that_ended_gracefully_is_no_problem_unless_it_left_a_task() -> None:
    stopped = End(AT, "exit status 0")
    assert result(EndReport(stopped)).level is Level.OK
    assert result(EndReport(stopped, tasks=TASKS[:1], total=1)).level is Level.WARNING


@pytest.mark.parametrize(
    ("report", "detail"),
    [
        (EndReport(KILLED, "cause unknown"), "killed by SIGKILL (cause unknown)"),
        (EndReport(End(AT, "exit status 1")), "exit status 1"),
        (EndReport(KILLED, "x", TASKS[:1], 1), "killed by SIGKILL (x); running: shop.slow [id-0]"),
        (
            EndReport(KILLED, "x", TASKS, 7),
            "killed by SIGKILL (x); running: shop.slow [id-0], shop.slow [id-1], shop.slow [id-2] and 4 more",
        ),
        (EndReport(KILLED, "x", (), 1), "killed by SIGKILL (x); 1 task running"),
    ],
)
def test_end_is_a_warning_that_names_when_how_and_which_tasks(report: EndReport, detail: str) -> None:
    found = result(report)
    assert (found.code, found.level) == ("PM111", Level.WARNING)
    assert found.detail == f"its main process ended at {CLOCK}: {detail}"
    account = f"procman lost {NAME}; " if report.total else ""
    assert found.hint == f"{account}procman events {NAME}; procman logs {NAME}"


def test_program_without_an_end_or_stopped_since_is_ok() -> None:
    assert result(None).level is Level.OK
    assert result(EndReport(KILLED), kind=State.STOPPED, desired=False).level is Level.OK


def test_end_of_a_pool_process_is_a_warning() -> None:
    report = EndReport(End(AT, "killed by SIGKILL", 7), "cause unknown", TASKS[:1], 1)
    [found] = check_pool_processes(running(snapshot(heartbeat(), pool_ended=report)))
    assert (found.code, found.level) == ("PM112", Level.WARNING)
    assert found.detail == (
        f"its pool process 7 ended at {CLOCK}: killed by SIGKILL (cause unknown); running: shop.slow [id-0]"
    )
    assert [each.level for each in check_pool_processes(running(snapshot(heartbeat())))] == [Level.OK]
    healthy = Result("PM200", NAME, Level.OK, "it is consuming")
    assert with_ends(snapshot(heartbeat(), pool_ended=report), healthy).code == "PM112"


def test_pool_processes_of_a_heartbeat_are_reported_with_the_cause_of_a_kill() -> None:
    end = {"pid": 2**30, "at": time.time() - 60, "how": "killed by SIGKILL", "for_memory": True, "task": "shop.slow"}
    ends = [
        {**end, "task_id": "x"},
        {**end, "for_memory": False, "task": None, "task_id": None},
        {**end, "for_memory": False, "how": "exit status 7", "task_id": None},
        {**end, "task_id": "x", "at": time.time() - 4000},
        {**end, "task_id": "x", "at": time.time() + 4000},
    ]
    found = pool_reports(heartbeat(pool_ends=ends), time.time() - 3600)
    assert [(each.reason, each.total) for each in found] == [
        ("killed by SIGKILL (the kernel killed it for lack of memory)", 1),
        ("killed by SIGKILL (cause unknown)", 0),
        ("exit status 7", 1),
    ]
    assert [task.id for task in found[0].tasks] == ["x"]
    assert event_of(NAME, found[0], of_pool=True).code == "PM112"


def test_status_reports_the_end_of_a_program_that_is_healthy_again() -> None:
    healthy = Result("PM200", NAME, Level.OK, "it is consuming", values={"children": 2.0})
    ended = snapshot(heartbeat(), ended=EndReport(KILLED))
    found = with_ends(ended, healthy)
    assert (found.code, found.level, found.values) == ("PM111", Level.WARNING, {"children": 2.0})
    assert with_ends(ended, healthy, ["PM111"]).accepted
    assert with_ends(snapshot(heartbeat()), healthy) == healthy
    stuck = healthy._replace(code="PM301", level=Level.CRITICAL)
    assert with_ends(ended, stuck) == stuck
