"""A thread of the agent is running once its start returns."""

from __future__ import annotations

import sys

from procman.agent.native_threads import start_thread


def test_thread_is_running_once_its_start_returns() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)  # the new thread gets its turn only if start_thread() waits
    try:
        ran: list[int] = []
        start_thread(ran.append, 1)
        assert ran == [1]
    finally:
        sys.setswitchinterval(before)
