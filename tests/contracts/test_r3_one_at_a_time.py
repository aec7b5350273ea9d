"""R3: two orders at once take turns; and within one order as many programs at once as was asked for."""

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
    echo "stop $name" >> told
    until [ "$(grep -c stop told)" -ge "$(cat together)" ]; do sleep 0.05; done
    exit 0
}
name=$1
trap ended TERM
echo "start $name" >> told
while :; do sleep 0.1; done
"""
"""Tells of its start and its end, and ends only once as many as `together` says were told to."""


def programs(product: Product, mark: str) -> str:
    """Return three commands; another MARK is another command line."""
    script = product.directory / "program.sh"
    script.write_text(PROGRAM)
    return "\n".join(f"[command.{name}]\nargv = {json.dumps(['sh', str(script), name, mark])}" for name in NAMES)


def told(product: Product, together: int, *words: str) -> str:
    """Carry out WORDS and return which programs were ended (-) and started (+), in order; those of a kind sorted."""
    (product.directory / "together").write_text(str(together))
    (product.directory / "told").write_text("")
    product.procman(*words)
    lines = [line.split() for line in (product.directory / "told").read_text().splitlines()]
    groups = groupby(lines, key=lambda line: line[0])
    return "".join(("-" if what == "stop" else "+") + "".join(sorted(line[1] for line in of)) for what, of in groups)


@contextmanager
def somebody_at_work(product: Product) -> Iterator[None]:
    """Hold the lock as another procman would."""
    with (product.directory / "s/procman/lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(json.dumps({"pid": os.getpid(), "command": "procman install", "since": "2026-11-22T03:00:00+00:00"}))
        lock.flush()
        yield
        lock.truncate(0)


def test_as_many_at_once_as_was_asked_for_and_one_order_at_a_time(product: Product) -> None:
    product.configure(programs(product, "old"))
    assert told(product, 1, "install", "--wait", "60") == "+abc"
    assert told(product, 1, "restart") == "-a+a-b+b-c+c"
    assert told(product, 3, "restart", "--at-once", "3") == "-abc+abc"
    product.configure(programs(product, "new"))
    assert told(product, 2, "install", "--wait", "60", "--at-once", "2") == "-ab+ab-c+c"

    with somebody_at_work(product):
        for words in (["install"], ["rollback"], ["restart"], ["uninstall"]):
            refused = product.procman(*words, "--lock-wait", "0", check=False, timeout=30)
            assert refused.returncode == 1
            assert f"`procman install` (process {os.getpid()}, since 2026-11-22T03:00:00+00:00)" in refused.stderr
    assert told(product, 3, "rollback", "--wait", "60", "--at-once", "3") == "-abc+abc"
