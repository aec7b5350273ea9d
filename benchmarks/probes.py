"""Compare the probe of a container with those that public charts use: CPU time, and what each says of the same faults.

python -m benchmarks.probes. Real workers and a beat of Celery 5.7 with a Redis of their own, without containers. A
probe is right if it succeeds for a program that a restart would not help, and fails for one that it would.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agent.launching import Installation, install_launcher
from tests.celery_environments import CELERY_REDIS, environment_of
from tests.redis_server import running_redis

APP = """
import os, time
from celery import Celery
from celery.signals import heartbeat_sent, worker_ready

app = Celery("site", broker=os.environ["BROKER"])
app.conf.update(beat_schedule={"tick": {"task": "mysite.nothing", "schedule": 1.0, "options": {"queue": "ticks"}}})
app.conf.broker_connection_retry_on_startup = True

@app.task(name="mysite.wait")
def wait(path):
    while not os.path.exists(path):
        time.sleep(0.1)

@app.task(name="mysite.nothing")
def nothing():
    pass

@worker_ready.connect
@heartbeat_sent.connect
def touch(**arguments):
    open(os.environ["TOUCHED"], "w").close()
"""

SHORT = {
    "PROCMAN_HEARTBEAT_SECONDS": "1",
    "PROCMAN_STALE_SECONDS": "5",
    "PROCMAN_STALL_SECONDS": "5",
    "PROCMAN_INTERVAL_SECONDS": "1",
    "PROCMAN_FAILURES": "2",
    "PROCMAN_HEAL": "0",
}
WORKER = ("-A", "mysite", "worker", "-l", "warning", "--without-mingle", "--without-gossip")
BEAT = ("-A", "mysite", "beat", "-l", "warning", "--pidfile=")

PATIENCE_SECONDS = 120.0
RUNS, MANY_RUNS = 5, 100
OLD_SECONDS = 20
"""The age of a file above which a probe by its age fails: Celery touches it every 2 seconds."""


@dataclass
class Started:
    """One program and the commands that ask about it."""

    name: str
    process: subprocess.Popen[bytes]
    installation: Installation
    environment: Mapping[str, str]

    def heartbeat(self) -> dict[str, Any]:
        """Return the latest heartbeat; empty before the first one."""
        try:
            found: dict[str, Any] = json.loads((self.installation.run_directory / "heartbeat.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def wait_for(self, holds: Callable[[dict[str, Any]], object]) -> None:
        """Wait until its heartbeat is as expected."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds(self.heartbeat()):
            if time.monotonic() > end:
                raise SystemExit(f"{self.name}: {self.heartbeat()}")
            time.sleep(0.1)

    def probes(self) -> dict[str, list[str]]:
        """Return the command of each kind of probe."""
        python = str(self.installation.python)
        celery = [str(self.installation.python.with_name("celery")), "-A", "mysite", "inspect", "ping"]
        touched = self.environment["TOUCHED"]
        is_beat = self.environment["PROCMAN_KIND"] == "beat"
        return {
            "probe.py live": [python, "-IS", str(self.installation.launcher.with_name("probe.py")), "live"],
            "inspect ping": celery,
            # Beat has no node name, and nothing in it touches a file.
            "inspect ping -d": [] if is_beat else [*celery, "-d", f"{self.name}@bench"],
            "age of a file": []
            if is_beat
            else ["sh", "-c", f"test $(($(date +%s) - $(stat -c %Y {touched}))) -lt {OLD_SECONDS}"],
            "pgrep": ["pgrep", "-f", self.name],
        }


@dataclass(frozen=True)
class Asked:
    """The answer of one probe."""

    succeeded: bool
    cpu_seconds: float


def ask(started: Started, command: Sequence[str]) -> Asked:
    """Run a probe as an engine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        cwd=started.installation.project,
        env=dict(started.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Asked(done.returncode == 0, cpu)


class Bench:
    """A broker and the programs on it."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self.stack = directory, stack
        environment = environment_of(CELERY_REDIS)
        if environment is None:
            raise SystemExit("no virtualenv with Celery")
        self.python = environment.python
        self.redis = stack.enter_context(running_redis(directory))

    def start(self, name: str, kind: str, *words: str, broker: str = "") -> Started:
        """Start a worker or beat, stopped at the end of the measurements."""
        installation = install_launcher(self.directory / name, self.python)
        (installation.project / "mysite.py").write_text(APP)
        environment = installation.environment(kind, **SHORT, PROCMAN_PROGRAM=name)
        environment["TOUCHED"] = str(self.directory / f"{name}.touched")
        environment["BROKER"] = broker or self.redis.url(len(list(self.directory.glob("*/library"))))
        Path(environment["TOUCHED"]).touch()
        of_beat, of_worker = (*BEAT, "-s", str(self.directory / f"{name}-schedule")), (*WORKER, "-n", f"{name}@bench")
        arguments = of_beat if kind == "beat" else (*of_worker, "-c", "1")
        log = (self.directory / f"{name}.log").open("wb")
        process = subprocess.Popen(
            installation.words(*arguments, *words), cwd=installation.project, env=environment, stdout=log, stderr=log
        )
        self.stack.callback(end, process)
        return Started(name, process, installation, environment)

    def send(self, started: Started, task: str, *words: str) -> None:
        """Send a task to the broker of `started`."""
        text = f"from mysite import app; app.send_task({task!r}, {list(words)!r})"
        subprocess.run(
            [self.python, "-c", text], cwd=started.installation.project, env=dict(started.environment), check=True
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program however it is."""
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()


@contextmanager
def bench() -> Iterator[Bench]:
    """Yield a broker in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="pmb") as directory, ExitStack() as stack:
        yield Bench(Path(directory), stack)


