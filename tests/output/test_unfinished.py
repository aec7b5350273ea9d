"""The tasks that a stop did not let finish, one line each."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from procman.deploy.unfinished import UnfinishedTask
from procman.monitoring.task_outcome import Fate, Outcome
from procman.output.unfinished import MOST, unfinished_lines

BACK = UnfinishedTask("mill-crop", "0b5b1c5e-7c43-4f4e-9d8e-0d3f4f0c8a51", "mill.crop", Fate(Outcome.HANDED_BACK))


def test_each_task_is_shown_with_what_becomes_of_it() -> None:
    gone = BACK._replace(id="7f7f\x1b[2J", fate=Fate(Outcome.REDELIVERED, "RabbitMQ"))
    assert list(unfinished_lines([BACK, gone], io.StringIO())) == [
        "mill-crop: did not finish: mill.crop [0b5b1c5e-7c43-4f4e-9d8e-0d3f4f0c8a51], handed back",
        r"mill-crop: did not finish: mill.crop [7f7f\x1b[2J], redelivered by RabbitMQ",
    ]


def test_example_of_the_page_is_this_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow terminal."""
    monkeypatch.setattr("procman.output.unfinished.width_of", lambda _: 72)
    crop = BACK._replace(id="f29be3d2-0a24-4285-b87f-d6dc50673fe0")
    mail = UnfinishedTask("mill-mail", "d74b9ea9-919a-4488-9e71-3f3cfc870e4c", "mill.mail", Fate(Outcome.GONE))
    lines = [line for task in (crop, mail) for line in (f"{task.program}: stopped", *unfinished_lines([task]))]
    shown = "\n".join(["```", "$ procman stop", *lines, "```\n"])
    assert shown in (Path(__file__).parents[2] / "docs/stopping.md").read_text(encoding="utf-8")


def test_more_tasks_than_a_screen_are_counted() -> None:
    lines = list(unfinished_lines([BACK] * (MOST + 3), io.StringIO()))
    assert len(lines) == MOST + 1
    assert lines[-1] == "mill-crop: and 3 more: procman events mill-crop"


@pytest.mark.parametrize("columns", [60, 120])
def test_line_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("procman.output.unfinished.width_of", lambda _: columns)
    assert max(map(len, unfinished_lines([BACK], io.StringIO()))) <= columns
