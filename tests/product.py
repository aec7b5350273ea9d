"""procman as users run it, in one directory: the command line, an embedded supervisord and the demo project."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.celery_environments import CeleryEnvironment

T = TypeVar("T")

DEMO = Path(__file__).parent.parent / "demo"
SEND = """
import json, os, sys, tempfile
import django
django.setup()
from counting import tasks
from mysite import celery

task, arguments, queues = json.loads(sys.argv[1])
for number, queue in enumerate(queues):
    arguments[0] += 1 if number else 0
    getattr(tasks, task).apply_async(arguments, queue=queue)
"""

PATIENCE_SECONDS = 120.0
"""How long a test waits for something that should happen soon."""


class Product:
    """A project in user scope with its own supervisord; `close` ends everything that it started."""

    def __init__(self, environment: CeleryEnvironment) -> None:
        # A short name, because the path of a unix socket has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="pm"))
        # By this path, a beat that a test starts by hand is one of this product alone (PM110).
        self.virtualenv = self.directory / "env"
        self.virtualenv.symlink_to(environment.directory)
        # Of its own, so that no program of another test is taken for one of this project.
        self.code = self.directory / "code"
        shutil.copytree(DEMO, self.code, ignore=shutil.ignore_patterns("var", "__pycache__"))
        self.data = self.directory / "data"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "XDG_CONFIG_HOME": str(self.directory / "c"),
            "XDG_STATE_HOME": str(self.directory / "s"),
            "XDG_DATA_HOME": str(self.directory / "d"),
            "PYTHONPATH": str(DEMO.parent),
            "DEMO_DATA_DIRECTORY": str(self.data),
            # As with sudo: root runs procman from the checkout of another user.
            "SUDO_UID": str(DEMO.stat().st_uid),
        }
        self.configuration = self.directory / "procman.toml"
        self.prefix: tuple[str, ...] = ()
        """Words before each command of procman, which runs it elsewhere."""
        self.checks_before_installs = False
        """Off by default: `procman check` takes some seconds and has its own tests."""

    @property
    def supervisord_configuration(self) -> Path:
        return self.directory / "c/procman/supervisor/supervisord.conf"

    def configure(self, programs: str, *, environment: str = "", project: str = "") -> None:
        """Write procman.toml with the demo project and the tables `programs`; `project`: more keys of `[project]`."""
        self.configuration.write_text(
            f"""
[project]
name = "catmaid"
app = "mysite"
directory = "{self.code}"
virtualenv = "{self.virtualenv}"
settings = "mysite.settings"
scope = "user"
{project}
[environment]
DEMO_DATA_DIRECTORY = "{self.data}"
{environment}
[defaults.program]
start_seconds = 1

{programs}

[supervisor]
mode = "embedded"
"""
        )

    def procman(self, *arguments: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run procman; with `check`, its exit status must be 0."""
        if arguments[0] == "install" and not self.checks_before_installs:
            arguments = (*arguments, "--no-check")
        done = subprocess.run(
            [*self.prefix, sys.executable, "-m", "procman", "--config", str(self.configuration), *arguments],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    @property
    def procman_line(self) -> str:
        """Return the command that messages name for this project."""
        return f"procman --config {self.configuration}"

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the programs of `procman status --json` by name."""
        document = json.loads(self.procman("status", "--json", check=False).stdout)
        return {program["name"]: program for program in document["programs"]}

    def supervisorctl(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run supervisorctl as an administrator does."""
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.supervisord_configuration)]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=timeout, check=False)

    def supervisord_pid(self) -> int:
        """Return the pid of the embedded supervisord."""
        return int(self.supervisorctl("pid").stdout)

    def send(self, task: str, *arguments: object, queue: str | None = None, times: int = 1) -> None:
        """Send `task` of the demo's `counting` app; with `times` above 1, the first argument counts up."""
        self.send_each(task, *arguments, queues=[queue] * times)

    def send_each(self, task: str, *arguments: object, queues: Iterable[str | None]) -> None:
        """Send `task` to each of `queues`; the first argument counts up."""
        request = json.dumps([task, list(arguments), list(queues)])
        environment = {**self.environment, "DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": str(self.code)}
        subprocess.run(
            [self.virtualenv / "bin/python", "-c", SEND, request], env=environment, cwd=self.code, check=True
        )

    def celery(self, *words: str) -> subprocess.Popen[bytes]:
        """Run `celery -A mysite WORDS` by hand, without procman."""
        environment = {**self.environment, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
        environment["PYTHONPATH"] = f"{self.code}:{self.environment['PYTHONPATH']}"
        command = [str(self.virtualenv / "bin/python"), "-m", "celery", "-A", "mysite", *words]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, env=environment, cwd=self.directory, stdout=quiet, stderr=quiet)

    def counted(self, name: str) -> Counter[int]:
        """Return how often each number is in the file `name` (`started`, `finished`)."""
        path = self.data / "counted" / name
        return Counter(int(line) for line in path.read_text().split()) if path.exists() else Counter()

    def processes(self) -> list[psutil.Process]:
        """Return all processes of this product's programs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("DEMO_DATA_DIRECTORY") == str(self.data):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def main_processes(self, node_name: str) -> list[int]:
        """Return the pids of the main processes with `node_name` in their command line, or of `beat`."""
        alike = [each for each in self.processes() if any(node_name in word for word in _arguments(each))]
        pids = {each.pid for each in alike}
        return [each.pid for each in alike if _parent(each) not in pids]

    @staticmethod
    def command_line(pid: int) -> str:
        """Return the command line of process `pid`."""
        return " ".join(_arguments(psutil.Process(pid)))

    def close(self) -> None:
        """End everything that was started here and remove it."""
        for _ in range(2):
            for process in [*self._supervisords(), *self.processes()]:
                try:
                    process.send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    continue
        shutil.rmtree(self.directory, ignore_errors=True)

    def _supervisords(self) -> list[psutil.Process]:
        ours = str(self.supervisord_configuration)
        return [process for process in psutil.process_iter() if ours in _arguments(process)]


def eventually(probe: Callable[[], T | None], what: str | Callable[[], str], patience: float = PATIENCE_SECONDS) -> T:
    """Wait until `probe` returns something true, and return that; fail with `what` after `patience` seconds.

    The pauses grow with the duration of the probe, to leave the processor to the programs.
    """
    deadline = time.monotonic() + patience
    asked = time.monotonic()
    while not (found := probe()):
        now = time.monotonic()
        assert now < deadline, f"waited {patience:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(max(0.05, 2 * (now - asked)))
        asked = time.monotonic()
    return found


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None
