"""Interrupted tasks as a table, as lines on a narrower terminal, and as JSON."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest

from procman.monitoring.lost_task import LostTask
from procman.monitoring.lost_tasks import LostTasks
from procman.monitoring.task_outcome import Fate, Outcome
from procman.output.lost import as_json, as_text

DOCS = Path(__file__).parents[2] / "docs"
KILLED = "killed by SIGKILL (cause unknown)"
LATE = LostTask(
    "mill-crop", "0b5b1c5e-7c43-4f4e-9d8e-0d3f4f0c8a51", "mill.crop", 1e9, True, KILLED, 1e9 + 5, Fate(Outcome.GONE)
)
EARLY = LATE._replace(id="7f7f2c1a", started=1e9 + 1, acks_late=False, fate=Fate(Outcome.REDELIVERED, "RabbitMQ"))
FOUND = LostTasks("mill", (), (EARLY, LATE))


@pytest.mark.parametrize("columns", [60, 120, 200])
def test_cause_and_outcome_can_be_read_at_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("procman.output.lost.width_of", lambda _: columns)
    lines = list(as_text(FOUND, io.StringIO()))
    assert max(map(len, lines)) <= columns
    text = " ".join(" ".join(lines).split())
    for shown in ("mill-crop", "mill.crop", LATE.id, EARLY.id, KILLED, "gone", "redelivered by RabbitMQ"):
        assert shown in text
    assert lines[-1] == "2 tasks interrupted"


def test_tasks_are_in_the_order_of_their_start() -> None:
    lines = list(as_text(FOUND, io.StringIO()))
    assert [LATE.id in lines[1], EARLY.id in lines[2]] == [True, True]
    assert [each["id"] for each in json.loads(as_json(FOUND))["tasks"]] == [LATE.id, EARLY.id]


def test_example_of_the_page_is_this_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a worker of Redis that was killed, and of one whose stop took too long."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("procman.output.lost.time.time", lambda: 1796030240.0)
    crop = LostTask(
        *("mill-crop", "ba37f25d-e27b-4630-a9da-e7702414a970", "mill.crop", 1796030212.3692832, True, KILLED),
        *(1796030239.562, Fate(Outcome.REDELIVERED, "Redis", 1796033812.3692832)),
    )
    mail = LostTask(
        *("mill-mail", "fe2a2c19-b68b-456a-ba2d-e7dfcbf700b9", "mill.mail", 1796030214.498999, False, "forced stop"),
        *(1796030230.861, Fate(Outcome.GONE)),
    )
    shown = "\n".join(["$ procman lost", *as_text(LostTasks("mill", (), (crop, mail)), io.StringIO())])
    monkeypatch.undo()
    time.tzset()
    assert f"```\n{shown}\n```\n" in (DOCS / "lost.md").read_text(encoding="utf-8")


def test_no_task_is_one_line() -> None:
    assert list(as_text(LostTasks("mill", ()), io.StringIO())) == ["no task was interrupted"]
