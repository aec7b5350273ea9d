"""The logs of several programs are one stream in the order of their times, and are followed across rotations."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pytest

from procman.backends.logs import LogLine, LogRequest
from procman.errors import ProcmanError
from procman.host import log_file, log_lines, log_pieces
from procman.host.log_lines import CUT, LONGEST_LINE, read_logs
from tests.backends.supervisor.real_supervisord import Supervisord, eventually

LAST = 1_796_000_000.0
"""When the last line of a log was written."""

DENVER = -7 * 3600
"""The zone of the logs; the tests run in another."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


def at(ago: float, text: str = "x") -> str:
    """Return a line in Celery's format that was written `ago` seconds before the last one."""
    moment = time.gmtime(LAST - ago + DENVER)
    return f"[{time.strftime('%Y-%m-%d %H:%M:%S', moment)},000: INFO/MainProcess] {text}\n"


def write(path: Path, *lines: str, changed: float = LAST) -> Path:
    path.write_text("".join(lines))
    os.utime(path, (changed, changed))
    return path


def texts(found: Iterable[LogLine]) -> list[str]:
    """Return for each line its program and the last word."""
    return [f"{line.program} {line.text.split(' ')[-1]}" for line in found]


def test_lines_of_several_programs_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    paths = {
        "a": write(tmp_path / "a", at(9, "1"), at(2, "4"), "traceback\n", at(0, "6")),
        "b": write(tmp_path / "b", "banner\n", at(5, "2"), at(4, "3"), at(1, "5"), changed=LAST - 1),
    }
    everything = ["a 1", "b banner", "b 2", "b 3", "a 4", "a traceback", "b 5", "a 6"]
    assert texts(read_logs(paths, LogRequest(50))) == everything
    assert texts(read_logs(paths, LogRequest(3))) == everything[-3:]
    assert texts(read_logs(paths, LogRequest(0))) == []
    assert texts(read_logs(paths, LogRequest(None, LAST - 4))) == everything[3:]
    assert texts(read_logs(paths, LogRequest(2, LAST - 4))) == everything[-2:]


def test_rotated_files_are_read_if_the_log_does_not_reach_back_far_enough(log: Path) -> None:
    write(log, at(1, "5"), at(0, "6"))
    write(log.with_name("a.log.1"), at(3, "3"), at(2, "4"), changed=LAST - 2)
    write(log.with_name("a.log.2"), at(9, "1"), at(8, "2"), changed=LAST - 8)
    assert texts(read_logs({"a": log}, LogRequest(3))) == ["a 4", "a 5", "a 6"]
    assert texts(read_logs({"a": log}, LogRequest(50))) == [f"a {number}" for number in range(1, 7)]
    assert texts(read_logs({"a": log}, LogRequest(None, LAST - 2.5))) == ["a 4", "a 5", "a 6"]


@pytest.mark.parametrize("block", [100, 200, 100_000])
@pytest.mark.parametrize("ago", [0, 1, 17, 98.5, 99, 100, 1000])
def test_first_line_since_a_moment_is_found_in_a_long_log(
    ago: float, block: int, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_pieces, "BLOCK", block)
    numbers = range(99, -1, -1)
    write(log, *(at(number, str(number)) + "  more\n" * (number % 3) for number in numbers))
    found = [word for word in texts(read_logs({"a": log}, LogRequest(None, LAST - ago))) if word != "a more"]
    assert found == [f"a {number}" for number in numbers if number <= ago]


def test_log_without_times_gets_its_share_and_is_named_with_since(tmp_path: Path) -> None:
    paths = {
        "a": write(tmp_path / "a", *(at(number, str(number)) for number in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0))),
        "b": write(tmp_path / "b", *(f"{number}\n" for number in range(10))),
    }
    assert texts(read_logs(paths, LogRequest(4))) == ["a 1", "a 0", "b 8", "b 9"]
    notices: list[str] = []
    assert texts(read_logs(paths, LogRequest(None, LAST - 1, notice=notices.append))) == ["a 1", "a 0"]
    assert notices == ["b: the lines have no times, so --since leaves them out"]


