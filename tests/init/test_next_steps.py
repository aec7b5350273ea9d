"""The last lines that `procman init` prints: the commands to type next."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from procman.celery_cli.parse import read_command
from procman.cli import init as written
from procman.cli.init import init
from procman.init import init as command
from procman.init.importing.existing import Existing
from procman.init.init import InitReport, NewProject
from procman.model import BackendName, Scope
from procman.sources import SUPERVISOR, Source

USER = "project.user: unknown"


CHECKS = ("check", "diff", "install --wait 60")


def project(path: str, *fill_in: str, source: Source | None = None) -> NewProject:
    words = ("celery", "-A", "x", "worker")
    existing = Existing("[program:old]", "old", Path("/etc/old.conf"), 3, words, read_command(words), source=source)
    return NewProject(Path(path), "shop", (), "", fill_in, (), programs={"worker.old": (existing,)})


def last_lines(directory: Path, monkeypatch: pytest.MonkeyPatch, report: InitReport, uid: int) -> list[str]:
    """Return what `init` prints after it has written the files of `report`."""
    monkeypatch.setattr(command, "init", lambda *_, **__: report)
    monkeypatch.setattr(written, "write", lambda *_, **__: ())
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.chdir(directory)
    done = CliRunner().invoke(init, [], catch_exceptions=False)
    assert done.stdout == ""
    return [line.strip() for line in done.stderr.splitlines() if line]


@pytest.mark.parametrize(
    ("projects", "scope", "uid", "expected"),
    [
        ([project("procman.toml")], Scope.USER, 1000, ["Next, type:", *(f"procman {each}" for each in CHECKS)]),
        ([project("procman.toml")], Scope.SYSTEM, 1000, ["Next, type:", *(f"sudo procman {each}" for each in CHECKS)]),
        (
            [project("procman.toml", USER)],
            Scope.SYSTEM,
            0,
            ["Fill in the key named above in procman.toml, then type:", *(f"procman {each}" for each in CHECKS)],
        ),
        (
            [project("a b.toml", USER, "project.app: not found"), project("procman.toml")],
            Scope.USER,
            0,
            [
                "Fill in the 2 keys named above in a b.toml, then type:",
                *(f"procman --config 'a b.toml' {each}" for each in CHECKS),
                *(f"procman {each}" for each in CHECKS),
            ],
        ),
    ],
)
def test_last_lines_are_the_commands_to_type_next(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    projects: list[NewProject],
    scope: Scope,
    uid: int,
    expected: list[str],
) -> None:
    lines = last_lines(tmp_path, monkeypatch, InitReport(tuple(projects), scope), uid)
    assert lines[-len(expected) :] == expected


def test_a_file_reached_by_a_link_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "current").symlink_to("releases")
    monkeypatch.setenv("PWD", str(tmp_path / "current"))
    lines = last_lines(tmp_path / "current", monkeypatch, InitReport((project("procman.toml"),), Scope.USER), 0)
    assert lines[-3:] == [f"procman {each}" for each in CHECKS]


def test_programs_that_the_install_adopts_are_counted_and_the_others_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(SUPERVISOR, "/etc/old.conf", "old")
    report = InitReport((project("procman.toml", source=source), project("b.toml")), Scope.USER)
    lines = last_lines(tmp_path, monkeypatch, report, 0)
    adopted = "`procman install` adopts 1 existing program: it gracefully stops it, and then starts its successor"
    assert f"note: {adopted}" in lines
    assert "note: procman cannot stop [program:old] of /etc/old.conf: stop it before the install" in lines


@pytest.mark.parametrize(("backend", "is_printed"), [(BackendName.SUPERVISOR, True), (BackendName.SYSTEMD, False)])
def test_programs_need_to_read_their_secrets_unless_the_process_manager_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: BackendName, is_printed: bool
) -> None:
    found = replace(project("procman.toml"), secrets={"TOKEN": "x"}, backend=backend)
    lines = last_lines(tmp_path, monkeypatch, InitReport((found,), Scope.SYSTEM), 0)
    assert any(line.startswith("under supervisord the programs have to read it") for line in lines) == is_printed
