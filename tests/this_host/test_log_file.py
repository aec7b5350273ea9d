"""The end of a program's log is shown, followed across rotations, and harmless to a terminal."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procman.errors import ProcmanError
from procman.host import log_file
from procman.host.log_file import read_log, shown
from tests.backends.supervisor.real_supervisord import Supervisord, as_nobody, eventually, installed


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


def last(log: Path, lines: int) -> str:
    return "".join(read_log(log, lines, follow=False))


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


class Following:
    """A log that is followed in the background."""

    def __init__(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_file, "POLL_SECONDS", 0.01)
        self.text = ""
        self._stop = threading.Event()
        self._pieces: Iterator[str] = read_log(log, 1, follow=True)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for piece in self._pieces:
            self.text += piece

    def expect(self, text: str) -> None:
        eventually(lambda: self.text == text, f"expected {text!r}")


def test_new_lines_are_followed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_text("1\n2\n")
    following = Following(log, monkeypatch)
    following.expect("2\n")
    with log.open("a") as file:
        file.write("3\n")
    following.expect("2\n3\n")


def test_log_is_followed_through_a_rotation(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_text("1\n")
    following = Following(log, monkeypatch)
    following.expect("1\n")
    with log.open("a") as file:
        file.write("2\n")
        log.rename(log.with_name("a.log.1"))
        file.write("3\n")
    log.write_text("4\n")
    following.expect("1\n2\n3\n4\n")


def test_lines_written_just_before_a_rotation_are_not_lost(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = log_file._successor

    def rotate(file: BinaryIO, path: Path) -> BinaryIO | None:
        """Rotate the log between the last read and the check of the path."""
        # Logs that other tests follow are still followed, and call this function too.
        if path == log and not log.with_name("a.log.1").exists():
            with log.open("a") as written:
                written.write("2\n")
            log.rename(log.with_name("a.log.1"))
            log.write_text("3\n")
        return look(file, path)

    monkeypatch.setattr(log_file, "_successor", rotate)
    log.write_text("1\n")
    Following(log, monkeypatch).expect("1\n2\n3\n")


def test_truncated_log_is_followed_from_its_start(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_text("1 long enough\n")
    following = Following(log, monkeypatch)
    following.expect("1 long enough\n")
    log.write_text("")
    with log.open("a") as file:
        file.write("2\n")
    following.expect("1 long enough\n2\n")


def test_follow_waits_for_a_log_that_does_not_exist_yet(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    following = Following(log, monkeypatch)
    log.write_text("1\n")
    following.expect("1\n")


@pytest.mark.supervisord
def test_log_is_followed_through_supervisords_own_rotation(
    supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = supervisord.directory / "out"
    script = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.02; done; sleep 1000"
    supervisord.section("a", command=f'sh -c "{script}"', stdout_logfile=log, stdout_logfile_maxbytes=100)
    supervisord.start()
    following = Following(log, monkeypatch)
    eventually(lambda: "line 60\n" in following.text)
    seen = following.text.split("line ")[1:]
    assert [int(number) for number in seen] == list(range(61 - len(seen), 61))
    assert log.with_name("out.1").exists()


def test_log_of_a_program_in_a_manifest_is_read(supervisord: Supervisord) -> None:
    log = supervisord.directory / "a.log"
    log.write_text("1\n2\n")
    pieces = supervisord.controller().logs(installed("a", log_file=str(log)), 1, follow=False)
    assert "".join(itertools.islice(pieces, 5)) == "2\n"
