"""`--config -` reads procman.toml from standard input, for the commands that only show something."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from procman.cli.main import COMMANDS, run

TOML = """
[project]
name = "shop"
app = "shop"
directory = "code"
virtualenv = "/usr"
scope = "user"
[worker.celery]
[supervisor]
mode = "embedded"
"""

READING = ("render", "export", "check", "diff")
WITHOUT_A_PROJECT = ("init", "explain", "completion", "schema", "list")
NAMES = {"export": ["compose"], "logs": ["celery"], "run": ["celery"], "hold": ["celery"]}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # The path of a socket in it must be short.
    with TemporaryDirectory(prefix="pm") as directory:
        for name in ("CONFIG", "STATE", "DATA"):
            monkeypatch.setenv(f"XDG_{name}_HOME", f"{directory}/{name}")
        monkeypatch.chdir(directory)
        yield Path(directory)
        monkeypatch.chdir("/")


def given(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("words", [["--config", "-", "render"], ["render", "--config", "-"]])
def test_relative_paths_start_from_the_working_directory(
    words: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, TOML)
    assert run(words) == 0
    assert f"directory={place}/code" in capsys.readouterr().out.replace("cd ", "directory=")


def test_diff_and_check_use_it_and_name_no_file_to_install_from(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, TOML)
    assert run(["--config", "-", "diff", "--exit-code"]) == 1
    assert "+ worker.celery  (shop-celery)" in capsys.readouterr().out
    given(monkeypatch, TOML.replace("code", str(place)))
    run(["--config", "-", "check"])
    assert "procman install" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TOML.replace("app =", "ap ="), "procman: <stdin>:4: project.ap: unknown key; did you mean app?"),
        (TOML + 'x = "', "procman: <stdin>:11: supervisor.x: invalid TOML: a quote is not closed"),
        ("", "procman: <stdin>: project: missing: add a table [project]"),
        (b"\xff", "procman: <stdin>:1: invalid UTF-8"),
        (b"#" * 2**21, "procman: <stdin>: larger than 1048576 bytes"),
    ],
    ids=["key", "syntax", "empty", "encoding", "size"],
)
@pytest.mark.parametrize("command", READING)
def test_errors_name_standard_input(
    command: str,
    text: str | bytes,
    problem: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given(monkeypatch, text)
    assert run(["--config", "-", command, *NAMES.get(command, [])]) == 2
    errors = capsys.readouterr().err
    assert problem in errors
    assert str(place) not in errors


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {*READING, *WITHOUT_A_PROJECT}))
def test_every_other_command_refuses_it_with_the_remedy(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, TOML)
    assert run(["--config", "-", command, *NAMES.get(command, [])]) in (2, 3)
    errors = capsys.readouterr().err
    assert "--config -: only render, export, check and diff can read procman.toml from standard input" in errors
    assert "  Write it to a file, and name that: --config PATH" in errors
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"])
def test_stream_as_a_path_is_refused_with_the_option(
    path: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--config", path, "render"]) == 2
    errors = capsys.readouterr().err
    assert f"procman: {path}: expected a file, found a stream of this process (named by --config)" in errors
    assert "render, check and diff read procman.toml from standard input with --config -" in errors
