"""What the page about a program collects, and what it leaves out."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from procman.install.state.manifest import InstalledFile, Manifest
from procman.model import InstalledProgram, ProgramState, State
from procman.monitoring import program_page
from procman.monitoring.health import Health
from procman.monitoring.program_page import LONGEST_LINE, page_of
from tests.monitoring.checks.records import MANIFEST, program, state

STOPPED = state(State.STOPPED)._replace(pid=None)


def file(path: str, *programs: str, section: bool = False) -> InstalledFile:
    return InstalledFile(Path(path), "0", 0o644, None, None, programs, True, section, False)


def test_page_has_the_files_of_the_program_alone() -> None:
    files = (file("/a/start.sh", "demo-celery"), file("/a/lib", "demo-celery", "demo-beat"))
    section = file("/a/section", "demo-celery", section=True)
    page = page_of(replace(MANIFEST, files=(*files, section)), program(), STOPPED)
    assert page.defined_in == (Path("/a/section"), Path("/a/start.sh"))


def test_log_has_no_secret_and_no_endless_line(tmp_path: Path) -> None:
    secrets = tmp_path / "celery.env"
    secrets.write_text("BROKER_PASSWORD=xk28dkw9s\n")
    log = tmp_path / "a.log"
    log.write_text("".join(f"{number}\n" for number in range(20)) + "x" * 9999 + "\nlogin xk28dkw9s refused\n")
    manifest = replace(MANIFEST, environment_file=secrets)
    page = page_of(manifest, program(log_file=str(log)), STOPPED)
    assert page.log[-2:] == ("x" * LONGEST_LINE + "...", "login *** refused")
    assert page.log[:-2] == tuple(map(str, range(12, 20)))


def test_missing_log_is_named(tmp_path: Path) -> None:
    page = page_of(MANIFEST, program(log_file=str(tmp_path / "a.log")), STOPPED)
    assert page.log_problem == f"{tmp_path / 'a.log'}: the log does not exist yet"


def test_part_that_takes_too_long_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Long enough for the parts that do not hang, on a busy host.
    monkeypatch.setattr(program_page, "MOST_SECONDS", 2.0)
    monkeypatch.setattr(program_page, "examine_program", lambda *_: time.sleep(60))
    log = tmp_path / "a.log"
    log.write_text("one\n")
    page = page_of(MANIFEST, program(log_file=str(log)), STOPPED)
    assert page.missing == ("checks",)
    assert page.log == ("one",)


def test_checks_get_the_state_with_the_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    # By the process in another slot, they would take the one that drains for an earlier run.
    seen = []

    def examined(_manifest: Manifest, _program: InstalledProgram, given: ProgramState) -> Health:
        seen.append(given)
        return Health(MANIFEST, 0.0, (), ())

    monkeypatch.setattr(program_page, "examine_program", examined)
    reported = STOPPED._replace(pid=1)
    page_of(MANIFEST, program(), STOPPED, reported)
    assert seen == [reported]
