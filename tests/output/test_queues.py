"""The queues of a project as text and JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from procman.model import Level, Result, State
from procman.monitoring.queues import ProjectQueues, QueueRow, Source
from procman.output.queues import as_json, as_text
from tests.install import sample
from tests.monitoring.checks.records import state

BIG, CROP = (
    state(kind)._replace(name=name) for name, kind in (("shop-big", State.STOPPED), ("shop-crop", State.RUNNING))
)
ROWS = (
    QueueRow("redis://localhost", "big", 30, 0, None, (BIG,), 125.0),
    QueueRow("redis://localhost", "crop", 0, 2, None, (CROP,), None),
    QueueRow("redis://localhost", "nobody", None, None, None, (), None),
)


def found(directory: Path, **changed: Any) -> ProjectQueues:
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(directory, wish, sample.rendering(directory, wish))
    fields = {
        "source": Source.BROKER,
        "at": 0.0,
        "age_seconds": 0.0,
        "rows": ROWS,
        "problem": "",
        "failures": (),
        "warnings": (),
    }
    return ProjectQueues(manifest, **{**fields, **changed})


def text(directory: Path, **changed: Any) -> list[str]:
    return list(as_text(found(directory, **changed), io.StringIO()))


def test_row_has_the_programs_of_a_queue_and_the_states_of_those_that_do_not_run(tmp_path: Path) -> None:
    assert text(tmp_path) == [
        "QUEUE   READY  UNACKED  CONSUMERS  UNTAKEN  PROGRAMS",
        "big        30        0          -     2m5s  shop-big (stopped)",
        "crop        0        2          -        -  shop-crop",
        "nobody      -        -          -        -  -",
        "30 messages wait in 1 of 3 queues",
    ]


def test_warning_is_below_the_table_with_its_hint(tmp_path: Path) -> None:
    warning = Result("PM505", None, Level.WARNING, "its only worker shop-big is stopped", "procman start shop-big")
    assert text(tmp_path, warnings=(warning,))[5:] == [
        "",
        "catmaid: warning PM505: its only worker shop-big is stopped",
        "  procman start shop-big",
        "",
        "See `procman explain PM505` for causes and remedies",
    ]


def test_warning_is_wrapped_at_a_terminal_and_its_command_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    hint = f"procman start {' '.join(f'shop-big-{number}' for number in range(9))}"
    detail = "30 messages wait in queue big, none taken for 12m5s, and its workers are stopped"
    warning = Result("PM505", None, Level.WARNING, detail, hint)
    assert list(as_text(found(tmp_path, warnings=(warning,)), terminal))[6:9] == [
        "catmaid: warning PM505: 30 messages wait in queue big, none taken for 12m5s, and",
        "  its workers are stopped",
        f"  {hint}",
    ]


def test_who_may_not_ask_the_broker_sees_since_when_the_numbers_are(tmp_path: Path) -> None:
    lines = text(tmp_path, source=Source.WATCHER, age_seconds=40.0, problem="only root can run a program as www-data")
    assert lines[5:] == [
        "",
        "the broker was not asked: only root can run a program as www-data; shown as the watcher saw them 40s ago",
    ]


def test_exit_status_is_1_if_a_broker_does_not_answer_or_nothing_is_known(tmp_path: Path) -> None:
    down = Result("PM501", None, Level.CRITICAL, "cannot connect")
    assert found(tmp_path).exit_status == 0
    assert found(tmp_path, failures=(down,)).exit_status == 1
    assert found(tmp_path, problem="no", rows=()).exit_status == 1
    assert found(tmp_path, problem="no", source=Source.HEARTBEATS).exit_status == 0


def test_document_has_every_number(tmp_path: Path) -> None:
    document = json.loads(as_json(found(tmp_path)))
    assert document["source"] == "broker"
    assert document["queues"][0] == {
        "name": "big",
        "broker": "redis://localhost",
        "ready": 30,
        "unacknowledged": 0,
        "consumers": None,
        "untaken_seconds": 125.0,
        "programs": [{"name": "shop-big", "state": "STOPPED", "wanted": True}],
    }
