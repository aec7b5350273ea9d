"""R11: a program that was stopped on purpose is not started by install, rollback or healing."""

from __future__ import annotations

import json

from tests.attacks.host import AttackedHost
from tests.product import eventually


def states(host: AttackedHost) -> dict[str, tuple[str, bool]]:
    document = json.loads(host.procman("status --json", check=False).stdout)
    return {program["name"]: (program["state"], program["wanted"]) for program in document["programs"]}


def test_only_start_starts_a_stopped_program(host: AttackedHost) -> None:
    host.procman("install --wait 30")
    host.procman("stop two")
    stopped = {"catmaid-one": ("RUNNING", True), "catmaid-two": ("STOPPED", False)}
    assert states(host) == stopped
    for turn, words in enumerate(("install --wait 30", "install", "rollback", "heal", "restart", "install --wait 30")):
        host.configure(rest=f"[environment]\nTURN = '{turn}'\n")
        done = host.procman(words)
        assert ("catmaid-two: stopped on purpose, so it is not restarted" in done.stderr) is (words == "restart")
        assert states(host) == stopped, words
    eventually(lambda: len(host.asleep()) == 1, "the program that runs sleeps")
    host.procman("start two")
    assert {state for state, _ in states(host).values()} <= {"RUNNING", "STARTING"}
