"""Restarting: `install` prints the line to type, and it ends when the new process works."""

from __future__ import annotations

import pytest

from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]


def test_restart_ends_once_worker_consumes_and_beat_ticks(product: Product) -> None:
    product.configure("[worker.celery]\nconcurrency = 1\nstart_seconds = 3600\n[beat]\nstart_seconds = 3600")
    lines = product.procman("install").stdout.splitlines()
    assert lines[-3:] == [
        f"restart   {product.procman_line} restart celery",
        f"status    {product.procman_line} status",
        f"undo      {product.procman_line} uninstall",
    ]
    product.procman("restart")
    programs = product.status()
    assert {each["state"] for each in programs.values()} == {"STARTING"}
    assert {each["health"]["level"] for each in programs.values()} == {"OK"}
    assert product.procman("status").returncode == 0
