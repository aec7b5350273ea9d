"""Under supervisord a restart ends when the new process works, not when `start_seconds` have passed."""

from __future__ import annotations

import pytest

from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]


def test_restart_ends_once_worker_consumes_and_beat_ticks(product: Product) -> None:
    product.configure("[worker.celery]\nconcurrency = 1\nstart_seconds = 3600\n[beat]\nstart_seconds = 3600")
    product.procman("install", "--wait", "60")
    product.procman("restart")
    programs = product.status()
    assert {each["state"] for each in programs.values()} == {"STARTING"}
    assert {each["health"]["level"] for each in programs.values()} == {"OK"}
    assert product.procman("status").returncode == 0
