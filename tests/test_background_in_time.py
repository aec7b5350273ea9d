"""R10: what hangs is given up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from procman.commands.in_time import in_time
from procman.errors import ProcmanError


def test_an_answer_in_time_is_returned() -> None:
    assert in_time(60, lambda: 7) == 7


def test_an_answer_may_be_none() -> None:
    assert in_time(60, lambda: None) is None


def test_an_error_is_raised() -> None:
    with pytest.raises(ProcmanError, match="as it was"):
        in_time(60, lambda: (_ for _ in ()).throw(ProcmanError("as it was")))


def test_what_takes_longer_is_given_up() -> None:
    reader, writer = os.pipe()
    with pytest.raises(ProcmanError, match=r"no answer within 0.1 s"):
        in_time(0.1, lambda: os.read(reader, 1))
    os.close(writer)


def test_a_process_ends_although_a_disk_holds_its_thread_up(tmp_path: Path) -> None:
    """A pipe that nobody writes to holds up whoever opens it, as a dead disk does."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = f"from procman.commands.in_time import in_time; in_time(0.5, lambda: open({str(pipe)!r}).read())"
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "no answer within 0.5 s" in done.stderr
    assert time.monotonic() - begun < 50
