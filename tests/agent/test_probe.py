"""The probe of a container: its answers to heartbeats of every kind, on each Python, for a process that exists."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procman.agent.heartbeat_format import FIELDS
from procman.host.process import boot_id
from tests.agent.launching import Installation, run
from tests.agent.test_verdict import BEAT, WORKER
from tests.forked_python import forked_python

INTERVAL = 0.1

PROBES = """
import os, runpy, sys

probe, *questions = sys.argv[1:]
runpy.run_path(probe)  # what it imports, once for all questions
statuses = []
for question in questions:
    child = os.fork()
    if child == 0:
        sys.argv = [probe, question]
        runpy.run_path(probe, run_name="__main__")
        os._exit(99)
    statuses.append(os.waitpid(child, 0)[1] >> 8)
print(*statuses)
"""
"""Runs a probe for each question: starting a Python for each, or for each test, would take longer than all of them."""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that waits, and has written no heartbeat."""
    with subprocess.Popen(["sleep", "1000"]) as running:
        yield running
        running.kill()


class Container:
    """A program in the state that a heartbeat describes."""

    def __init__(self, installation: Installation, pid: int) -> None:
        self.installation, self.pid = installation, pid
        self.heartbeat_seconds: float = INTERVAL
        self.variables: dict[str, str] = {}

    def write(self, **fields: Any) -> None:
        """Write a heartbeat of a healthy worker, changed by `fields`; its times count from now."""
        now = time.monotonic()
        content = {**WORKER, "started": now, "written": now, "phase_since": now, "loop": now, "progress": now}
        content |= {"boot_id": boot_id(), "pid": self.pid, "interval": INTERVAL, "queues_asked": now, **fields}
        (self.installation.run_directory / "heartbeat.json").write_text(json.dumps(content))

    def ask(self, question: str) -> tuple[int, str]:
        """Return exit status and output of the probe."""
        [answer] = self.ask_each(question)
        return answer

    def answers(self) -> str:
        """Return the answers of startup, live and ready as a word of three letters: y or n."""
        return "".join("yn"[status] for status, _ in self.ask_each("startup", "live", "ready"))

    def ask_each(self, *questions: str) -> list[tuple[int, str]]:
        """Return exit status and output of a probe for each question."""
        probe = self.installation.launcher.with_name("probe.py")
        settings = {"STALE": "60", "STALL": "30", "HEARTBEAT": str(self.heartbeat_seconds)}
        variables = {f"PROCMAN_{name}_SECONDS": value for name, value in settings.items()} | self.variables
        environment = self.installation.environment("worker", **variables)
        if self.variables:  # those of a locale take effect at the start of Python
            words = [str(self.installation.python), "-IS", "-c", PROBES, str(probe), *questions]
            done = run(words, Path("/"), environment)
        else:
            python = forked_python(self.installation.python, ["runpy"], {}, "-IS")
            done = python.run(PROBES, [str(probe), *questions], environment=environment, directory=Path("/"))
        assert done.stderr == ""
        *lines, statuses = done.stdout.splitlines(keepends=True)
        return list(zip(map(int, statuses.split()), lines, strict=True))


@pytest.fixture
def container(installation: Installation, process: subprocess.Popen[bytes]) -> Container:
    return Container(installation, process.pid)


LONG_AGO = time.monotonic() - 1000

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "consuming": ({}, "yyy"),
    "busy": ({"busy": 2, "reserved": 8}, "yyy"),
    "importing": ({"phase": "importing"}, "nyn"),
    "starting while the broker is away": ({"phase": "starting", "connect_error": "ConnectionRefusedError"}, "yyn"),
    "disconnected": ({"phase": "disconnected", "connect_error": "ConnectionRefusedError"}, "yyn"),
    "draining": ({"phase": "draining", "busy": 1, "phase_since": LONG_AGO}, "yyn"),
    "stopping": ({"phase": "stopping", "busy": 1, "phase_since": LONG_AGO}, "yyn"),
    "not ready yet": ({"ready": False}, "yyn"),
    "idle with messages waiting": ({"idle_with_messages_since": LONG_AGO}, "ynn"),
    "busy with messages waiting": ({"idle_with_messages_since": LONG_AGO, "busy": 1}, "yyn"),
    "stuck loop": ({"loop": LONG_AGO}, "ynn"),
    "stuck loop while the broker is away": ({"loop": LONG_AGO, "queues_asked": LONG_AGO - 1}, "yyy"),
    "ticking": ({**BEAT, "tick_due": LONG_AGO + 5000, "next_due": LONG_AGO + 5000}, "yyy"),
    "beat that starts": ({**BEAT, "phase": "starting", "phase_since": LONG_AGO}, "yyn"),
    "beat on standby": ({**BEAT, "phase": "standby", "lock": "redbeat", "lock_until": LONG_AGO}, "yyy"),
    "beat that sends nothing": ({**BEAT, "tick_due": LONG_AGO, "queues_asked": LONG_AGO + 5}, "ynn"),
    "beat whose broker is away": ({**BEAT, "tick_due": LONG_AGO, "queues_asked": None}, "yyy"),
    "a phase of a later agent": ({"phase": "hibernating"}, "yyn"),
    "a heartbeat from the future": ({"written": LONG_AGO + 100_000}, "yyn"),
    "another boot": ({"boot_id": "x"}, "nyn"),
    "an earlier process with its pid": ({"started": 1.0, "written": 2.0}, "nyn"),
}


@pytest.mark.parametrize(("fields", "expected"), CASES.values(), ids=list(CASES))
def test_answers(container: Container, fields: dict[str, Any], expected: str) -> None:
    container.write(**fields)
    assert container.answers() == expected


def test_table_knows_every_field_that_it_sets() -> None:
    assert {name for fields, _ in CASES.values() for name in fields} <= {*FIELDS, "queues"}


