"""A real supervisord in a short temporary directory, for the tests that need one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from procman.backends.supervisor.client import Client
from procman.backends.supervisor.configuration.main_file import read_main_file
from procman.backends.supervisor.controller import SupervisorController
from procman.backends.supervisor.graceful_stop import stop_gracefully
from procman.host import process
from procman.model import Action, Activation, InstalledProgram, Kind, ProgramState
from tests.needs import requires

PATIENCE_SECONDS = 120
"""How long a test waits for something that should come at once."""

WORKER = '''
"""Stands for a Celery worker: has a child, and at TERM finishes its running task first."""
import os, signal, sys, time
name, task_seconds, import_seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
def record(word):
    with open(name + ".log", "a") as log:
        log.write("%s %d %r\\n" % (word, os.getpid(), time.time()))
record("start")
time.sleep(import_seconds)
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while os.getppid() > 1:
        time.sleep(0.05)
    os._exit(0)
def lost(*_):
    pid, _ = os.waitpid(child, os.WNOHANG)
    if pid:
        record("lost")
        os._exit(1)
def warm(*_):
    record("term")
    deadline = time.time() + task_seconds
    while time.time() < deadline:
        lost()
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    record("finished")
    os._exit(0)
signal.signal(signal.SIGTERM, warm)
record("ready")
while os.path.exists(sys.argv[0]):  # else the test is over, and has lost sight of it
    lost()
    time.sleep(0.02)
'''

SLOW_EXEC = """
import sys, time
from supervisor import options, supervisord
seconds, execve = float(sys.argv.pop(1)), options.ServerOptions.execve
options.ServerOptions.execve = lambda *words: (time.sleep(seconds), execve(*words))
supervisord.main()
"""
"""supervisord on a host so busy that what it starts stays its own copy for a while."""

T = TypeVar("T")


def eventually(probe: Callable[[], T], what: str = "") -> T:
    """Return the result of `probe` as soon as it is true; fail if that takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, what or "it never came"
        time.sleep(0.02)


def installed(
    name: str, *, autostart: bool = True, stop_timeout: int = 20, log_file: str | None = None
) -> InstalledProgram:
    """Return the program `name` as a manifest records it."""
    return InstalledProgram(
        name=name,
        key=f"worker.{name}",
        kind=Kind.WORKER,
        autostart=autostart,
        stop_timeout_seconds=stop_timeout,
        start_seconds=0,
        launcher=False,
        user=None,
        log_file=log_file,
    )


