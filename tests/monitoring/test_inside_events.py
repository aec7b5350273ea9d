"""Events that programs write themselves are passed on once, in this boot or the next."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, Kind, ProgramState, State
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.heal_policy import Observation, decide
from procman.monitoring.healing_history import Case, HealingHistory
from procman.monitoring.inside_events import HOUR_SECONDS, new_inside_events
from procman.monitoring.program_view import Moment
from tests.install import sample

BOOTED = 1_000_000.0
NOW = Moment(monotonic=7200.0, wall=BOOTED + 7200, boot="a")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    wish = sample.DESIRED_STATES["one"]
    return sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))


@pytest.fixture
def program(manifest: Manifest) -> InstalledProgram:
    found = replace(manifest.programs[0], launcher=True, kind=Kind.BEAT, user=None)
    manifest.directories.run(found.name).mkdir(parents=True)
    return found


def _write(manifest: Manifest, program: InstalledProgram, *events: tuple[str, float]) -> None:
    lines = [json.dumps({"at": at, "what": what, "code": "PM404"}) for what, at in events]
    (manifest.directories.run(program.name) / "events.jsonl").write_text("\n".join(lines) + "\n")


def _state(program: InstalledProgram) -> ProgramState:
    return ProgramState(program.name, desired=True, state=State.RUNNING, pid=os.getpid())


def _found(manifest: Manifest, program: InstalledProgram, history: HealingHistory, now: Moment = NOW) -> list[float]:
    found = new_inside_events(manifest, [ProgramSnapshot(program, _state(program))], history, now)
    return [event.at for event in found.get(program.name, ())]


def test_each_event_is_passed_on_once(manifest: Manifest, program: InstalledProgram) -> None:
    _write(manifest, program, ("missed", NOW.wall - 50), ("healing", NOW.wall - 40), ("handed-back", NOW.wall - 30))
    assert _found(manifest, program, HealingHistory("a")) == [NOW.wall - 50, NOW.wall - 30]
    found = new_inside_events(manifest, [ProgramSnapshot(program, _state(program))], HealingHistory("a"), NOW)
    observation = Observation(program, _state(program), "1", (), inside=found[program.name])
    decided = decide(Case(program.name), observation, manifest.health, NOW.monotonic, NOW.wall)
    assert [event.what for event in decided.events] == ["missed", "handed-back"]
    assert all(event.by == "inside" for event in decided.events)
    later = HealingHistory("a", (decided.case,))
    assert _found(manifest, program, later) == []
    _write(manifest, program, ("missed", NOW.wall - 50), ("missed", NOW.wall - 10))
    assert _found(manifest, program, later) == [NOW.wall - 10]


def test_overlaps_are_passed_on(manifest: Manifest, program: InstalledProgram) -> None:
    _write(manifest, program, ("overlapped", NOW.wall - 50), ("overlap failed", NOW.wall - 40))
    assert _found(manifest, program, HealingHistory("a")) == [NOW.wall - 50, NOW.wall - 40]


def test_event_before_the_first_check_of_a_boot_is_passed_on(manifest: Manifest, program: InstalledProgram) -> None:
    early = NOW._replace(monotonic=60.0, wall=BOOTED + 60)
    _write(manifest, program, ("missed", BOOTED - 20), ("missed", BOOTED + 20))
    assert _found(manifest, program, HealingHistory("a"), early) == [BOOTED + 20]


def test_old_events_and_those_from_the_future_are_not_passed_on(manifest: Manifest, program: InstalledProgram) -> None:
    _write(manifest, program, ("missed", NOW.wall - HOUR_SECONDS - 1), ("missed", NOW.wall + 60))
    assert _found(manifest, program, HealingHistory("a")) == []


def test_event_after_the_clock_was_set_back_is_passed_on_once(manifest: Manifest, program: InstalledProgram) -> None:
    observation = Observation(program, _state(program), "1", ())
    case = Case(program.name, ended=NOW.wall + 3600, inside=NOW.wall + 3600)
    case = decide(case, observation, manifest.health, NOW.monotonic, NOW.wall).case
    assert (case.ended, case.inside) == (NOW.wall, NOW.wall)
    later = NOW._replace(wall=NOW.wall + 30)
    _write(manifest, program, ("missed", NOW.wall - 10), ("missed", NOW.wall + 10))
    assert _found(manifest, program, HealingHistory("a", (case,)), later) == [NOW.wall + 10]


def test_command_has_no_events_of_its_own(manifest: Manifest, program: InstalledProgram) -> None:
    _write(manifest, program, ("missed", NOW.wall - 10))
    assert _found(manifest, replace(program, kind=Kind.COMMAND), HealingHistory("a")) == []
