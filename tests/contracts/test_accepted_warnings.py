"""`accept` in procman.toml silences a warning of every command, which counts it instead."""

from __future__ import annotations

import json
import os

import pytest

from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

COUNTED = "1 accepted warning: PM743"


def configure(product: Product, accept: list[str], schedule: str) -> None:
    # A beat that runs, or the usual node name, would be reported beside those of other tests on this machine.
    product.configure(
        f"[worker.celery]\nconcurrency = 1\nhostname = 'accepted-{os.getpid()}@%h'\n"
        f"[beat]\nautostart = false\nschedule_file = '{schedule}'",
        project=f"accept = {json.dumps(accept)}",
    )


def test_accepted_warning_is_counted_and_not_shown(product: Product) -> None:
    lost_at_reboot = "/dev/shm/celerybeat-schedule"
    configure(product, [], lost_at_reboot)
    assert "WARNING   PM743" in product.procman("check").stdout

    configure(product, ["PM743"], lost_at_reboot)
    done = product.procman("check")
    install = f"{product.procman_line} install"
    assert f"next   {install} --dry-run, then {install}\n" in done.stderr
    checked = done.stdout
    assert COUNTED in checked.splitlines()
    assert "WARNING   PM743" not in checked
    assert "  ACCEPTED  PM743  " in product.procman("check", "-v").stdout
    results = json.loads(product.procman("check", "--json").stdout)["results"]
    assert [(each["level"], each["code"]) for each in results if each["accepted"]] == [("OK", "PM743")]

    product.checks_before_installs = True
    installed = product.procman("install", "--wait", "60")
    assert [line for line in installed.stderr.splitlines() if "PM743" in line] == [COUNTED]

    # Nothing is restarted for accept alone, and health uses it from then on.
    pids = {name: each["pid"] for name, each in product.status().items()}
    configure(product, ["PM601", "PM743"], lost_at_reboot)
    assert product.procman("health", check=False).returncode == 1  # PM601: procman.toml differs
    product.procman("install")
    assert {name: each["pid"] for name, each in product.status().items()} == pids
    configure(product, ["PM743", "PM601"], lost_at_reboot)
    assert product.procman("health").stdout.splitlines()[-2:] == ["no problems found", "1 accepted warning: PM601"]
    assert "catmaid: accepted PM601: " in product.procman("health", "-v").stdout
    nagios = product.procman("health", "--format", "nagios").stdout
    assert "; 1 accepted warning: PM601 |" in nagios
    found = json.loads(product.procman("health", "--json").stdout)
    assert found["level"] == "OK"
    assert [each["code"] for each in found["results"] if each["accepted"]] == ["PM601"]
