"""U3: stdout carries data and stderr messages; every table has a JSON form; nothing prompts or is coloured."""

from __future__ import annotations

import json

import pytest

from tests.attacks.host import CONFIGURATION, TOML, AttackedHost
from tests.product import eventually

AS_DATA = (
    "status --json",
    "events --json",
    "history --json",
    "diff --json",
    "check --json",
    "health --format json",
    "queues --json",
    "schema",
)
OF_ALL_AS_DATA = ("list --json", "status --all --json", "health --all --json")


def test_json_output_is_valid(host: AttackedHost) -> None:
    host.procman("install --wait 30")
    for words in AS_DATA:
        done = host.procman(words, check=False)
        assert done.returncode in (0, 1), done.stderr
        # Events are one document per line.
        documents = done.stdout.splitlines() if words.startswith("events") else [done.stdout]
        assert all(isinstance(json.loads(document), dict | list) for document in documents), words
    for words in OF_ALL_AS_DATA:
        assert json.loads(host.run(f"procman {words}", "root").stdout)["projects"], words


def test_no_colour_and_no_progress_without_a_terminal(host: AttackedHost) -> None:
    orders = (
        "check",
        "diff",
        "install --wait 30",
        "status",
        "status one",
        "health",
        "queues",
        "logs",
        "events",
        "history",
        "restart",
        "stop",
        "start",
        "uninstall",
    )
    for words in orders:
        done = host.procman(words, check=False)
        assert "\x1b" not in done.stdout + done.stderr
        assert "\r" not in done.stdout + done.stderr
        assert not [line for line in done.stdout.splitlines() if line.startswith("procman: ")]


def test_error_is_on_stderr(host: AttackedHost) -> None:
    done = host.procman("status", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("procman: catmaid is not installed")


def assert_asleep(host: AttackedHost, number: int) -> None:
    eventually(lambda: len(host.asleep()) == number, f"{number} programs run")


LOST = {"a full disk": ">/dev/full", "closed": ">&- 2>&-", "both on a full disk": ">/dev/full 2>&1"}


@pytest.mark.parametrize("where", LOST)
def test_command_completes_although_its_output_cannot_be_written(host: AttackedHost, where: str) -> None:
    orders = {
        "install --wait 30": 2,
        "hold one": 2,
        "release": 2,
        "stop": 0,
        "start": 2,
        "restart --wait 30": 2,
        "render --output /tmp/rendered": 2,
        "uninstall": 0,
    }
    for words, running in orders.items():
        done = host.procman(f"{words} {LOST[where]}")
        errors = [line for line in done.stderr.splitlines() if not line.startswith(("note: ", "@reboot "))]
        once = "procman: cannot write output (No space left on device); continuing"
        assert errors == ([once] if where == "a full disk" else []), words
        assert_asleep(host, running)


def test_command_completes_after_its_reader_has_closed_the_pipe(host: AttackedHost) -> None:
    done = host.run(
        f"(sleep 0.3; procman --config {CONFIGURATION} install --no-check --wait 30; echo $? >&2) | true", "root"
    )
    assert "cannot write output (Broken pipe); continuing" in done.stderr
    assert done.stderr.endswith("\n0\n")
    assert host.procman("diff --exit-code").stdout == ""
    assert_asleep(host, 2)


def test_failure_that_cannot_be_reported_exits_with_1(host: AttackedHost) -> None:
    failing = TOML.replace('["sleep", "1000"]', '["false"]', 1)
    host.configure(text=failing.replace("start_seconds = 0", "start_seconds = 1"))
    done = host.procman("install --wait 8 >/dev/full 2>&1", check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert_asleep(host, 1)  # the failed program was removed, and the other one stays


def test_output_that_cannot_be_written_is_a_failure_without_a_traceback(host: AttackedHost) -> None:
    host.procman("install --wait 30")
    for words in ("status", "status --json", "health", "history", "schema", "render", "--help"):
        full = host.procman(f"{words} >/dev/full", check=False)
        assert full.returncode == (3 if words == "health" else 1), words
        assert full.stderr == "procman: cannot write output: No space left on device\n"
        assert host.procman(f"{words} >/dev/full 2>&1", check=False).returncode == full.returncode
        assert host.procman(f"{words} >&-").stderr == ""
        gone = host.run(f"(sleep 0.3; procman --config {CONFIGURATION} {words}) | true", "root")
        assert gone.stderr == ""
