"""The app of a real worker breaks and is repaired: critical with the cause in between, healthy afterwards."""

from __future__ import annotations

import os
import signal

import pytest

from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

WORKER = "catmaid-celery"
BROKEN = "raise RuntimeError('amqp://guest:wrong-pass-word@broker: 406 PRECONDITION_FAILED')"
CAUSE = "RuntimeError: amqp://guest:***@broker: 406 PRECONDITION_FAILED"


def test_crash_loop_is_critical_with_its_cause_until_the_app_is_repaired(product: Product) -> None:
    module = product.directory / "more/shop.py"
    module.parent.mkdir()
    module.write_text("")
    product.configure(
        '[worker.celery]\nconcurrency = 1\nstart_seconds = 8\nextra_arguments = ["--include=shop"]\n',
        project=f'python_path = ["{module.parent}"]\n',
    )
    product.procman("install", "--wait", "60")
    module.write_text(BROKEN)
    os.kill(product.status()[WORKER]["pid"], signal.SIGKILL)
    eventually(lambda: (product.status()[WORKER]["restarts"] or 0) >= 2, "it is restarted again and again")
    states = set()

    def is_critical_in_every_state() -> bool:
        status = product.status()[WORKER]
        states.add(status["state"])
        assert (status["health"]["code"], status["health"]["level"]) == ("PM101", "CRITICAL")
        assert status["health"]["detail"].startswith("crash loop: it ended ")
        assert status["health"]["detail"].endswith(f" before it was healthy (last: exit status 1): {CAUSE}")
        return states >= {"STARTING", "BACKOFF"}

    eventually(is_critical_in_every_state, "it was seen in both states")
    nagios = product.procman("health", "--format", "nagios", check=False)
    assert nagios.returncode == 2
    assert CAUSE in nagios.stdout
    module.write_text("")
    product.procman("restart", "celery", "--wait", "60")
    status = product.status()[WORKER]
    assert (status["restarts"], status["health"]["level"], status["health"]["code"]) == (0, "OK", "PM200")
    assert product.procman("health", "--format", "nagios").returncode == 0
