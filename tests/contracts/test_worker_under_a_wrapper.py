"""R7 for a worker with the key wrapper, under supervisord."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.agent.wrappers import make_wrappers
from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

TASK_SECONDS = 3


def test_running_task_of_a_worker_under_a_wrapper_survives_supervisorctl_restart(product: Product) -> None:
    wrappers, secrets = product.directory / "w", product.directory / "celery.env"
    make_wrappers(wrappers)
    secrets.write_text("TOKEN=secret\n")
    secrets.chmod(0o600)
    project = f'environment_file = "{secrets}"'
    product.configure(f'[worker.celery]\nconcurrency = 1\nwrapper = ["{wrappers}/instrument"]', project=project)
    product.procman("install", "--wait", "60")
    log = product.procman("logs", "celery").stdout
    assert "wrapper sees TOKEN=secret" in log
    assert "instrumented" in log

    product.send("hold", 1, TASK_SECONDS)
    eventually(lambda: product.counted("started") == Counter([1]), "the task has started")
    restarted = product.supervisorctl("restart", "catmaid-celery")
    assert restarted.returncode == 0, restarted.stdout
    assert product.counted("finished") == Counter([1])
