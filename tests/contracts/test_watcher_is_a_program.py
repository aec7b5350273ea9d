"""The watcher is installed, rolled back, stopped and removed like every program (R4, R9, R11)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

PROGRAMS = '[worker.celery]\nconcurrency = 1\n[health]\nprocman = "{command}"\ninterval_seconds = 1\n'
HEALER = "catmaid-health"


def test_watcher_is_handled_like_every_program(product: Product) -> None:
    product.configure(PROGRAMS.format(command="/bin/true"))
    failed = product.procman("install", "--no-check", "--wait", "30", check=False)
    assert f"Stopped and removed, because there is no previous generation: {HEALER}\n" in failed.stderr
    assert list(product.status()) == ["catmaid-celery"]

    product.configure(PROGRAMS.format(command=Path(sys.executable).with_name("procman")))
    product.procman("install", "--no-check", "--wait", "60")
    before = product.status()[HEALER]["pid"]
    assert "nothing changed" in product.procman("install", "--no-check").stdout

    product.procman("stop", "health")
    assert (product.status()[HEALER]["state"], product.status()[HEALER]["wanted"]) == ("STOPPED", False)
    product.procman("start", "health")
    eventually(lambda: product.status()[HEALER]["pid"] not in (before, None), "it runs again")
    assert "catmaid-health" in product.supervisorctl("status").stdout
    product.procman("logs", "health")

    product.procman("uninstall", "--purge")
    assert not any("catmaid-health" in path.name for path in product.directory.rglob("*"))
