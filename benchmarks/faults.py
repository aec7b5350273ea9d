"""What procman finds of real faults, beside `celery inspect ping`, a pid check, and autorestart alone.

Each fault is caused twice: under procman as it is, and under the same supervisord with nobody looking after the
programs, which is what autorestart alone gives. Prints a table for docs/health.md.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import DEMO, Product

STALE, STALL, INTERVAL, FAILURES = 8, 6, 1, 3
WATCHED_SECONDS = 45.0

PROGRAMS = """
[worker.frozen]
queues = ["frozen"]
concurrency = 1
[worker.cancelled]
queues = ["cancelled"]
concurrency = 1
[worker.pool]
queues = ["pool"]
concurrency = 1
stop_timeout_seconds = 3
[worker.killed]
queues = ["killed"]
concurrency = 1
[worker.solo]
queues = ["solo"]
pool = "solo"
[beat]
"""


@dataclass
class Fault:
    """A fault, the program it befalls, and how it is caused."""

    what: str
    program: str
    cause: Callable[[Product, int], None]
    is_fault: bool = True


def _cancel(product: Product, _: int) -> None:
    _celery(product, "control", "-d", f"catmaid-cancelled@{os.uname().nodename}", "cancel_consumer", "cancelled")
    product.send("echo", 1, queue="cancelled", times=10)


def _stop_pool(product: Product, pid: int) -> None:
    for child in psutil.Process(pid).children():
        child.send_signal(signal.SIGSTOP)
    product.send("echo", 100, queue="pool", times=2)


FAULTS = (
    Fault("worker killed (kill -9)", "killed", lambda _, pid: os.kill(pid, signal.SIGKILL)),
    Fault("worker's main process frozen (SIGSTOP)", "frozen", lambda _, pid: os.kill(pid, signal.SIGSTOP)),
    Fault("alive, consumes nothing, messages wait", "cancelled", _cancel),
    Fault("pool processes frozen, messages wait", "pool", _stop_pool),
    Fault("beat frozen (SIGSTOP)", "celery-beat", lambda _, pid: os.kill(pid, signal.SIGSTOP)),
    Fault(
        "no fault: solo worker in a task of 40 s",
        "solo",
        lambda product, _: product.send("hold", 500, 40, queue="solo"),
        is_fault=False,
    ),
)


def main() -> None:
    """Cause every fault with and without procman's health, and print what was found."""
    healed = _run(is_healed=True)
    plain = _run(is_healed=False)
    print("| fault | procman: found | healed | `inspect ping` | pid check | autorestart alone |")
    print("|---|---|---|---|---|---|")
    for fault in FAULTS:
        found, restarted, _, _ = healed[fault.program]
        _, alone, ping, pid = plain[fault.program]
        print(f"| {fault.what} | {found} | {restarted} | {ping} | {pid} | {alone} |")


def _run(*, is_healed: bool) -> dict[str, tuple[str, str, str, str]]:
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    try:
        product.configure(PROGRAMS + _health(is_healed=is_healed))
        product.procman("install", "--no-check", "--wait", "60")
        before = {name.removeprefix("catmaid-"): each["pid"] for name, each in product.status().items()}
        return {fault.program: _watch(product, fault, before[fault.program]) for fault in FAULTS}
    finally:
        product.close()


def _health(*, is_healed: bool) -> str:
    command = f'procman = "{Path(sys.executable).with_name("procman")}"' if is_healed else "heal = false"
    return (
        f"[health]\n{command}\nheartbeat_seconds = 1\nstale_seconds = {STALE}\nstall_seconds = {STALL}\n"
        f"interval_seconds = {INTERVAL}\nfailures = {FAILURES}\n"
    )


def _watch(product: Product, fault: Fault, pid: int) -> tuple[str, str, str, str]:
    """Return when procman found it, when there was a new process, what a ping says, and what a pid check says."""
    fault.cause(product, pid)
    began, found, restarted, ping = time.monotonic(), "no", "no", ""
    while (elapsed := time.monotonic() - began) < WATCHED_SECONDS:
        if found == "no" and _level(product, fault.program) == "CRITICAL":
            found = f"after {elapsed:.0f} s"
        program = product.status()[f"catmaid-{fault.program}"]
        if restarted == "no" and program["pid"] not in (pid, None) and program["state"] == "RUNNING":
            restarted = f"after {elapsed:.0f} s"
        if not ping and elapsed > STALE + FAILURES:
            ping = _ping(product, fault)
        if restarted != "no" and ping:
            break
        time.sleep(0.5)
    is_there = psutil.pid_exists(pid)
    return (
        found,
        restarted,
        ping,
        "not found" if is_there and fault.is_fault else "found" if fault.is_fault else "sound",
    )


def _level(product: Product, program: str) -> str:
    done = product.procman("health", "--json", f"catmaid-{program}", check=False)
    return str(json.loads(done.stdout)["programs"][0]["level"])


def _ping(product: Product, fault: Fault) -> str:
    if fault.program == "celery-beat":
        return "cannot tell"
    node = f"catmaid-{fault.program}@{os.uname().nodename}"
    is_answered = "pong" in _celery(product, "inspect", "-d", node, "-t", "3", "ping")
    if not fault.is_fault:
        return "sound" if is_answered else "false alarm"
    return "not found" if is_answered else "found"


def _celery(product: Product, *words: str) -> str:
    environment = {**product.environment, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    command = [str(product.virtualenv / "bin/celery"), "-A", "mysite", *words]
    done = subprocess.run(command, env=environment, cwd=DEMO, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
