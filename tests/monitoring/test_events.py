"""An overlap restart is one event, although its command and the keeper both write one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import Event, append_event
from procman.install.state.generations import Generation
from procman.lookup import Installed
from procman.model import InstalledProgram, Kind
from procman.monitoring.events import events
from tests.install import sample

AT = 1_700_000_000.123456


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    wish = sample.DESIRED_STATES["one"]
    found = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    crop = replace(found.programs[0], kind=Kind.WORKER, launcher=True, user=None, overlap_max=2)
    found.directories.run(crop.name).mkdir(parents=True)
    return Installed(Generation(1, replace(found, programs=(crop,))), None)


def crop(installed: Installed) -> InstalledProgram:
    return installed.manifest.programs[0]


def write_as_keeper(installed: Installed, *overlaps: tuple[float, str]) -> None:
    lines = [json.dumps({"at": at, "what": what, "by": "inside"}) + "\n" for at, what in overlaps]
    (installed.manifest.directories.run(crop(installed).name) / "events.jsonl").write_text("".join(lines))


def write_as_command(installed: Installed, at: float, what: str) -> None:
    with Tree() as tree:
        append_event(tree, installed.manifest.directories.state, Event(at, crop(installed).name, what, by="ann"))


def shown(found: Iterator[Event]) -> list[tuple[float, str, str]]:
    return [(event.at, event.what, event.by) for event in found]


@pytest.mark.parametrize("what", ["overlapped", "overlap failed", "installed"])
def test_overlap_of_a_command_is_one_event_and_that_of_a_signal_another(installed: Installed, what: str) -> None:
    kept = what if what != "installed" else "overlapped"
    write_as_keeper(installed, (AT, kept), (AT + 5, "overlap failed"))
    write_as_command(installed, AT, what)
    found = shown(events(installed, [], None, follow=False))
    assert found == [(AT, what, "ann"), (AT + 5, "overlap failed", "inside")]


def test_overlap_is_followed_once_if_its_command_writes_later(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_as_keeper(installed, (AT, "overlapped"))
    following = events(installed, [], None, follow=True)
    assert shown(iter([next(following)])) == [(AT, "overlapped", "inside")]
    steps = iter([(AT, "overlapped"), (AT + 9, "restarted")])
    monkeypatch.setattr("procman.monitoring.events.time.sleep", lambda _: write_as_command(installed, *next(steps)))
    assert shown(iter([next(following)])) == [(AT + 9, "restarted", "ann")]


def test_file_of_a_program_hides_no_other_event(installed: Installed) -> None:
    write_as_keeper(installed, (AT, "overlapped"), (AT, "missed"))
    write_as_command(installed, AT, "held")
    found = shown(events(installed, [], None, follow=False))
    assert sorted(found) == [(AT, "held", "ann"), (AT, "missed", "inside")]
