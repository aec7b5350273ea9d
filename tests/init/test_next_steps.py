"""The last lines that `procman init` prints: the commands to type next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from procman.cli.init import init
from procman.init import init as command
from procman.init.init import InitReport
from procman.model import Scope

USER = "project.user: unknown"


@pytest.mark.parametrize(
    ("fill_in", "scope", "uid", "adopts", "output", "expected"),
    [
        ([], Scope.USER, 1000, None, "procman.toml", ["Next, type:", "procman check", "procman install --wait 60"]),
        (
            [],
            Scope.SYSTEM,
            1000,
            None,
            "procman.toml",
            ["Next, type:", "sudo procman check", "sudo procman install --wait 60"],
        ),
        (
            [],
            Scope.SYSTEM,
            0,
            "/etc/old.conf",
            "procman.toml",
            ["Next, type:", "procman check", "procman install --replace /etc/old.conf --wait 60"],
        ),
        (
            [USER],
            Scope.SYSTEM,
            0,
            None,
            "procman.toml",
            [
                "Fill in the key named above in procman.toml, then type:",
                "procman check",
                "procman install --wait 60",
            ],
        ),
        (
            [USER, "project.app: not found"],
            Scope.USER,
            0,
            None,
            "a b.toml",
            [
                "Fill in the 2 keys named above in a b.toml, then type:",
                "procman --config 'a b.toml' check",
                "procman --config 'a b.toml' install --wait 60",
            ],
        ),
    ],
)
def test_last_lines_are_the_commands_to_type_next(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fill_in: list[str],
    scope: Scope,
    uid: int,
    adopts: str | None,
    output: str,
    expected: list[str],
) -> None:
    report = InitReport((), "", tuple(fill_in), (), scope, Path(adopts) if adopts else None)
    monkeypatch.setattr(command, "init", lambda *_, **__: report)
    monkeypatch.setattr(command, "write", lambda *_, **__: ())
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(init, ["--output", output], catch_exceptions=False)
    assert done.stdout == ""
    assert [line.strip() for line in done.stderr.rpartition("\n\n")[2].splitlines()] == expected