def situations(of: Bench) -> Iterator[tuple[str, bool, Started]]:
    """Yield each situation, whether a probe should succeed in it, and the program."""
    worker = of.start("plain", "worker")
    worker.wait_for(lambda found: found.get("phase") == "consuming" and found["ready"] is not False)
    yield "a worker that consumes", True, worker
    solo = of.start("solo", "worker", "--pool=solo")
    solo.wait_for(lambda found: found.get("phase") == "consuming")
    of.send(solo, "mysite.wait", str(of.directory / "never"))
    solo.wait_for(lambda found: found["busy"])
    time.sleep(OLD_SECONDS + 5)
    yield "a busy worker (solo)", True, solo
    away = of.start("away", "worker", broker="redis://127.0.0.1:9/0")
    away.wait_for(lambda found: found.get("phase") == "starting")
    time.sleep(OLD_SECONDS)
    yield "a worker whose broker is away", True, away
    deaf = of.start("deaf", "worker")
    deaf.wait_for(lambda found: found.get("phase") == "consuming")
    cancel = "from mysite import app; app.control.cancel_consumer('celery', reply=True)"
    subprocess.run([of.python, "-c", cancel], cwd=deaf.installation.project, env=dict(deaf.environment), check=True)
    of.send(deaf, "mysite.nothing")
    deaf.wait_for(lambda found: found["verdict"]["code"] == "PM301")
    yield "a worker that takes no messages", False, deaf
    other = of.start("other", "worker", broker=worker.environment["BROKER"])
    other.wait_for(lambda found: found.get("phase") == "consuming")
    os.kill(worker.process.pid, signal.SIGSTOP)
    time.sleep(OLD_SECONDS + 5)
    yield "a frozen worker beside another one", False, worker
    beat = of.start("beat", "beat", broker=other.environment["BROKER"])
    beat.wait_for(lambda found: found.get("phase") == "ticking")
    yield "a beat that ticks", True, beat
    os.kill(beat.process.pid, signal.SIGSTOP)
    time.sleep(OLD_SECONDS + 5)
    yield "a frozen beat", False, beat


def main() -> None:
    """Print a table."""
    with bench() as of:
        for number, (what, expected, started) in enumerate(situations(of)):
            probes = started.probes()
            if number == 0:
                _print_cpu(started, probes)
                print(f"| situation | should | {' | '.join(probes)} |\n|{'---|' * (len(probes) + 2)}")
            cells = [_cell(started, command, expected) for command in probes.values()]
            print(f"| {what} | {'succeed' if expected else 'fail'} | {' | '.join(cells)} |", flush=True)


def _print_cpu(started: Started, probes: Mapping[str, Sequence[str]]) -> None:
    """Print what one answer costs, of many: the minimum is that of a quiet machine."""
    python = [str(started.installation.python), "-IS", "-c", ""]
    print("| CPU time of | runs | minimum | median |\n|---|---|---|---|")
    for name, command, runs in (
        ("Python without a program, `-IS`", python, MANY_RUNS),
        *((f"`{name}`", probes[name], MANY_RUNS if name.startswith("probe.py") else RUNS) for name in [*probes][:2]),
    ):
        cpu = [ask(started, command).cpu_seconds * 1000 for _ in range(runs)]
        print(f"| {name} | {runs} | {min(cpu):.0f} ms | {statistics.median(cpu):.0f} ms |", flush=True)
    print()


def _cell(started: Started, command: Sequence[str], expected: bool) -> str:
    if not command:
        return "-"
    asked = [ask(started, command) for _ in range(RUNS)]
    shown = "succeeds" if asked[-1].succeeded else "fails"
    shown = shown if asked[-1].succeeded is expected else f"**{shown}**"
    return f"{shown}, {statistics.median(each.cpu_seconds for each in asked) * 1000:.0f} ms"


if __name__ == "__main__":
    main()
