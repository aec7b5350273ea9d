"""A CRITICAL result of `procman check` stops an install before anything is changed; a WARNING does not."""

from __future__ import annotations

import os

import pytest

from procman.accounts import user_name
from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

ME = user_name(os.geteuid())


def test_critical_result_stops_an_install_and_a_warning_does_not(product: Product) -> None:
    product.checks_before_installs = True
    product.configure("[command.a]\nargv = ['no-such-program-anywhere']")
    refused = product.procman("install", check=False)
    assert refused.returncode == 1
    assert "CRITICAL  PM704" in refused.stderr
    assert "the CRITICAL results above stop the install; nothing was changed" in refused.stderr
    assert f"then run `{product.procman_line} check` again" in refused.stderr
    assert not (product.directory / "c").exists()

    product.configure("[command.a]\nargv = ['sleep', '1000']")
    warned = product.procman("install", "--wait", "60")
    assert "WARNING" in warned.stderr
    before = product.status()["catmaid-a"]["pid"]
    product.configure("[command.a]\nargv = ['no-such-program-anywhere']")
    assert product.procman("install", check=False).returncode == 1
    assert product.status()["catmaid-a"]["pid"] == before

    # An install that changes nothing checks nothing, and --no-check is respected.
    product.configure("[command.a]\nargv = ['sleep', '1000']")
    assert "WARNING" not in product.procman("install").stderr
    product.configure("[command.a]\nargv = ['no-such-program-anywhere']")
    failed = product.procman("install", "--no-check", "--wait", "8", check=False)
    assert "Rolled back to generation 1, which is now generation" in failed.stderr


def test_worker_whose_environment_file_would_detach_it_does_not_start(product: Product) -> None:
    secrets = product.directory / "celery.env"
    secrets.write_text("A=1\nCELERY_WORKER_DETACH=1\n")
    secrets.chmod(0o600)
    product.configure("[worker.celery]\nconcurrency = 1", project=f'environment_file = "{secrets}"')
    product.checks_before_installs = True
    refused = product.procman("install", check=False)
    assert refused.returncode == 1
    assert f"CRITICAL  PM705  {secrets}:2: remove CELERY_WORKER_DETACH" in refused.stderr

    # The file can change after the checks.
    failed = product.procman("install", "--no-check", "--wait", "60", check=False)
    assert failed.returncode == 1
    assert f"{secrets}:2: remove CELERY_WORKER_DETACH" in failed.stderr
    assert not [each for each in product.processes() if "worker" in each.cmdline()]


def test_worker_and_beat_that_would_run_twice_stop_an_install(product: Product) -> None:
    """R12: without adopts, nothing says that they are to be replaced; beside names a worker that is to stay."""
    product.checks_before_installs = True
    product.configure("[worker.celery]\nconcurrency = 1\nhostname = 'crop@%h'\n[beat]")
    schedule = str(product.directory / "by-hand")
    with product.celery("worker", "-n", "crop@%h") as worker, product.celery("beat", "-s", schedule) as beat:
        try:
            eventually(lambda: len(product.main_processes("beat")) == 1, "both have their command lines")
            refused = product.procman("install", check=False)
            assert refused.returncode == 1
            assert f"process {beat.pid} of {ME} is another beat of mysite" in refused.stderr
            assert f"process {worker.pid} of {ME} has the node name of catmaid-celery, crop@" in refused.stderr
            assert "CRITICAL  PM746" in refused.stderr
            assert "CRITICAL  PM748" in refused.stderr
            assert 'write in [project]: beside = ["crop@%h"]' in refused.stderr
            assert "nothing was changed" in refused.stderr
            assert not (product.directory / "c").exists()
            text = product.configuration.read_text()
            product.configuration.write_text(text.replace("[project]", '[project]\nbeside = ["crop@%h"]'))
            assert f"process {worker.pid}" not in product.procman("check", check=False).stdout
        finally:
            worker.kill()
            beat.kill()
