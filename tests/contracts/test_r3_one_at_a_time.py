"""R3: of two commands at once, one waits for the other; and --at-once limits the programs that restart together."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import pytest

from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

NAMES = ("a", "b", "c")


PROGRAM = """
cd "$(dirname "$0")"
ended() {
    echo "stop $name" >> signals
    until [ "$(grep -c stop signals)" -ge "$(cat together)" ]; do sleep 0.05; done
    exit 0
}
name=$1
trap ended TERM
echo "start $name" >> signals
while :; do sleep 0.1; done
"""
"""Logs its start and its stop, and ends only after as many programs as the file `together` says were stopped."""


def programs(product: Product, mark: str) -> str:
    """Return three commands; another `mark` changes their command lines."""
    script = product.directory / "program.sh"
    script.write_text(PROGRAM)
    return "\n".join(f"[command.{name}]\nargv = {json.dumps(['sh', str(script), name, mark])}" for name in NAMES)


def signals(product: Product, together: int, *words: str) -> str:
    """Run procman with `words` and return the programs stopped (-) and started (+), in order, each group sorted."""
    (product.directory / "together").write_text(str(together))
    (product.directory / "signals").write_text("")
    product.procman(*words)
    lines = [line.split() for line in (product.directory / "signals").read_text().splitlines()]
    groups = groupby(lines, key=lambda line: line[0])
    return "".join(("-" if what == "stop" else "+") + "".join(sorted(line[1] for line in of)) for what, of in groups)


@contextmanager
def another_procman(product: Product) -> Iterator[None]:
    """Hold the lock as another procman command does."""
    with (product.directory / "s/procman/lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(json.dumps({"pid": os.getpid(), "command": "procman install", "since": "2026-11-22T03:00:00+00:00"}))
        lock.flush()
        yield
        lock.truncate(0)


def test_at_once_limits_programs_and_the_lock_limits_commands(product: Product) -> None:
    product.configure(programs(product, "old"))
    assert signals(product, 1, "install", "--wait", "60") == "+abc"
    assert signals(product, 1, "restart") == "-a+a-b+b-c+c"
    assert signals(product, 3, "restart", "--at-once", "3") == "-abc+abc"
    product.configure(programs(product, "new"))
    assert signals(product, 2, "install", "--wait", "60", "--at-once", "2") == "-ab+ab-c+c"

    with another_procman(product):
        for words in (["install"], ["rollback"], ["restart"], ["uninstall"]):
            refused = product.procman(*words, "--lock-wait", "0", check=False, timeout=120)
            assert refused.returncode == 1
            assert f"`procman install` (process {os.getpid()}, since 2026-11-22T03:00:00+00:00)" in refused.stderr
    assert signals(product, 3, "rollback", "--wait", "60", "--at-once", "3") == "-abc+abc"