def test_zone_that_the_file_does_not_show_is_reported_with_since(log: Path) -> None:
    write(log, at(0, "1"), "worker: Warm shutdown (MainProcess)\n", changed=LAST + 1800)
    notices: list[str] = []
    list(read_logs({"a": log}, LogRequest(None, LAST, notice=notices.append)))
    assert notices == ["a: the time zone of the lines is unknown; --since takes it for the local one"]
    # The other programs of the project have the same zone.
    other = write(log.with_name("b"), at(0, "2"))
    notices.clear()
    found = texts(read_logs({"a": log, "b": other}, LogRequest(None, LAST, notice=notices.append)))
    assert found == ["a 1", "a (MainProcess)", "b 2"]
    assert not notices


def test_long_line_is_cut_and_the_next_one_is_whole(log: Path) -> None:
    log.write_text("x" * (LONGEST_LINE * 3) + "\nnext\n")
    [long, following] = read_logs({"a": log}, LogRequest(50))
    assert long.text == "x" * LONGEST_LINE + CUT
    assert following.text == "next"


def test_last_line_without_an_end_is_shown(log: Path) -> None:
    log.write_text("one\n\x1b[2Jtwo")
    assert [line.text for line in read_logs({"a": log}, LogRequest(50))] == ["one", "\\x1b[2Jtwo"]


def test_missing_logs_are_counted_unless_all_are_missing(log: Path) -> None:
    missing = {"b": log.with_name("b"), "c": log.with_name("c")}
    with pytest.raises(ProcmanError, match="does not exist yet"):
        list(read_logs(missing, LogRequest(50)))
    notices: list[str] = []
    found = read_logs({"a": write(log, at(0, "1")), **missing}, LogRequest(50, notice=notices.append))
    assert texts(found) == ["a 1"]
    assert notices == ["2 of 3 programs have no log yet"]
    notices.clear()
    list(read_logs({"a": log, **missing}, LogRequest(50, is_choice=False, notice=notices.append)))
    assert not notices


class Following:
    """A log that is followed in the background."""

    def __init__(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_lines, "POLL_SECONDS", 0.01)
        self.text = ""
        self._lines = read_logs({"a": log}, LogRequest(1, follow=True))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for line in self._lines:
            self.text += line.text + "\n"

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
    look = log_file.successor

    def rotate(file: BinaryIO, path: Path) -> BinaryIO | None:
        """Rotate the log between the last read and the check of the path."""
        # Logs that other tests follow are still followed, and call this function too.
        if path == log and not log.with_name("a.log.1").exists():
            with log.open("a") as written:
                written.write("2\n")
            log.rename(log.with_name("a.log.1"))
            log.write_text("3\n")
        return look(file, path)

    monkeypatch.setattr(log_lines, "successor", rotate)
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
    # One rotation: of two between two looks at the log, the lines in the middle would be missing.
    script = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.02; done; sleep 1000"
    supervisord.section("a", command=f'sh -c "{script}"', stdout_logfile=log, stdout_logfile_maxbytes=300)
    supervisord.start()
    following = Following(log, monkeypatch)
    eventually(lambda: "line 60\n" in following.text)
    seen = following.text.split("line ")[1:]
    assert [int(number) for number in seen] == list(range(61 - len(seen), 61))
    assert log.with_name("out.1").exists()


def test_several_logs_are_followed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "POLL_SECONDS", 0.01)
    paths = {name: tmp_path / name for name in ("a", "b")}
    paths["a"].write_text("")
    found: list[str] = []

    def follow() -> None:
        found.extend(f"{line.program} {line.text}" for line in read_logs(paths, LogRequest(5, follow=True)))

    threading.Thread(target=follow, daemon=True).start()
    with paths["a"].open("a") as a, paths["b"].open("w") as b:
        for file, text in ((a, "1\nha"), (b, "2\n")):
            file.write(text)
            file.flush()
        eventually(lambda: sorted(found) == ["a 1", "b 2"], "the whole lines are shown")
        a.write("lf\n")
    eventually(lambda: found[2:] == ["a half"], "the line is shown once it is whole")
