"""Holding and releasing programs, and the events of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from procman.errors import ConfigurationError
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import line_of
from procman.install.state.generations import Generation
from procman.install.state.holds import read_holds
from procman.lookup import Installed
from procman.monitoring.events import events
from procman.monitoring.hold import hold, release, seconds_of
from procman.output.events import as_line
from tests.install import sample
from tests.tables import for_each


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    wish = sample.DESIRED_STATES["one"]
    found = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    for program in found.programs:
        found.directories.run(program.name).mkdir(parents=True)
    return Installed(Generation(1, found), None)


def held(installed: Installed, now: float = 0.0) -> list[str]:
    with Tree() as tree:
        return sorted(read_holds(tree, installed.manifest.directories.state, now))


def test_hold_and_release_are_stored_and_logged(installed: Installed) -> None:
    [name, *_] = [program.name for program in installed.manifest.programs]
    [found] = hold(installed, [name], 7200, "to be drained", {"SUDO_USER": "ann"})
    assert found.until == pytest.approx(found.since + 7200)
    assert held(installed) == [name]
    assert held(installed, found.since + 7201) == []
    assert release(installed, [], {"SUDO_USER": "bob"})[0][1]
    assert held(installed) == []
    told = [(event.what, event.program, event.by, event.reason) for event in events(installed, [], 50, follow=False)]
    assert told == [("held", name, "ann", "to be drained"), ("released", name, "bob", "")]


def test_unknown_name_holds_nothing(installed: Installed) -> None:
    with pytest.raises(ConfigurationError, match="no program no-such-program"):
        hold(installed, [installed.manifest.programs[0].name, "no-such-program"], None, "", {})
    assert held(installed) == []


@for_each(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30min", 1800),
        ("30m", 1800),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30min", 5400),
        ("1h 5s", 3605),
        ("3650d", 315_360_000),
    ],
)
def test_length_of_time_is_parsed(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@for_each("text", ["", "2", "h", "2 weeks", "-1h", "1h30", "0s", "1e9h", "2h x"])
def test_invalid_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a length of time"):
        seconds_of(text)


@pytest.mark.parametrize("text", ["3651d", "3650d1s", "99999999999d", pytest.param("9" * 5000 + "s", id="long")])
def test_length_of_time_beyond_any_calendar_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="too long: at most 3650d"):
        seconds_of(text)


def test_events_of_procman_and_programs_are_merged_by_time(installed: Installed) -> None:
    name = installed.manifest.programs[0].name
    [first] = hold(installed, [name], None, "", {"SUDO_USER": "ann"})
    said = {
        "at": first.since - 1,
        "what": "healing",
        "program": "another-program",
        "by": "root",
        "reason": "a\x1b[31m",
    }
    path = installed.manifest.directories.run(name) / "events.jsonl"
    path.write_text(json.dumps(said) + "\nnonsense\n")
    found = list(events(installed, [name], 50, follow=False))
    if installed.manifest.programs[0].launcher:
        assert [(event.what, event.program, event.by) for event in found] == [
            ("healing", name, "inside"),
            ("held", name, "ann"),
        ]
        assert "\x1b" not in as_line(found[0])
        assert "\x1b" not in line_of(found[0])
    assert [event.what for event in events(installed, [name], 1, follow=False)] == ["held"]
    assert list(events(installed, [name], 0, follow=False)) == []
    assert [event.what for event in events(installed, [name], None, first.since, follow=False)] == ["held"]
