"""R1 and R2: after an interrupted install or uninstall all files are whole, and the next run completes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from procman.install.safe_fs.tree import finished_name
from tests.install import sample
from tests.install.accepted import assert_accepted
from tests.install.interrupting import STRACE, Point, points, run_with
from tests.install.sample import DESIRED_STATES
from tests.install.snapshot import Snapshot, contents

pytestmark = [
    pytest.mark.strace,
    pytest.mark.skipif(STRACE is None, reason="strace(1) is missing: apt-get install strace"),
]

ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS")
"""Errors injected into every call, even into one that cannot return them."""

MORE_ERRORS = {"write": ("EDQUOT",), "openat": ("EMFILE",), "fchmod": ("EPERM",), "fchown": ("EPERM",)}


@dataclass(frozen=True)
class Scenario:
    """A command, and what was done before it."""

    before: Callable[[Path], object]
    command: str
    argument: str

    def prepare(self, base: Path) -> None:
        """Create the host as it is before the command."""
        shutil.rmtree(base, ignore_errors=True)
        sample.make_host(base)
        self.before(base)

    def carry_out(self, base: Path) -> None:
        """Carry out the command in this process, without interruption."""
        if self.command == "install":
            sample.install(base, DESIRED_STATES[self.argument])
        elif self.command == "adopt":
            sample.adopt(base, DESIRED_STATES[self.argument])
        elif self.command == "rollback":
            sample.roll_back(base, int(self.argument))
        else:
            sample.remove(base, purge=self.argument == "purge")


def _edited(base: Path) -> None:
    sample.install(base, DESIRED_STATES["one"])
    sample.section_path(base, "catmaid-celery").write_text("[program:catmaid-celery]\ncommand=/bin/changed-by-hand\n")
    sample.script_path(base, "catmaid-beat").write_text("changed too\n")


def _programs_have_run(base: Path) -> None:
    _edited(base)
    places = sample.directories(base)
    (places.run("catmaid-celery") / "lock").touch()
    (places.logs / "catmaid-celery.log").write_text("ready\n")
    (places.logs / "catmaid-celery.log.1").write_text("ready\n")


def _twice(base: Path) -> None:
    _edited(base)
    sample.install(base, DESIRED_STATES["two"])


def _about_to_adopt(base: Path) -> None:
    sample.foreign(base).write_text("; foreign\n[program:foreign]\ncommand=/bin/foreign\n")
    sample.install(base, DESIRED_STATES["one"])


def _adopted(base: Path) -> None:
    _about_to_adopt(base)
    sample.adopt(base, DESIRED_STATES["two"])


SCENARIOS = {
    "first install": Scenario(lambda base: None, "install", "one"),
    "upgrade": Scenario(_edited, "install", "two"),
    "rollback": Scenario(_twice, "rollback", "1"),
    "rollback that restores a file": Scenario(_adopted, "rollback", "1"),
    "adoption": Scenario(_about_to_adopt, "adopt", "two"),
    "uninstall": Scenario(_programs_have_run, "uninstall", "keep"),
    "purge": Scenario(_programs_have_run, "uninstall", "purge"),
}


@dataclass(frozen=True)
class Run:
    """A scenario that was carried out once: the host before and after, and the points of possible interruption."""

    scenario: Scenario
    base: Path
    before: Snapshot
    after: Snapshot
    points: list[Point]

    def interrupt(self, point: Point, injected: str) -> None:
        """Interrupt the command at `point`, and check the contracts."""
        self.scenario.prepare(self.base)
        done = run_with(self.base, self.scenario.command, self.scenario.argument, point, injected)
        if injected.startswith("error"):
            assert "Traceback" not in done.stderr, done.stderr
            assert done.returncode in (0, 1)
        else:
            assert done.returncode not in (0, 1), f"not interrupted: {done.stderr}"
        self.check_whole()
        assert_accepted(self.base)
        self.scenario.carry_out(self.base)
        assert contents(self.base) == self.after
        assert not [path for path in self.base.rglob("*") if finished_name(path.name)]

    def check_whole(self) -> None:
        """Check that every finished file is either as before or as afterwards, including mode and owner (R1)."""
        for name, found in contents(self.base).items():
            if any(finished_name(part) for part in Path(name).parts) or name.startswith("loaded/"):
                continue
            if name.endswith(("pending.json", "directories.json", "manifest.json")):
                json.loads((self.base / name).read_text())
            elif "/generations/" not in name and "/set-aside" not in name:
                assert found in (self.before.get(name), self.after.get(name)), name


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda name: name.replace(" ", "_"))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    scenario = SCENARIOS[request.param]
    base = tmp_path_factory.mktemp("interruption") / "host"
    scenario.prepare(base)
    before = contents(base)
    # Twice: the first run fills Python's own caches, as all later runs find them.
    points(base, scenario.command, scenario.argument)
    scenario.prepare(base)
    found = points(base, scenario.command, scenario.argument)
    after = contents(base)
    return Run(scenario, base, before, after, found)


def _some(run: Run, how_many: int) -> list[Point]:
    return run.points[1 :: max(1, len(run.points) // how_many)]


def test_next_run_completes_command_killed_at_some_system_calls(run: Run) -> None:
    for point in _some(run, 4):
        run.interrupt(point, "signal=KILL")


def test_next_run_completes_command_after_some_failed_system_calls(run: Run) -> None:
    for point, error in zip(_some(run, 4), ERRORS, strict=False):
        run.interrupt(point, f"error={error}")


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_next_run_completes_command_killed_at_every_system_call(run: Run) -> None:
    for point in run.points:
        run.interrupt(point, "signal=KILL")


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_next_run_completes_command_after_every_failed_system_call(run: Run) -> None:
    for point in run.points:
        for error in (*ERRORS, *MORE_ERRORS.get(point[0], ())):
            run.interrupt(point, f"error={error}")
