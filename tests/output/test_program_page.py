"""The page about one program, whole."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procman.agent.task_record import RunningTask
from procman.install.state.holds import Hold
from procman.model import End, Level, Result, RunHistory, State
from procman.monitoring.checks.inputs import EndReport
from procman.monitoring.program_page import ProgramPage
from procman.monitoring.status import ProgramStatus, ProjectStatus
from procman.output.program_page import as_text
from tests.install import sample
from tests.monitoring.checks.records import program, state

NOON = 1_796_040_000.0

TASK = RunningTask("7c46", "shop.slow", 0.0, NOON - 90)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def lines(directory: Path, page: ProgramPage, **changed: Any) -> list[str]:
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(directory, wish, sample.rendering(directory, wish))
    fields = {
        "program": program(user="www-data", log_file="/var/log/a.log"),
        "state": state(pid=77, since=NOON - 3600, restarts=1, history=RunHistory(ordered=NOON - 7200)),
        "result": Result("PM200", "demo-celery", Level.OK, "it is consuming", values={"memory_bytes": 2.0**20}),
        "restart_due": "",
        "is_started": True,
        **changed,
    }
    return list(as_text(ProjectStatus(manifest, 2, NOON, (ProgramStatus(**fields),), (), ()), page, io.StringIO()))


def test_page_of_a_worker(tmp_path: Path) -> None:
    says = {
        "queues": [
            {"name": "celery", "messages": 7, "consumers": 1, "since": None},
            {"name": "mail", "messages": None, "consumers": None, "since": None},
        ],
        "reserved": 3,
    }
    end = EndReport(End(NOON - 3599.1, "killed by SIGKILL"), "cause unknown", (TASK,), 2)
    page = ProgramPage(
        open_files=12, ends=(end,), tasks=(TASK,), defined_in=(Path("/etc/a.conf"),), log=("one\x1b[2J", "")
    )
    *found, in_sync, empty, head, one, nothing = lines(tmp_path, page, says=says)
    assert found == [
        "demo-celery ([worker.celery])",
        "       State: RUNNING since 2026-11-30 11:00:00 UTC (1h)",
        "      Health: ok: it is consuming",
        "         PID: 77, user www-data",
        "    Restarts: 1 (by the process manager, since 2026-11-30 10:00:00 UTC)",
        "   Last exit: 2026-11-30 11:00:00 UTC: killed by SIGKILL (cause unknown); running: shop.slow [7c46], 1 more",
        "      Queues: celery: 7 waiting, 1 consumer",
        "              mail: length unknown",
        "              3 more messages received and not started yet",
        "       Tasks: shop.slow [7c46] for 1m30s",
        "      Memory: 1 MiB in 1 process",
        "  Open files: 12",
        "  Defined in: /etc/a.conf",
        "         Log: /var/log/a.log",
        "",
    ]
    assert in_sync.startswith("in sync with ")
    assert [empty, head, one, nothing] == ["", "last lines of its log:", "  one\\x1b[2J", ""]


def test_page_of_beat_has_its_next_entries(tmp_path: Path) -> None:
    says = {"next_entries": [{"name": "tidy", "due": time.monotonic() + 60}]}
    assert "        Next: 2026-11-30 12:01:00 UTC: tidy" in lines(tmp_path, ProgramPage(), says=says)


def test_page_of_beat_has_what_it_missed(tmp_path: Path) -> None:
    entry = {"name": "tidy", "times": 2, "last": NOON - 3600, "outcome": "sent"}
    says = {"missed_at": NOON - 60, "missed_entries": [entry]}
    expected = "      Missed: tidy was due 2 times, the last time at 11:00 UTC: Celery sends it now"
    assert expected in lines(tmp_path, ProgramPage(), says=says)


def test_every_problem_is_below_with_its_hint(tmp_path: Path) -> None:
    own = Result("PM301", "demo-celery", Level.CRITICAL, "it is idle", "procman restart celery")
    other = Result("PM108", "demo-celery", Level.WARNING, "its files", "ls")
    hold = Hold("demo-celery", by="anna", since=NOON, until=None, reason="upgrade")
    page = ProgramPage(results=(other, own), missing=("log",))
    found = lines(tmp_path, page, result=own, hold=hold, restart_due="the launcher is newer")
    assert "      Health: critical: PM301" in found
    assert any(re.fullmatch(r" +Held: held by anna since .* so it is not healed \(upgrade\)", line) for line in found)
    assert " Restart due: the launcher is newer" in found
    assert "   Not shown: log: collecting it takes too long" in found
    below = found[found.index("") + 1 :]
    assert below[:6] == [
        "critical: it is idle (PM301)",
        "  procman restart celery",
        "warning: its files (PM108)",
        "  ls",
        "procman release demo-celery",
        "procman restart demo-celery",
    ]


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"since": None, "detail": "not started yet"}, "STOPPED (autostart = false): not started yet"),
        ({"since": NOON - 60}, "STOPPED since 2026-11-30 11:59:00 UTC (1m) (stopped on purpose)"),
    ],
)
def test_stopped_program_has_the_reason(changed: dict[str, Any], line: str, tmp_path: Path) -> None:
    stopped = state(State.STOPPED, desired=False, **changed)
    found = lines(tmp_path, ProgramPage(), state=stopped, program=program(autostart=False))
    assert found[1:3] == [f"       State: {line}", "      Health: -"]
