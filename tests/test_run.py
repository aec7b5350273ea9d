"""Processes that procman spawns."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.run import CLEAN_ENVIRONMENT, stream


def lines(script: str) -> list[str]:
    return list(stream(["sh", "-c", script], environment=CLEAN_ENVIRONMENT))


def test_stream_yields_lines_as_they_are() -> None:
    assert lines("printf 'one\\ntwo \\374\\nthree'") == ["one\n", "two \\xfc\n", "three"]


def test_stream_yields_a_line_before_the_process_ends() -> None:
    running = stream(["sh", "-c", "echo first; sleep 60"], environment=CLEAN_ENVIRONMENT)
    assert next(running) == "first\n"
    running.close()


def test_stream_that_is_closed_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; echo ready; wait"
    running = stream(["sh", "-c", script], environment=CLEAN_ENVIRONMENT)
    assert next(running) == "ready\n"
    running.close()
    for pid in map(int, pids.read_text().split()):
        assert any(_is_gone(pid) for _ in itertools.repeat(None, 100))


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    time.sleep(0.05)
    return state == "Z"


def test_stream_of_a_failed_process_ends_with_what_it_said() -> None:
    running = stream(["sh", "-c", "echo out; echo because >&2; exit 3"], environment=CLEAN_ENVIRONMENT)
    assert next(running) == "out\n"
    with pytest.raises(ProcmanError, match="status 3") as raised:
        next(running)
    assert raised.value.hint == "because"


def test_stream_of_what_is_not_there_is_an_error() -> None:
    with pytest.raises(ProcmanError, match="cannot run"):
        list(stream(["/nowhere"], environment={}))


def test_signal_to_the_caller_does_not_reach_the_stream() -> None:
    running = stream(["sh", "-c", "echo $$; sleep 60"], environment=CLEAN_ENVIRONMENT)
    pid = int(next(running))
    assert os.getpgid(pid) != os.getpgid(0)
    running.close()
