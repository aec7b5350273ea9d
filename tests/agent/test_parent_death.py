"""A program ends when the process manager that started it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.agent.conftest import Spawn, Start
from tests.agent.launching import Installation, Launched, wait_until

# The start script sets PROCMAN_PARENT_PID to the pid of its parent.
PARENT = """
import os, subprocess, sys
os.environ["PROCMAN_PARENT_PID"] = str(os.getpid())
subprocess.Popen(sys.argv[1:]).wait()
"""
ENDLESS = "while :; do sleep 0.05; done"
REPORTS_TERM = ("/bin/sh", "-c", "trap 'echo got TERM; exit' TERM; echo started; " + ENDLESS)


def start_under_parent(spawn: Spawn, installation: Installation, *command: str, stop_signal: str = "") -> Launched:
    words = [sys.executable, "-c", PARENT, *installation.words(*command)]
    own = {"PROCMAN_STOP_SIGNAL": stop_signal}
    return spawn(words, installation.project, installation.environment("command") | own)


def test_program_gets_term_when_its_parent_is_killed(installation: Installation, spawn: Spawn) -> None:
    parent = start_under_parent(spawn, installation, *REPORTS_TERM)
    parent.wait_for("started")
    parent.end(signal.SIGKILL)
    wait_until(lambda: "got TERM" in parent.text, lambda: parent.text)


IGNORES_TERM = ("/bin/sh", "-c", "trap '' TERM; trap 'echo got WINCH; exit' WINCH; echo started; " + ENDLESS)


def test_command_with_another_stop_signal_gets_that_one_when_its_parent_is_killed(
    installation: Installation, spawn: Spawn
) -> None:
    parent = start_under_parent(spawn, installation, *IGNORES_TERM, stop_signal="WINCH")
    parent.wait_for("started")
    parent.end(signal.SIGKILL)
    wait_until(lambda: "got WINCH" in parent.text, lambda: parent.text)


@pytest.mark.parametrize("value", ["9", "SIGINT", "X"])
def test_stop_signal_that_has_no_name_stops_the_start(installation: Installation, value: str) -> None:
    done = installation.run("command", "true", PROCMAN_STOP_SIGNAL=value)
    assert done.returncode == 78
    assert "PROCMAN_STOP_SIGNAL is " in done.stderr


# By default a process ignores WINCH.
@pytest.mark.parametrize("stop_signal", ["", "WINCH"])
def test_launcher_that_waits_for_the_lock_exits_with_its_parent(
    installation: Installation, spawn: Spawn, start: Start, stop_signal: str
) -> None:
    holder = start(installation, "command", *REPORTS_TERM)
    holder.wait_for("started")
    parent = start_under_parent(spawn, installation, "echo", "second", stop_signal=stop_signal)
    parent.wait_for("waiting for process")
    parent.end(signal.SIGKILL)
    wait_until(lambda: len(processes_with(str(installation.launcher))) == 0, lambda: "the launcher's end")
    assert holder.process.poll() is None
    assert "second" not in parent.text


def processes_with(word: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if word in line]


def test_program_whose_parent_is_already_dead_is_not_started(installation: Installation) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    done = installation.run("command", "echo", "started", PROCMAN_PARENT_PID=str(ended.pid))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (f"catmaid-celery: process {ended.pid}, which started this program, has already exited\n")
    assert not installation.lock.exists()


def test_program_under_its_parent_starts_without_a_message(installation: Installation) -> None:
    done = installation.run("command", "echo", "started", PROCMAN_PARENT_PID=str(os.getpid()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


def test_program_without_a_named_parent_outlives_it(installation: Installation, spawn: Spawn) -> None:
    script = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    until_hung_up = ("/bin/sh", "-c", "trap 'echo got USR1' USR1; echo $$ started; while :; do sleep 0.05; done")
    words = [sys.executable, "-c", script, *installation.words(*until_hung_up)]
    parent = spawn(words, installation.project, installation.environment("command"))
    parent.wait_for("started")
    parent.end(signal.SIGKILL)
    os.kill(int(parent.text.split()[0]), signal.SIGUSR1)
    wait_until(lambda: "got USR1" in parent.text, lambda: parent.text)


def test_python_without_ctypes_is_reported_and_the_program_starts(installation: Installation) -> None:
    (installation.launcher.parent / "ctypes.py").write_text("raise ImportError('No module named _ctypes')")
    done = installation.run("command", "echo", "started", PROCMAN_PARENT_PID=str(os.getpid()))
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert len(done.stderr.splitlines()) == 1
    assert "cannot request a parent-death signal; this program will outlive a killed process manager" in done.stderr
    assert "No module named _ctypes" in done.stderr


@pytest.mark.parametrize("value", ["-1", "12x", "\u00b2", " 1"])
def test_parent_pid_that_is_not_a_number_is_refused(installation: Installation, value: str) -> None:
    done = installation.run("command", "true", PROCMAN_PARENT_PID=value)
    assert done.returncode == 78
    assert "PROCMAN_PARENT_PID is " in done.stderr
