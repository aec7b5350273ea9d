"""Debian 13: systemd 257, Python 3.13 and RabbitMQ 4. `make test-trixie` runs all tests of this directory there."""

from __future__ import annotations

import pytest

from .catmaid import Project, send
from .conftest import skip_without_host
from .machine import Host
from .overlay import HostError
from .parsers import parser_tests
from .projects import START_SECONDS, all_running, are_finished, are_started, consumes, results, toml, wait_for

SUITE = "trixie"

pytestmark = pytest.mark.timeout(900)  # the first run creates the root and installs the packages


@pytest.fixture(scope="module")
def catmaid(trixie: Host) -> Project:
    """A worker and beat under systemd, with all directives that it knows."""
    project = Project(trixie, "catmaid", toml("catmaid") + "minimum_version = 257\n")
    project.procman("install", "--wait", "60")
    return project


def test_systemd_257_reads_what_procman_writes() -> None:
    try:
        done = parser_tests(SUITE)
    except HostError as error:
        skip_without_host(error)
    assert done.returncode == 0, done.stdout


def test_programs_are_healthy_under_systemd_257(catmaid: Project) -> None:
    assert catmaid.host.run("systemctl --version").stdout.startswith("systemd 257 ")
    assert all_running(catmaid)()
    printed = catmaid.procman("health", "--probe").stdout
    assert "PM200" in results(catmaid, "catmaid-celery"), printed


def test_restart_finishes_a_running_task(catmaid: Project) -> None:
    host = catmaid.host
    before = catmaid.status()["catmaid-celery"]["pid"]
    send(host, "counting.tasks.hold", [10, 4], queue="catmaid")
    wait_for(are_started(host, 10), START_SECONDS)
    catmaid.procman("restart", "celery")
    assert are_finished(host, 10)
    assert catmaid.status()["catmaid-celery"]["pid"] != before
    consumes(catmaid, 11)


def test_journal_is_printed_without_empty_lines(catmaid: Project) -> None:
    printed = catmaid.procman("logs", "celery", "-n", "200").stdout
    assert "ready." in printed
    assert "\n\n" not in printed


def test_drop_in_that_hides_the_process_id_is_named_as_the_cause(catmaid: Project) -> None:
    beat, drop_in = "catmaid-celery-beat", "/etc/systemd/system/catmaid-celery-beat.service.d"
    catmaid.host.write(f"{drop_in}/local.conf", "[Service]\nPrivatePIDs=yes\n")
    catmaid.host.run(f"systemctl daemon-reload && systemctl restart {beat}")
    wait_for(lambda: "PrivatePIDs=" in results(catmaid, beat)["PM205"]["detail"], START_SECONDS)
    catmaid.host.run(["rm", "-r", drop_in])


def test_uninstall_removes_every_unit(catmaid: Project) -> None:
    catmaid.procman("uninstall", "--purge")
    assert catmaid.host.run("find /etc/systemd -name 'catmaid*'").stdout == ""
    assert catmaid.host.failed_units() == []