def test_without_heartbeat_the_program_has_not_started_and_is_not_restarted(container: Container) -> None:
    assert container.answers() == "nyn"
    assert container.ask("startup") == (1, "startup: no: it has not written a heartbeat yet\n")


def test_unreadable_heartbeat_restarts_nothing(container: Container) -> None:
    path = container.installation.run_directory / "heartbeat.json"
    for content in (b"", b"{", b"\xff", b"[]", b'"' * 70_000):
        path.write_bytes(content)
        assert container.answers() == "yyn"
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert container.answers() == "yyn"
    path.unlink()
    os.mkfifo(path)
    assert container.answers() == "yyn"


def test_process_that_has_ended_is_no_evidence(container: Container, process: subprocess.Popen[bytes]) -> None:
    container.write(written=LONG_AGO, started=LONG_AGO)
    process.kill()
    process.wait()
    assert container.answers() == "nyn"


def test_process_that_does_nothing_for_two_heartbeats_is_frozen(container: Container) -> None:
    container.write(written=time.monotonic() - 100, pool="prefork", busy=0)
    status, line = container.ask("live")
    assert (status, "it is frozen" in line) == (1, True), line
    container.write(written=time.monotonic() - 100, pool="threads", busy=1)
    assert container.ask("live")[0] == 0


def test_process_that_is_stopped_is_frozen(container: Container, process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)
    container.heartbeat_seconds = 1000
    container.write(written=time.monotonic() - 100)
    assert container.ask("live")[0] == 1


def test_process_that_acts_and_cannot_write_is_not_restarted(installation: Installation) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(0.01)"]) as acting:
        container = Container(installation, acting.pid)
        # On a busy machine it gets no processor for a while.
        container.heartbeat_seconds = 10
        container.write(written=time.monotonic() - 100, started=time.monotonic() + 1)
        status, line = container.ask("live")
        acting.kill()
    assert (status, "although its main process runs" in line) == (0, True), line


@pytest.mark.parametrize("interval", [0, -1, 1_000_000])
def test_interval_in_the_heartbeat_decides_nothing(container: Container, interval: int) -> None:
    container.heartbeat_seconds = 1
    container.write(written=time.monotonic() - 100, pool="prefork", busy=0, interval=interval)
    status, line = container.ask("live")
    assert (status, "one is due every 1s" in line) == (1, True), line


@pytest.mark.parametrize("variables", [{}, {"LC_ALL": "C"}, {"LC_ALL": "en_US.ISO-8859-1"}], ids=str)
def test_name_in_another_alphabet_restarts_nothing(container: Container, variables: dict[str, str]) -> None:
    container.variables = variables
    now = time.monotonic()
    container.write(**BEAT | {"tick_due": now + 5000, "next_due": now + 5000, "next_entry": "täglich-毎日"})
    assert container.answers() == "yyy"
    assert "täglich-毎日" in container.ask("live")[1]


def test_error_of_the_probe_restarts_nothing(container: Container) -> None:
    container.write()
    container.installation.launcher.with_name("verdict.py").write_text("raise RuntimeError('no')\n")
    assert container.answers() == "yyn"
    assert container.ask("live")[1].startswith("live: yes: the probe failed: RuntimeError('no'")


def test_answer_does_not_need_a_reader(container: Container) -> None:
    container.write()
    installation = container.installation
    words = [str(installation.python), "-IS", str(installation.launcher.with_name("probe.py")), "live"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, env=installation.environment("worker"), stdout=full, check=False, timeout=100)
    assert done.returncode == 0


@pytest.mark.parametrize("words", [(), ("alive",), ("live", "ready")])
def test_wrong_usage_is_an_error_of_its_own(installation: Installation, words: tuple[str, ...]) -> None:
    probe = installation.launcher.with_name("probe.py")
    done = run([str(installation.python), str(probe), *words], Path("/"), {})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python3 probe.py startup|live|ready\n"


@pytest.mark.parametrize("variables", [{}, {"PROCMAN_RUN_DIRECTORY": ""}], ids=str)
def test_without_its_variables_the_probe_knows_no_program(
    installation: Installation, variables: dict[str, str]
) -> None:
    probe = installation.launcher.with_name("probe.py")
    done = run([str(installation.python), str(probe), "live"], Path("/"), variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("PROCMAN_RUN_DIRECTORY is not set: ")


def test_program_that_is_not_ready_is_not_called_ok(container: Container) -> None:
    container.write(phase="importing")
    status, line = container.ask("ready")
    assert (status, line.startswith("ready: no: it has been importing the app for ")) == (1, True), line


def test_ready_does_not_guess_whether_a_program_is_frozen(container: Container) -> None:
    container.write(written=time.monotonic() - 100, pool="prefork", busy=0)
    status, line = container.ask("ready")
    assert (status, bool(re.fullmatch("ready: no: its heartbeat is 1[0-9]{2}s old\n", line))) == (1, True), line


SPARED = {"typing", "re", "json", "enum", "datetime", "importlib", "types", "contextlib", "math"}
SPARED |= {"procman_agent.process_evidence", "procman_agent.process_watch", "binascii"}


def test_modules_that_take_longer_than_an_answer_are_not_imported(container: Container) -> None:
    container.write(**BEAT | {"tick_due": time.monotonic() + 5})
    installation = container.installation
    probe = installation.launcher.with_name("probe.py")
    done = run([str(installation.python), "-ISv", str(probe), "live"], Path("/"), installation.environment("beat"))
    imported = set(re.findall("^import '([^']*)' #", done.stderr, re.MULTILINE))
    assert done.returncode == 0
    assert {"os", "procman_agent.verdict", "procman_agent.process_stat"} <= imported
    assert imported & SPARED == set()
