"""Only one process of a program runs at a time: the next one waits until it exits."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from procman.agent import launcher
from tests.agent.conftest import Start
from tests.agent.launching import Installation, Launched, run, wait_until

UNTIL_KILLED = ("/bin/sh", "-c", "echo started; exec sleep 1000")
WITH_CHILD = ("/bin/sh", "-c", "sleep 1000 & echo child $!; wait")


def waits_for(waiting: Launched, holder: Launched) -> None:
    waiting.wait_for(f"catmaid-celery: waiting for process {holder.process.pid} ")


def test_second_process_waits_until_the_first_exits(installation: Installation, start: Start) -> None:
    first = start(installation, "command", *UNTIL_KILLED)
    first.wait_for("started")
    second = start(installation, "command", *UNTIL_KILLED)
    waits_for(second, first)
    assert "started" not in second.text
    first.end(signal.SIGKILL)
    second.wait_for("started")
    third = start(installation, "command", *UNTIL_KILLED)
    waits_for(third, second)


@pytest.mark.parametrize(("interval", "messages"), [(launcher.LOCK_MESSAGE_SECONDS, 1), (0, 5)])
def test_waiting_is_reported_once_per_interval(
    monkeypatch: pytest.MonkeyPatch, installation: Installation, start: Start, interval: float, messages: int
) -> None:
    holder = start(installation, "command", *UNTIL_KILLED)
    holder.wait_for("started")
    try_lock = launcher._try_lock
    attempts: list[bool] = []
    reported: list[str] = []

    def sixth_attempt_succeeds(descriptor: int, path: str) -> bool:
        if len(attempts) == 5:
            holder.end(signal.SIGKILL)
        attempts.append(try_lock(descriptor, path))
        return attempts[-1]

    monkeypatch.setattr(launcher, "report", reported.append)
    monkeypatch.setattr(launcher, "_try_lock", sixth_attempt_succeeds)
    monkeypatch.setattr(launcher, "LOCK_MESSAGE_SECONDS", interval)
    os.close(launcher.take_lock(str(installation.lock)))
    assert attempts == [False] * 5 + [True]
    assert [f"process {holder.process.pid} " in message for message in reported] == [True] * messages


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_waiting_process_exits_on_a_signal(
    installation: Installation, start: Start, number: signal.Signals, status: int
) -> None:
    first = start(installation, "command", *UNTIL_KILLED)
    first.wait_for("started")
    second = start(installation, "command", *UNTIL_KILLED)
    waits_for(second, first)
    assert second.end(number) == status
    assert "Traceback" not in second.text
    assert first.process.poll() is None


def test_child_that_outlives_its_killed_parent_does_not_hold_the_lock(installation: Installation, start: Start) -> None:
    first = start(installation, "command", *WITH_CHILD)
    first.wait_for("child ")
    wait_until(lambda: first.text.endswith("\n"), lambda: first.text)
    child = int(first.text.split()[-1])
    assert str(installation.lock) in open_files(child)
    first.end(signal.SIGKILL)
    second = start(installation, "command", *UNTIL_KILLED)
    second.wait_for("started")
    os.kill(child, 0)


def open_files(pid: int) -> list[str]:
    return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]


def test_lock_is_a_private_file_with_the_pid(installation: Installation, start: Start) -> None:
    installation.lock.write_text("1234567890\nleft over\n")
    installation.lock.chmod(0o600)
    first = start(installation, "command", *UNTIL_KILLED)
    first.wait_for("started")
    assert installation.lock.read_text() == f"{first.process.pid}\n"
    first.end(signal.SIGKILL)
    installation.lock.unlink()
    start(installation, "command", *UNTIL_KILLED).wait_for("started")
    assert stat.S_IMODE(installation.lock.stat().st_mode) == 0o600


def test_lock_file_remains_after_the_program_exits(installation: Installation) -> None:
    assert installation.run("command", "true").returncode == 0
    assert installation.lock.exists()


def test_symbolic_link_is_not_followed(installation: Installation) -> None:
    victim = installation.directory / "victim"
    victim.write_text("precious")
    installation.lock.symlink_to(victim)
    done = installation.run("command", "true")
    assert done.returncode == 78
    assert f"cannot open the lock {installation.lock}: " in done.stderr
    assert victim.read_text() == "precious"


def test_missing_directory_is_named(installation: Installation) -> None:
    done = installation.run("command", "true", PROCMAN_RUN_DIRECTORY="/nonexistent/run")
    assert done.returncode == 78
    assert "cannot open the lock /nonexistent/run/lock: No such file or directory" in done.stderr
    assert f"uid {os.geteuid()}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_directory_that_cannot_be_written_is_named(installation: Installation) -> None:
    """/proc refuses new files even to root."""
    done = installation.run("command", "true", PROCMAN_RUN_DIRECTORY="/proc/self")
    assert done.returncode == 78
    assert done.stderr.startswith("catmaid-celery: cannot open the lock /proc/self/lock: ")


def test_full_disk_does_not_keep_a_program_from_starting(installation: Installation) -> None:
    no_bytes = ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh"]
    done = run(
        [*no_bytes, *installation.words("echo", "started")], installation.project, installation.environment("command")
    )
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "cannot write the pid to the lock file: File too large" in done.stderr