class Supervisord:
    """A supervisord in the foreground below the test, with `DIRECTORY/conf.d/*.conf` included."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pm", dir="/tmp"))
        self.directory.chmod(0o755)
        self.configuration = self.directory / "supervisord.conf"
        self.socket = self.directory / "s"
        self.sections = self.directory / "conf.d"
        self.sections.mkdir()
        (self.directory / "worker.py").write_text(WORKER)
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: set[int] = set()
        self.configure()

    def configure(self, **supervisord: str) -> None:
        """Write the main file, with further options of `[supervisord]`."""
        options = {"logfile": "%(here)s/log", "pidfile": "%(here)s/pid", "childlogdir": "%(here)s", "user": ""}
        options = options | ({"user": "root"} if os.geteuid() == 0 else {}) | supervisord
        lines = [f"{name}={value}" for name, value in options.items() if value]
        self.configuration.write_text(
            "[supervisord]\n" + "\n".join(lines) + "\n"
            "[unix_http_server]\nfile=%(here)s/s ; where it listens\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            "[supervisorctl]\nserverurl=unix://%(here)s/s\n"
            "[include]\nfiles=conf.d/*.conf\n"
        )

    def section(self, name: str, command: object = "sleep 1000", **options: object) -> Path:
        """Write the section of a program without a group, as procman does, but with short times; return its file."""
        values = {
            "command": command,
            "directory": self.directory,
            "autorestart": "true",
            "startsecs": 0,
            "startretries": 1000,
            "stopwaitsecs": 20,
            "stopasgroup": "false",
            "killasgroup": "true",
        }
        text = f"[program:{name}]\n" + "".join(f"{key}={value}\n" for key, value in {**values, **options}.items())
        file = self.sections / f"{name}.conf"
        file.write_text(text)
        return file

    def worker(self, name: str, task_seconds: float = 0, import_seconds: float = 0, **options: object) -> Path:
        """Write the section of a program that behaves like a Celery worker and records `events`."""
        return self.section(name, self.worker_command(name, task_seconds, import_seconds), **options)

    def worker_command(self, name: str, task_seconds: float = 0, import_seconds: float = 0) -> str:
        """Return the command of such a worker, with the seconds that its task and its import take."""
        words = [
            sys.executable,
            "-S",
            self.directory / "worker.py",
            self.directory / name,
            task_seconds,
            import_seconds,
        ]
        return " ".join(map(str, words))

    def events(self, name: str) -> list[str]:
        """Return the events that the worker `name` recorded: start, ready, term, finished or lost."""
        with contextlib.suppress(FileNotFoundError):
            return [line.split()[0] for line in (self.directory / f"{name}.log").read_text().splitlines()]
        return []

    def moment(self, name: str, event: str) -> float:
        """Return when the worker `name` first recorded `event`, in seconds since the epoch."""
        lines = (self.directory / f"{name}.log").read_text().splitlines()
        return next(float(line.split()[2]) for line in lines if line.split()[0] == event)

    def start(self, *, exec_seconds: float = 0, output: int = subprocess.DEVNULL, **environment: str) -> Supervisord:
        """Start it and return once it answers; its forks wait `exec_seconds` before they execute a program."""
        requires("supervisord")
        how = ["-c", SLOW_EXEC, str(exec_seconds)] if exec_seconds else ["-m", "supervisor.supervisord"]
        self._process = subprocess.Popen(
            [sys.executable, *how, "-n", "-c", str(self.configuration)],
            cwd=self.directory,
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], **environment},
        )
        eventually(self._answers, "supervisord does not answer")
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "supervisord ended"
        try:
            return bool(self.client.call("getState"))
        except Exception:
            return False

    @property
    def pid(self) -> int:
        """The pid of supervisord."""
        assert self._process is not None
        return self._process.pid

    @property
    def client(self) -> Client:
        """A client that calls supervisord directly, without the controller."""
        return Client(read_main_file(self.configuration), "", 10)

    def controller(self, timeout: float = 10, patience: float = 60) -> SupervisorController:
        """Return procman's controller for this supervisord."""
        return SupervisorController(self.configuration, embedded=False, timeout=timeout, patience=patience)

    def stop(self, name: str) -> None:
        """Stop the program `name` on purpose, as an administrator does, and wait until it has stopped."""
        # Not by stopProcess: TERM may be lost on a program that was started a moment ago.
        stop_gracefully(self.client, {name: PATIENCE_SECONDS}, lambda _: None)

    def info(self, name: str) -> dict[str, object]:
        """Return supervisord's answer for `name`; empty if it is not loaded."""
        return dict(self.client.infos([name])[name] or {})

    def state(self, name: str) -> str:
        """Return the state of `name`; empty if it is not loaded."""
        return str(self.info(name).get("statename", ""))

    def names(self) -> list[str]:
        """Return all loaded programs, as `group:name`."""
        return sorted(f"{info['group']}:{info['name']}" for info in self.client.call("getAllProcessInfo"))

    def remember(self, pid: int) -> None:
        """End the processes that the supervisord `pid` has started when the test ends."""
        self._seen |= set(process.children(pid))

    def kill(self) -> None:
        """Kill it as `kill -9` does."""
        assert self._process is not None
        self.remember(self.pid)
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it and everything it started, by pid."""
        if self._process and self._process.poll() is None:
            self.kill()
        for pid in self._seen:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


def ignore(_: str) -> None:
    """Discard progress messages."""


def state(supervisord: Supervisord, program: InstalledProgram) -> ProgramState:
    """Return the state that procman reports; `Supervisord.state` returns supervisord's."""
    return supervisord.controller().states([program])[0]


def activate(supervisord: Supervisord, action: Action, program: InstalledProgram, desired: bool | None = None) -> str:
    """Apply one action of an install to a program; return the message about it."""
    return supervisord.controller().activate(Activation(action, program, desired), ignore)


def as_nobody(function: Callable[[], object]) -> object:
    """Return the result of `function` in a child process with the user id 65534; it must be valid JSON."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(writer, json.dumps(function()).encode())
        except BaseException as error:
            os.write(writer, json.dumps(f"raised {error!r}").encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text)
