"""The words for the end of a process."""

from __future__ import annotations

import signal

from procman.agent.process_end import KILLED, killed_by


def test_signal_has_its_name_or_its_number() -> None:
    assert killed_by(signal.SIGKILL) == KILLED
    assert killed_by(signal.SIGSEGV) == "killed by SIGSEGV"
    assert killed_by(200) == "killed by signal 200"
