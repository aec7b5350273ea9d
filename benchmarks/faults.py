"""Compare which real faults are found by procman, `celery inspect ping`, a pid check, superlance and a plain unit.

python -m benchmarks.faults, as root. Each fault is caused three times: under procman; under the same
supervisord with superlance's listeners and autorestart; and, on a booted host, under plain systemd
units with Restart=always (plain_units.py). Prints a table for docs/health.md.
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

from benchmarks.plain_units import restarted
from tests.celery_environments import CACHE, CELERY_5_7, environment_of, make_virtualenv
from tests.product import DEMO, Product

STALE, STALL, INTERVAL, FAILURES = 8, 6, 1, 3
WATCHED_SECONDS = 45.0

SUPERLANCE = """
[eventlistener:crashmail]
command={bin}/crashmail -a -m root -s {sendmail}
events=PROCESS_STATE_EXITED
[eventlistener:fatalmailbatch]
command={bin}/fatalmailbatch -t root -f root -s subject -i 0.05
events=PROCESS_STATE,TICK_5
[eventlistener:memmon]
command={bin}/memmon -a 500MB -m root -s {sendmail}
events=TICK_60
"""

SENDMAIL = """#!/bin/sh
cat >> {mails}
"""

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
    """A fault, its program, and the function that causes it."""

    what: str
    program: str
    cause: Callable[[Product, int], None]
    is_fault: bool = True


@dataclass
class Seen:
    """The reactions to one fault."""

    found: str = "no"
    """When procman reported it as critical."""
    restarted: str = "no"
    """When a new process ran."""
    mailed: str = "no mail"
    """When superlance reported it by mail."""
    ping: str = ""
    pid: str = ""


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
    """Cause every fault and print the table."""
    units = restarted(WATCHED_SECONDS)
    healed = _run(is_healed=True)
    plain = _run(is_healed=False)
    print("| fault | procman: found | healed | `inspect ping` | pid check | superlance, autorestart | plain unit |")
    print("|---|---|---|---|---|---|---|")
    for fault in FAULTS:
        ours, theirs = healed[fault.program], plain[fault.program]
        superlance = f"{theirs.mailed}, {theirs.restarted}"
        cells = (ours.found, ours.restarted, theirs.ping, theirs.pid, superlance, units[fault.program])
        print(f"| {fault.what} | {' | '.join(cells)} |")


def _run(*, is_healed: bool) -> dict[str, Seen]:
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    try:
        product.configure(PROGRAMS + _health(is_healed=is_healed))
        product.procman("install", "--no-check", "--wait", "60")
        if not is_healed:
            _add_superlance(product)
        before = {name.removeprefix("catmaid-"): each["pid"] for name, each in product.status().items()}
        return {fault.program: _watch(product, fault, before[fault.program]) for fault in FAULTS}
    finally:
        product.close()


def _add_superlance(product: Product) -> None:
    virtualenv = CACHE / "superlance"
    make_virtualenv(virtualenv, Path(sys.executable), ("superlance==2.0.0",))
    sendmail = product.directory / "sendmail"
    sendmail.write_text(SENDMAIL.format(mails=product.directory / "mails"))
    sendmail.chmod(0o755)
    section = product.supervisord_configuration.parent / "conf.d" / "superlance.conf"
    section.write_text(SUPERLANCE.format(bin=virtualenv / "bin", sendmail=sendmail))
    product.supervisorctl("update")
    listening = product.supervisorctl("status", "crashmail", "memmon")
    assert listening.returncode == 0, listening.stdout


def _health(*, is_healed: bool) -> str:
    command = f'procman = "{Path(sys.executable).with_name("procman")}"' if is_healed else "heal = false"
    return (
        f"[health]\n{command}\nheartbeat_seconds = 1\nstale_seconds = {STALE}\nstall_seconds = {STALL}\n"
        f"interval_seconds = {INTERVAL}\nfailures = {FAILURES}\n"
    )


def _watch(product: Product, fault: Fault, pid: int) -> Seen:
    fault.cause(product, pid)
    began, seen = time.monotonic(), Seen()
    while (elapsed := time.monotonic() - began) < WATCHED_SECONDS:
        after = f"after {elapsed:.0f} s"
        if seen.found == "no" and _level(product, fault.program) == "CRITICAL":
            seen.found = after
        if seen.mailed == "no mail" and _is_mailed(product, fault.program):
            seen.mailed = f"mail {after}"
        program = product.status()[f"catmaid-{fault.program}"]
        if seen.restarted == "no" and program["pid"] not in (pid, None) and program["state"] == "RUNNING":
            seen.restarted = after
        if not seen.ping and elapsed > STALE + FAILURES:
            seen.ping = _ping(product, fault)
        if seen.restarted != "no" and seen.ping:
            break
        time.sleep(0.5)
    is_there = psutil.pid_exists(pid)
    seen.pid = "not found" if is_there and fault.is_fault else "found" if fault.is_fault else "healthy"
    return seen


def _is_mailed(product: Product, program: str) -> bool:
    mails = product.directory / "mails"
    return mails.exists() and f"catmaid-{program}" in mails.read_text()


def _level(product: Product, program: str) -> str:
    done = product.procman("health", "--json", f"catmaid-{program}", check=False)
    return str(json.loads(done.stdout)["programs"][0]["level"])


def _ping(product: Product, fault: Fault) -> str:
    if fault.program == "celery-beat":
        return "unknown"
    node = f"catmaid-{fault.program}@{os.uname().nodename}"
    is_answered = "pong" in _celery(product, "inspect", "-d", node, "-t", "3", "ping")
    if not fault.is_fault:
        return "healthy" if is_answered else "false alarm"
    return "not found" if is_answered else "found"


def _celery(product: Product, *words: str) -> str:
    environment = {**product.environment, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    command = [str(product.virtualenv / "bin/celery"), "-A", "mysite", *words]
    done = subprocess.run(command, env=environment, cwd=DEMO, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
