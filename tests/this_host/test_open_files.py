"""Files that a process has open for writing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from procman.host.process import written_by

HOLD = """
import sys
held = [open(sys.argv[1], "w"), open(sys.argv[2], "r+"), open(sys.argv[3])]
print("held", flush=True)
sys.stdin.read()
"""


def test_files_open_for_writing_are_found_in_every_process(tmp_path: Path) -> None:
    written, both, read = (tmp_path / name for name in ("written", "both ways", "read"))
    for path in (written, both, read):
        path.touch()
    words = [sys.executable, "-c", HOLD, str(written), str(both), str(read)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        found = written_by([process.pid, os.getpid()])
        assert {written, both} <= found
        assert read not in found


def test_other_descriptors_and_deleted_files_are_omitted(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    reader, writer = os.pipe()
    with gone.open("w"), socket.socket(), Path("/dev/null").open("w"):
        gone.unlink()
        found = written_by([os.getpid()])
    os.close(reader)
    os.close(writer)
    assert not any(path.name.startswith("gone") for path in found)
    assert not any(str(path).startswith(("pipe:", "socket:", "/dev/")) for path in found)


def test_ended_process_has_no_open_files() -> None:
    assert written_by([2**22 - 1]) == set()
