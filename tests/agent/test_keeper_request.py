"""What systemd runs as ExecReload=: it waits for the end of the overlap that it orders."""

from __future__ import annotations

import signal
import threading

import pytest

from procman.agent import keeper_request
from tests.agent.conftest import Spawn
from tests.agent.keeping import Kept, kept
from tests.agent.launching import Installation


@pytest.fixture
def crop(installation: Installation, spawn: Spawn) -> Kept:
    made = kept(installation, spawn)
    made.start()
    made.wait_for_slots(a="consuming")
    return made


def requested(crop: Kept) -> str:
    return keeper_request.request(str(crop.installation.run_directory), crop.keeper.process.pid)


def test_request_waits_until_the_successor_consumes(crop: Kept) -> None:
    assert requested(crop) == ""
    assert crop.slots()["b"] == "consuming"


def test_request_returns_why_the_overlap_failed(crop: Kept) -> None:
    crop.order("crop-b@%h-exits", "5")
    problem = requested(crop)
    assert problem.startswith("failed: process ")
    assert "exit status 5" in problem


def test_request_ends_with_the_keeper(crop: Kept) -> None:
    crop.order("broken")

    def kill() -> None:
        crop.wait_for_slots(a="consuming", b="starting")
        crop.keeper.end(signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    assert requested(crop) == "the keeper has exited"
    killing.join()


def test_request_that_systemd_ends_for_a_stop_makes_no_failure_of_it(crop: Kept, spawn: Spawn) -> None:
    crop.order("broken")
    installation, script = crop.installation, crop.installation.launcher.with_name("keeper_request.py")
    variables = installation.environment("worker", MAINPID=str(crop.keeper.process.pid))
    asking = spawn([str(installation.python), "-I", "-S", "-B", str(script)], installation.project, variables)
    crop.wait_for_slots(a="consuming", b="starting")
    assert asking.end(signal.SIGTERM) == 0


def test_process_that_is_no_keeper_gets_no_signal(crop: Kept) -> None:
    pid = crop.pid_in("a")
    assert "is not a keeper that has started" in keeper_request.request(str(crop.installation.run_directory), pid)
    assert "HUP" not in crop.text
