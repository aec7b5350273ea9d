"""The health of a project as a person and as a program read it, whole."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from procman.model import Level, Result
from procman.monitoring.checks.registry import RUNNING
from procman.output.health import as_json, as_text
from tests.output.health import healthy, stuck


def test_healthy_project_as_text(tmp_path: Path) -> None:
    assert list(as_text(healthy(tmp_path), io.StringIO())) == [
        "NAME            HEALTH  DETAIL",
        "catmaid-celery  ok      it is consuming; 0 of 2 slots are busy",
        "catmaid-flower  -       stopped on purpose",
        "1 of 2 running, 1 stopped",
        "",
        "no problems found",
    ]


def test_problems_are_below_the_table_with_their_hints(tmp_path: Path) -> None:
    assert list(as_text(stuck(tmp_path), io.StringIO())) == [
        "NAME            HEALTH    DETAIL",
        "catmaid-celery  critical  messages wait | and 'wait'",
        "catmaid-flower  -         stopped on purpose",
        "1 of 2 running, 1 stopped",
        "",
        "catmaid-celery: critical PM301: messages wait | and 'wait'",
        "  procman restart catmaid-celery",
        "catmaid: unknown PM501: cannot query the broker: why",
        "catmaid-celery: warning PM602: a restart is due: the launcher is newer",
        "  procman restart",
        "catmaid: warning PM603: only 3 MiB\\nare free",
        "  df -h /",
        "",
        "See `procman explain PM301 PM501 PM602 PM603` for causes and remedies",
    ]


def test_stopped_program_with_a_warning_is_shown_as_one(tmp_path: Path) -> None:
    found = healthy(tmp_path)
    detached = Result("PM109", "catmaid-flower", Level.WARNING, "process 7 is detached")
    flower = replace(found.programs[1], results=(*found.programs[1].results, detached))
    lines = list(as_text(replace(found, programs=(found.programs[0], flower)), io.StringIO()))
    assert lines[2] == "catmaid-flower  warning  process 7 is detached"


def test_terminal_gets_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    lines = list(as_text(stuck(tmp_path), terminal))
    assert lines[1].startswith("\x1b[31mcatmaid-celery")
    assert lines[2].startswith("catmaid-flower")


def test_json_has_every_field(tmp_path: Path) -> None:
    found = json.loads(as_json(stuck(tmp_path)))
    worker = found["programs"][0]
    assert {name: value for name, value in found.items() if name not in ("programs", "results")} == {
        "format": 1,
        "project": "catmaid",
        "at": 1_700_000_000.0,
        "level": "CRITICAL",
        "exit_status": 2,
        "probed": False,
        "answers_only": None,
    }
    assert {name: value for name, value in worker.items() if name not in ("results", "verdict")} == {
        "name": "catmaid-celery",
        "key": "worker.celery",
        "kind": "worker",
        "state": "RUNNING",
        "wanted": True,
        "pid": 100,
        "level": "CRITICAL",
        "phase": "consuming",
    }
    assert worker["verdict"] == {
        "level": "WARNING",
        "code": "PM303",
        "reason": "no worker consumes queue celery, although this one should",
        "remedy": "",
    }
    assert worker["results"][1] == {
        "code": "PM301",
        "title": "No messages wait while the worker has a free slot",
        "level": "CRITICAL",
        "detail": "messages wait | and 'wait'",
        "hint": "procman restart catmaid-celery",
        "values": {},
        "accepted": False,
    }
    assert [result["code"] for result in found["results"]] == ["PM501", "PM603"]
    assert (found["programs"][1]["verdict"], found["programs"][1]["phase"]) == (None, None)


def test_every_field_of_json_is_documented(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "health.md").read_text()
    documented = text.partition("## JSON")[2].partition("\n## ")[0]
    found = json.loads(as_json(healthy(tmp_path)))
    assert found["results"]
    names = {*found, *found["programs"][0], *found["results"][0]}
    assert not {name for name in names if f"`{name}`" not in documented and f"`.{name}`" not in documented} - {
        "programs",
        "results",
    }
    assert "`programs[]`" in documented
    assert "`results[]`" in documented


def test_every_check_has_a_title_to_show() -> None:
    assert all(check.title for check in RUNNING)
