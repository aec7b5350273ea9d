"""The table of the host's processes that matter, and the properties of a single process."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from procman.host.process import directory_of, environment_of, open_files, user_of
from procman.host.process_table import LONGEST, by_parent, look_at
from tests.monitoring.checks.records import family
from tests.product import eventually


def test_a_process_is_found_with_its_parent_its_age_and_its_command_line() -> None:
    with family(1, "with (brackets) ", "and\nmore") as pid:
        processes = look_at([pid], [])
        found = processes[pid]
        assert found.parent == os.getpid()
        assert found.argv[-2:] == ("with (brackets) ", "and\nmore")
        assert found.age == pytest.approx(time.time() - psutil.Process(pid).create_time(), abs=2)
        assert not found.is_zombie
        assert user_of(pid) == os.geteuid()
        [child] = by_parent(processes)[pid]
        assert child.parent == pid


def test_a_process_is_found_by_a_word_of_its_command_line_with_its_parent() -> None:
    with family(0, "/a/path/to/some-launcher.py") as pid:
        found = look_at([], ["some-launcher"])
        assert {pid, os.getpid()} <= found.keys()
        assert found[os.getpid()].argv


def test_other_processes_are_not_read() -> None:
    with family(0) as pid, family(0, "some-launcher") as other:
        assert pid not in look_at([other], ["some-launcher"])


def test_a_zombie_is_recognised() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        eventually(lambda: look_at([process.pid], [])[process.pid].is_zombie, "it has ended and nobody has asked")


def test_ended_process_is_unknown() -> None:
    gone = 2**22 - 1
    assert user_of(gone) is None
    assert gone not in look_at([gone], [])


def test_directory_environment_and_open_files_are_returned() -> None:
    own = os.getpid()
    assert directory_of(own) == Path.cwd()
    assert environment_of(own)["PATH"] == os.environ["PATH"]
    found = open_files(own)
    assert found
    assert found.limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with Path(os.devnull).open():
        after = open_files(own)
    assert after
    assert after.held == found.held + 1


def test_inaccessible_or_ended_process_is_none() -> None:
    gone = 2**22 - 1
    assert (directory_of(gone), environment_of(gone), open_files(gone)) == (None, {}, None)


def test_only_the_beginning_of_a_long_command_line_is_read() -> None:
    with subprocess.Popen(["sh", "-c", "read line", *["x" * 1000] * 1000], stdin=subprocess.PIPE) as process:
        # The kernel shows its command line a moment after the process has replaced its parent's copy.
        while not (found := look_at([process.pid], ["read line"])[process.pid]).argv:
            pass
        process.kill()
    assert found.argv[:3] == ("sh", "-c", "read line")
    assert sum(len(word) + 1 for word in found.argv) <= LONGEST + 1
