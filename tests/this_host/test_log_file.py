"""The end of a program's log is shown, and harmless to a terminal."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procman.errors import ProcmanError
from procman.host import log_file
from procman.host.log_file import read_log, shown
from tests.backends.supervisor.real_supervisord import Supervisord, as_nobody, installed


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


def last(log: Path, lines: int) -> str:
    return "".join(read_log(log, lines))


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        ("1\n2\n3\n", 2, "2\n3\n"),
        ("1\n2\n3", 2, "2\n3"),
        ("1\n2\n3\n", 9, "1\n2\n3\n"),
        ("1\n2\n3", 9, "1\n2\n3"),
        ("1\n2\n3\n", 0, ""),
        ("1\n2\n3", 0, ""),
        ("1\n\n\n", 2, "\n\n"),
        ("", 2, ""),
        ("3", 1, "3"),
    ],
)
@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_last_lines(
    log: Path, content: str, lines: int, expected: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "BLOCK", block)
    log.write_text(content)
    assert last(log, lines) == expected


def test_character_across_two_reads_is_whole(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK", 3)
    log.write_text("aaäöüß\n", encoding="utf-8")
    assert last(log, 1) == "aaäöüß\n"


def test_invalid_utf8_is_escaped(log: Path) -> None:
    log.write_bytes(b"caf\xe9\n")
    assert last(log, 1) == "caf\\xe9\n"


@given(st.text())
def test_output_cannot_drive_a_terminal(text: str) -> None:
    assert not any(
        ord(character) < 32 or 127 <= ord(character) < 160 for character in shown(text) if character not in "\n\t"
    )


def test_escape_sequence_is_escaped() -> None:
    assert shown("\x1b]0;owned\x07\tx\r\n") == "\\x1b]0;owned\\x07\tx\\x0d\n"


def test_missing_log_is_reported_with_the_reason(log: Path) -> None:
    with pytest.raises(ProcmanError, match=str(log)):
        last(log, 10)


@pytest.mark.root("becomes another user")
def test_unreadable_log_is_reported_with_the_remedy(supervisord: Supervisord) -> None:
    log = supervisord.directory / "a.log"
    log.write_text("x\n")
    log.chmod(0o600)

    def read() -> object:
        try:
            return last(log, 1)
        except ProcmanError as error:
            return error.hint

    assert as_nobody(read) == "Run the same command with sudo."


def test_log_of_a_program_in_a_manifest_is_read(supervisord: Supervisord) -> None:
    log = supervisord.directory / "a.log"
    log.write_text("1\n2\n")
    pieces = supervisord.controller().logs(installed("a", log_file=str(log)), 1)
    assert "".join(itertools.islice(pieces, 5)) == "2\n"
