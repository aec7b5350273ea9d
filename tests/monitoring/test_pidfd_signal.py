"""A signal reaches the intended process or none."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from procman.backends.base import Controller
from procman.backends.reporter import Reporter
from procman.host.process import identity
from procman.model import InstalledProgram, Kind, ProgramState, State
from procman.monitoring import pidfd_signal
from procman.monitoring.pidfd_signal import ProcessChanged, send

PROGRAM = InstalledProgram("catmaid-celery", "worker.celery", Kind.WORKER, True, 600, 10, True, None, None)


class Reporting:
    """A process manager that always reports the same state."""

    def __init__(self, state: ProgramState) -> None:
        self.state = state

    def reporter(self) -> Reporter | None:
        return None

    def states(self, _: Sequence[InstalledProgram]) -> list[ProgramState]:
        return [self.state]


def controller(pid: object, **changes: object) -> Controller:
    state = ProgramState(PROGRAM.name, desired=True, state=State.RUNNING, pid=cast("int | None", pid))
    return cast("Controller", Reporting(state._replace(**changes)))  # type: ignore[arg-type]


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "600"]) as started:
        yield started
        started.kill()


@pytest.mark.parametrize("has_descriptors", [True, False])
def test_signal_reaches_the_process(
    process: subprocess.Popen[bytes], has_descriptors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_descriptors:
        monkeypatch.delattr(os, "pidfd_open")
    send(controller(process.pid), PROGRAM, identity(process.pid), signal.SIGTERM)
    assert process.wait(120) == -signal.SIGTERM


def test_process_that_has_ended_gets_no_signal(process: subprocess.Popen[bytes]) -> None:
    meant = identity(process.pid)
    process.kill()
    process.wait()
    assert identity(process.pid) == ""
    with pytest.raises(ProcessChanged):
        send(controller(process.pid), PROGRAM, meant, signal.SIGTERM)


def test_same_pid_of_a_later_process_is_another_process(process: subprocess.Popen[bytes]) -> None:
    pid, started = identity(process.pid).split()
    with pytest.raises(ProcessChanged):
        send(controller(process.pid), PROGRAM, f"{pid} {int(started) - 1}", signal.SIGKILL)
    assert process.poll() is None


@pytest.mark.parametrize("said", [{"pid": 1}, {"pid": None}, {"desired": False}, {"state": State.UNKNOWN}])
def test_no_signal_is_sent_after_the_process_manager_reports_a_change(
    process: subprocess.Popen[bytes], said: dict[str, object]
) -> None:
    with pytest.raises(ProcessChanged):
        send(controller(**{"pid": process.pid, **said}), PROGRAM, identity(process.pid), signal.SIGKILL)
    assert process.poll() is None


def test_stopping_process_gets_no_signal_but_the_forced_stop(process: subprocess.Popen[bytes]) -> None:
    stopping = controller(pid=process.pid, state=State.STOPPING)
    with pytest.raises(ProcessChanged):
        send(stopping, PROGRAM, identity(process.pid), signal.SIGTERM)
    assert process.poll() is None
    send(stopping, PROGRAM, identity(process.pid), signal.SIGKILL)
    assert process.wait(120) == -signal.SIGKILL


def test_process_manager_is_queried_after_the_descriptor_is_opened(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    pidfd_open, states = os.pidfd_open, Reporting.states

    def held(pid: int) -> int:
        order.append("held")
        return pidfd_open(pid)

    def asked(self: Reporting, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        order.append("asked")
        return states(self, programs)

    monkeypatch.setattr(os, "pidfd_open", held)
    monkeypatch.setattr(Reporting, "states", asked)
    pidfd_signal.send(controller(process.pid), PROGRAM, identity(process.pid), signal.SIGCONT)
    assert order == ["held", "asked"]
