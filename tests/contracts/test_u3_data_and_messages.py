"""U3: stdout carries data and stderr messages; JSON wherever a person sees a table; nothing prompts or is coloured."""

from __future__ import annotations

import json

from tests.attacks.host import AttackedHost

AS_DATA = ("status --json", "events --json", "history --json", "check --json", "health --format json", "schema")


def test_what_a_machine_asks_for_it_can_read(host: AttackedHost) -> None:
    host.procman("install --wait 30")
    for words in AS_DATA:
        done = host.procman(words, check=False)
        assert done.returncode in (0, 1), done.stderr
        # Events are a document on each line, as they are kept.
        documents = done.stdout.splitlines() if words.startswith("events") else [done.stdout]
        assert all(isinstance(json.loads(document), dict | list) for document in documents), words


def test_no_colour_and_no_progress_without_a_terminal(host: AttackedHost) -> None:
    orders = (
        "check",
        "diff",
        "install --wait 30",
        "status",
        "health",
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


def test_what_went_wrong_is_on_stderr(host: AttackedHost) -> None:
    done = host.procman("status", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("procman: catmaid is not installed")
