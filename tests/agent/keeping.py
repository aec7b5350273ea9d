"""Keepers for tests, with simulated workers or real ones, and without a process manager."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procman.agent import slots
from tests.agent.conftest import Spawn
from tests.agent.launching import Installation, Launched, wait_until

# It has a lock, a heartbeat and handlers, as a worker under the launcher has, and does what files beside it order.
WORKER = """
import fcntl, json, os, signal, subprocess, sys, time
from pathlib import Path

orders, run, name = Path(sys.argv[1]), Path(os.environ["PROCMAN_RUN_DIRECTORY"]), sys.argv[2]
lock = os.open(run / "lock", os.O_RDWR | os.O_CREAT)
fcntl.lockf(lock, fcntl.LOCK_EX)

def log(*words):
    print(name, *words, flush=True)

def handle(number, _):
    log(signal.Signals(number).name, "draining" if (run / "draining").exists() else "")
    global stops
    stops += number == signal.SIGTERM

stops = 0
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, handle)
child = subprocess.Popen(["sleep", "600"]) if "child" in sys.argv[3:] else None
log("started", os.environ.get("CODE", ""), child.pid if child else "")
phase = "starting"
while not (stops and not (orders / (name + "-works")).exists()):
    if (orders / (name + "-exits")).exists():
        sys.exit(int((orders / (name + "-exits")).read_text()))
    if phase == "starting" and not (orders / "broken").exists():
        phase = "consuming"
    heartbeat = {"pid": os.getpid(), "written": time.monotonic(), "phase": phase, "ready": True, "verdict": {}}
    (run / "new").write_text(json.dumps(heartbeat))
    (run / "new").rename(run / "heartbeat.json")
    time.sleep(0.05)
log("ended")
"""


@dataclass
class Kept:
    """A keeper in the run directory of an installation."""

    installation: Installation
    spawn: Spawn
    launch: dict[str, Any]
    launched: list[Launched]

    @property
    def keeper(self) -> Launched:
        return self.launched[-1]

    @property
    def text(self) -> str:
        return self.keeper.text

    def start(self, **more: str) -> Launched:
        self.write_launch()
        for slot in self.launch["node_names"]:
            Path(slots.directory_of(str(self.installation.run_directory), slot)).mkdir(exist_ok=True)
        python, library = self.installation.python, self.installation.launcher.parent
        words = [str(python), "-I", "-S", "-B", str(library / "keeper.py"), str(self.launch_file)]
        self.launched.append(
            self.spawn(words, self.installation.project, self.installation.environment("worker", **more))
        )
        return self.keeper

    @property
    def launch_file(self) -> Path:
        return self.installation.directory / "launch.json"

    def write_launch(self, **more: Any) -> None:
        self.launch = {**self.launch, **more}
        self.launch_file.write_text(json.dumps(self.launch))

    def order(self, name: str, text: str = "") -> Path:
        path = self.installation.project / name
        path.write_text(text)
        return path

    # What it reports -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.installation.run_directory / slots.STATE).read_text())
        return found

    def slots(self) -> dict[str, str]:
        """Return the state of the process in each slot."""
        try:
            return {each["slot"]: each["state"] for each in self.state()["workers"]}
        except FileNotFoundError:
            return {}

    def wait_for_slots(self, **expected: str) -> None:
        wait_until(lambda: self.slots() == expected, lambda: f"{expected}, not {self.slots()}:\n{self.text}")

    def overlap(self) -> tuple[str, str]:
        """Order an overlap; return its outcome and the reason."""
        before = self.state()["overlap"]["number"]
        self.send(signal.SIGHUP)

        def is_over() -> bool:
            found = self.state()["overlap"]
            return bool(found["number"] > before and found["outcome"] != "begun")

        wait_until(is_over, lambda: f"the end of an overlap in:\n{self.text}")
        found = self.state()["overlap"]
        return found["outcome"], found["reason"]

    def pid_in(self, slot: str) -> int:
        return next(int(each["pid"]) for each in self.state()["workers"] if each["slot"] == slot)

    def send(self, number: int) -> None:
        os.kill(self.keeper.process.pid, number)


def kept(installation: Installation, spawn: Spawn, *arguments: str) -> Kept:
    """Return a keeper of simulated workers, which is not started yet."""
    script = installation.directory / "worker.py"
    script.write_text(WORKER)
    launch = {
        "format": 1,
        "argv": [sys.executable, "-I", "-S", str(script), str(installation.project), None, *arguments],
        "environment": {"CODE": "old"},
        "node_names": {slot: slots.node_name("crop@%h", slot) for slot in slots.names(2)},
        "overlap_max": 2,
        "overlap_seconds": 60,
        "stop_timeout_seconds": 60,
        "restart_seconds": 0.2,
    }
    return Kept(installation, spawn, launch, [])
