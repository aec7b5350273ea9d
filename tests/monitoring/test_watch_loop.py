"""The watcher outlives an error in one of its rounds."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROUNDS = """
import os, sys
from pathlib import Path
from procman.monitoring import watch_loop

watch_loop.IDLE_SECONDS = 0.1
# Not a path, which is an error in procman, as any other would be.
state = Path(sys.argv[1]) if sys.argv[1:] else object()
watch_loop.keep_healing(state, print, lambda text: print(text, file=sys.stderr, flush=True))
"""


def watch(*arguments: str) -> str:
    """Let a watcher do several rounds, and return what it has logged."""
    argv = [sys.executable, "-c", ROUNDS, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr
        first = process.stderr.readline()
        time.sleep(1)
        assert process.poll() is None
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0
    return first + log


def test_traceback_of_a_round_is_logged_once_and_the_next_round_follows() -> None:
    log = watch()
    assert log.count("Traceback") == 1


def test_damaged_manifest_is_logged_once_and_the_next_round_follows(tmp_path: Path) -> None:
    (tmp_path / "generations/1").mkdir(parents=True)
    (tmp_path / "current").symlink_to("generations/1")
    (tmp_path / "generations/1/manifest.json").write_text("[" * 100_000)
    log = watch(str(tmp_path))
    assert log.count("cannot be read: it is nested too deeply") == 1
    assert "Traceback" not in log
