"""R1 and R2 with a real supervisord: after a kill at a chosen system call, one more run starts the right programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.install.interrupting import CHANGING, RENAMING
from tests.product import Product, eventually

STRACE = shutil.which("strace")

pytestmark = [
    pytest.mark.supervisord,
    pytest.mark.celery,
    pytest.mark.strace,
    pytest.mark.skipif(STRACE is None, reason="strace(1) is missing: apt-get install strace"),
]

CALLS = (*CHANGING, *RENAMING, "sendto", "connect")
"""System calls that change the disk or send something to supervisord."""

OLD, NEW = "1000", "2000"


def programs(seconds: str) -> str:
    names = ("a", "b") if seconds == OLD else ("a", "c")
    return "\n".join(f"[command.{name}]\nargv = {json.dumps(['sleep', seconds])}" for name in names)


def traced(product: Product, options: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    assert STRACE
    procman = [sys.executable, "-B", "-m", "procman", "--config", str(product.configuration), *words]
    return subprocess.run(
        [STRACE, "-qq", *options, *procman],
        env=product.environment,
        cwd=product.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def counted(product: Product, log: Path, *words: str) -> list[tuple[str, int]]:
    """Run procman with `words` and return its system calls, each with its number."""
    names = ",".join(f"?{name}" for name in CALLS)
    done = traced(product, ["-o", str(log), "-e", f"trace={names}"], *words)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\w+)\(", log.read_text(errors="replace"), re.MULTILINE)
    return [(name, found[: number + 1].count(name)) for number, name in enumerate(found)]


def running(product: Product) -> dict[str, str]:
    return {
        name: product.command_line(each["pid"]).split()[-1] if each["pid"] else each["state"]
        for name, each in product.status().items()
    }


def installed(product: Product, seconds: str) -> str:
    """Install the programs that sleep for `seconds`; return the number of the generation."""
    product.configure(programs(seconds))
    [number] = re.findall(r"generation (\d+)", product.procman("install").stdout)
    return str(number)


def install(product: Product) -> tuple[list[str], dict[str, str]]:
    """Prepare an install; return its command line, and the programs that must run afterwards."""
    installed(product, OLD)
    product.configure(programs(NEW))
    return ["install", "--no-check"], {"catmaid-a": NEW, "catmaid-c": NEW}


def rollback(product: Product) -> tuple[list[str], dict[str, str]]:
    """Prepare a rollback; return its command line, and the programs that must run afterwards."""
    number = installed(product, OLD)
    installed(product, NEW)
    return ["rollback", number], {"catmaid-a": OLD, "catmaid-b": OLD}


def interrupt_and_complete(product: Product, how_many: int) -> None:
    product.configure(programs(OLD))
    product.procman("install", "--wait", "60")
    statuses: list[int] = []
    for make_ready in (install, rollback):
        order, _ = make_ready(product)
        points = counted(product, product.directory / "strace", *order)
        for name, number in points[1 :: max(1, len(points) // how_many)]:
            order, expected = make_ready(product)
            killed = ["-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={number}"]
            statuses.append(traced(product, ["-o", os.devnull, *killed], *order).returncode)
            product.procman(*order)
            eventually(lambda: running(product) == expected, f"{order} killed at {name} {number}: {running(product)}")  # noqa: B023
            assert not [path for path in product.directory.rglob("*") if ".procman-" in path.name]
    # The last calls may not occur: the number of requests to supervisord depends on its speed.
    assert sum(status == -signal.SIGKILL for status in statuses) > len(statuses) * 0.8


def test_one_more_run_after_a_kill_at_some_system_calls_starts_the_right_programs(product: Product) -> None:
    interrupt_and_complete(product, 2)


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_one_more_run_after_a_kill_at_many_system_calls_starts_the_right_programs(product: Product) -> None:
    interrupt_and_complete(product, 1000)
