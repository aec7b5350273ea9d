"""R4: `install --wait` fails if health finds a new CRITICAL about a program of the plan, and not for an old one."""

from __future__ import annotations

import pytest

from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

PROGRAMS = """
[beat]
max_interval_seconds = {interval}
[health]
heartbeat_seconds = 1
stale_seconds = 30
"""


def test_second_beat_that_install_did_not_find_before_rolls_it_back(product: Product) -> None:
    product.configure(PROGRAMS.format(interval=7))
    schedule = str(product.directory / "by-hand")
    with product.celery("beat", "--pidfile=", "-s", schedule) as second:
        try:
            failed = product.procman("install", "--wait", "60", check=False)
            assert failed.returncode == 1
            assert f"beat of mysite also runs as process {second.pid}" in failed.stderr
            assert "(PM110)" in failed.stderr
            assert "there is no previous generation; removing the unhealthy programs" in failed.stderr
            assert product.main_processes("beat") == [second.pid]
        finally:
            second.kill()
    product.procman("install", "--wait", "60")
    with product.celery("beat", "--pidfile=", "-s", schedule) as second:
        try:
            assert "PM110" in product.procman("health", check=False).stdout
            # It was there before, so this install did not cause it.
            product.configure(PROGRAMS.format(interval=8))
            product.procman("install", "--wait", "60")
            assert "--max-interval=8" in product.command_line(product.status()["catmaid-celery-beat"]["pid"])
        finally:
            second.kill()
