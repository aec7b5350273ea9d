"""R1 and R2 with a real supervisord: killed at a system call of choice, one more run has the right programs running."""

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
"""Those that change something on disk, and those that tell supervisord."""

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
    """Carry out WORDS and return the points on the way, by system call and number."""
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
    """Install the programs that sleep SECONDS; return the number of the generation."""
    product.configure(programs(seconds))
    [number] = re.findall(r"generation (\d+)", product.procman("install").stdout)
    return str(number)


def install(product: Product) -> tuple[list[str], dict[str, str]]:
    """Make ready for an install; return its order, and what is to run afterwards."""
    installed(product, OLD)
    product.configure(programs(NEW))
    return ["install", "--no-check"], {"catmaid-a": NEW, "catmaid-c": NEW}


def rollback(product: Product) -> tuple[list[str], dict[str, str]]:
    """Make ready for a roll-back; return its order, and what is to run afterwards."""
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
    # The last few may come to nothing: how often supervisord is asked depends on how fast it is.
    assert sum(status == -signal.SIGKILL for status in statuses) > len(statuses) * 0.8


def test_killed_at_some_system_calls_one_more_run_has_the_right_programs_running(product: Product) -> None:
    interrupt_and_complete(product, 2)


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_killed_at_many_system_calls_one_more_run_has_the_right_programs_running(product: Product) -> None:
    interrupt_and_complete(product, 1000)
