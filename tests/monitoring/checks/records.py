"""Records for the checks: a project with one healthy worker, which a test can change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from procman.agent import LAUNCHER
from procman.agent.heartbeat_format import read
from procman.agent.verdict import Thresholds, verdict
from procman.celery_cli.running import CELERY
from procman.config.directories import directories_for
from procman.host.process_table import look_at
from procman.install.state.manifest import Manifest
from procman.model import (
    BackendName,
    InstalledProgram,
    Kind,
    Level,
    ProgramState,
    Result,
    Scope,
    State,
    SupervisorMode,
    SupervisorSettings,
)
from procman.monitoring.checks.inputs import Heartbeat, ProgramSnapshot, ProjectSnapshot

NAME = "demo-celery"

WAITING = "import sys; print('ready', flush=True); sys.stdin.read()\n"
"""Ends when stdin ends; the words that follow only show in its command line."""

MANIFEST = Manifest(
    procman="1",
    project="demo",
    scope=Scope.SYSTEM,
    backend=BackendName.SUPERVISOR,
    configuration_file=Path("/srv/demo/procman.toml"),
    configuration_digest="0",
    templates_digest="0",
    directories=directories_for("demo", Scope.SYSTEM, {}),
    supervisor=SupervisorSettings(SupervisorMode.EXISTING, Path("/etc/supervisord.conf"), "/etc/supervisord.d/*.ini"),
    programs=(),
    files=(),
    rendered_directories=(),
    app="mysite",
    directory=Path("/srv/demo"),
    virtualenv=Path("/srv/demo/env"),
)


def program(kind: Kind = Kind.WORKER, **changed: Any) -> InstalledProgram:
    """Return the worker `demo-celery`, or another program."""
    key = "worker.celery" if kind is Kind.WORKER else kind.value
    made = {
        "name": NAME if kind is Kind.WORKER else f"demo-{kind.value}",
        "key": key,
        "kind": kind,
        "autostart": True,
        "stop_timeout_seconds": 600,
        "start_seconds": 10,
        "launcher": True,
        "user": None,
        "log_file": None,
        **changed,
    }
    return InstalledProgram(**made)


def state(kind: State = State.RUNNING, pid: int | None = None, **changed: Any) -> ProgramState:
    """Return the state that a process manager reports; RUNNING has the pid of the tests, unless one is given."""
    if kind is State.RUNNING and pid is None:
        pid = os.getpid()
    return ProgramState(NAME, **{"desired": True, "state": kind, "pid": pid, **changed})


def heartbeat(kind: str = "worker", **changed: Any) -> dict[str, Any]:
    """Return the heartbeat of a healthy worker or beat with a prefork pool of two slots, as written just now."""
    now = time.monotonic()
    content = {
        "format": 1,
        "program": NAME,
        "kind": kind,
        "boot_id": None,
        "pid": os.getpid(),
        "started": now - 600,
        "interval": 5.0,
        "written": now,
        "wall": time.time(),
        "phase": "consuming" if kind == "worker" else "ticking",
        "phase_since": now - 590,
        "loop": now if kind == "worker" else None,
        "pool": "prefork" if kind == "worker" else None,
        "slots": 2 if kind == "worker" else None,
        "busy": 0 if kind == "worker" else None,
        "reserved": 0 if kind == "worker" else None,
        "finished": 7,
        "progress": now,
        "queues": [],
        "queues_asked": now,
        "tick": now,
        "tick_due": now + 5,
        "next_due": now + 60,
        "next_entry": "clean-up",
        "scheduler": "celery.beat:PersistentScheduler" if kind == "beat" else None,
        **changed,
    }
    return read(json.dumps(content))


def snapshot(content: dict[str, Any] | None = None, **changed: Any) -> ProgramSnapshot:
    """Return a program with the heartbeat `content`, judged as `procman health` judges it."""
    made: dict[str, Any] = {"program": program(), "state": state(), **changed}
    if content is not None:
        found = verdict(content, time.monotonic(), Thresholds(30, 300, 600))
        made = {"heartbeat": Heartbeat(content), "verdict": found, **made}
    return ProgramSnapshot(**made)


def running(*programs: ProgramSnapshot, **changed: Any) -> ProjectSnapshot:
    """Return a project with `programs` and the processes that exist now; `changed` may name fields of its manifest."""
    launcher = changed.get("launcher", Path("/usr/local/lib/procman/demo/launcher.py"))
    of_manifest = {name: changed.pop(name) for name in [each.name for each in fields(Manifest)] if name in changed}
    mains = [each.state.pid for each in programs if each.state.pid] + list(changed.get("others", ()))
    made: dict[str, Any] = {
        "manifest": replace(MANIFEST, **of_manifest),
        "launcher": launcher,
        "programs": programs,
        "processes": look_at(mains, [LAUNCHER, CELERY]),
        **changed,
    }
    return ProjectSnapshot(**made)


def reported(results: Iterator[Result]) -> tuple[Level, str]:
    """Return level and detail of the only result."""
    [result] = results
    return result.level, result.detail


@contextmanager
def family(children: int, *words: str, code: str = "", cwd: Path | None = None) -> Iterator[int]:
    """Run a process with `children` below it and yield its pid; `words` end its command line."""
    main = """
import subprocess, sys
sleeper = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
children = [subprocess.Popen(sleeper, stdout=subprocess.PIPE) for _ in range(int(sys.argv[1]))]
for child in children:
    child.stdout.readline()
exec(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.kill()
    child.wait()
"""
    command = [sys.executable, "-c", main, str(children), code, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            assert process.stdin
            process.stdin.close()


@contextmanager
def celery(directory: Path, *arguments: str) -> Iterator[int]:
    """Run a process that looks like `celery ARGUMENTS` in `directory`."""
    script = directory / "bin" / "celery"
    script.parent.mkdir(exist_ok=True)
    script.write_text(WAITING)
    command = [sys.executable, str(script), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)
