"""Which changes of a file leave a running program as it is."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from procman.install.plan.changes import Change
from procman.install.safe_fs.file_info import Found
from procman.project import ChangeKind, RenderedFile
from tests.tables import for_each

UNIT = """# procman
[Unit]
Description=Celery worker
After=rabbitmq-server.service
StartLimitIntervalSec=0

[Service]
Type=notify
TimeoutStartSec=90
WatchdogSec=30
User=www-data
Environment=A=b
ExecStart=/bin/celery worker
Restart=always
RestartSec=10
KillMode=mixed
TimeoutStopSec=3630
TimeoutAbortSec=30
OOMPolicy=continue
MemoryMax=100M
"""


def change(path: str, old: str, new: str) -> Change:
    found = Found(old.encode(), stat.S_IFREG, 0o644, 0, 0)
    file = RenderedFile(Path(path), new, 0o644, None, None, ("catmaid-celery",), section=True)
    return Change(ChangeKind.UPDATE, Path(path), found, file)


@for_each(
    ("old", "new"),
    [
        ("# procman\n", "# procman, again\n# and more\n"),
        ("Description=Celery worker\n", "Description=Celery\nDocumentation=man:celery(1)\n"),
        ("After=rabbitmq-server.service\n", "After=postgresql.service\nWants=postgresql.service\n"),
        ("After=rabbitmq-server.service\n", "Before=catmaid-celery-beat.service\n"),
        ("Environment=A=b\n", "Environment=A=b\nExecReload=/bin/kill -s HUP $MAINPID\n"),
        ("StartLimitIntervalSec=0\n", ""),
        ("TimeoutStartSec=90\n", "TimeoutStartSec=infinity\n"),
        ("TimeoutStopSec=3630\n", "TimeoutStopSec=60\n"),
        ("TimeoutAbortSec=30\n", "TimeoutAbortSec=\n"),
        ("Restart=always\nRestartSec=10\n", "Restart=no\nRestartSec=1\nRestartSteps=5\nRestartMaxDelaySec=60\n"),
    ],
)
def test_reload_applies_the_changed_lines_of_a_service(old: str, new: str) -> None:
    assert old in UNIT
    assert change("/etc/systemd/system/a.service", UNIT, UNIT.replace(old, new)).needs_no_restart


@for_each(
    ("old", "new"),
    [
        ("Type=notify\n", "Type=exec\n"),
        ("WatchdogSec=30\n", "WatchdogSec=60\n"),
        ("User=www-data\n", "User=nobody\n"),
        ("Environment=A=b\n", "Environment=A=c\n"),
        ("ExecStart=/bin/celery worker\n", "ExecStart=/bin/celery beat\n"),
        ("KillMode=mixed\n", "KillMode=process\n"),
        ("OOMPolicy=continue\n", ""),
        ("MemoryMax=100M\n", "MemoryMax=200M\n"),
        ("TimeoutStopSec=3630\n", "TimeoutStopSec=60\nTimeoutStopFailureMode=kill\n"),
        ("TimeoutStopSec=3630\nTimeoutAbortSec=30\nOOMPolicy=continue\n", "TimeoutStopSec=60\nOOMPolicy=stop\n"),
    ],
)
def test_other_changed_lines_of_a_service_need_a_restart(old: str, new: str) -> None:
    assert old in UNIT
    assert not change("/etc/systemd/system/a.service", UNIT, UNIT.replace(old, new)).needs_no_restart


def test_only_a_service_has_lines_that_a_reload_applies() -> None:
    for path in ("/etc/supervisor/conf.d/a.conf", "/etc/systemd/system/a.timer", "/etc/procman/a/start.sh"):
        assert not change(path, "a\nTimeoutStopSec=1\n", "a\nTimeoutStopSec=2\n").needs_no_restart


def test_unchanged_file_is_no_change() -> None:
    assert not change("/etc/systemd/system/a.service", UNIT, UNIT).needs_no_restart


@pytest.mark.parametrize(
    ("name", "number", "restarts"), [("web", 1, False), ("web-2", 2, False), ("web", 0, True), ("web-2", 3, True)]
)
@pytest.mark.parametrize("line", ["export PROCMAN_INSTANCE={}\n", "Environment=PROCMAN_INSTANCE={}\n"])
def test_number_that_an_earlier_procman_left_out_restarts_nothing(
    name: str, number: int, restarts: bool, line: str
) -> None:
    path = f"/etc/{name}" + (".sh" if "export" in line else ".service")
    assert change(path, UNIT, UNIT + line.format(number)).needs_no_restart is not restarts
    assert change(path, UNIT + line.format(number), UNIT).needs_no_restart is not restarts


@pytest.mark.parametrize(
    "line", ["export PROCMAN_STOP_TIMEOUT_SECONDS={}\n", "Environment=PROCMAN_STOP_TIMEOUT_SECONDS={}\n"]
)
def test_stop_timeout_of_a_worker_restarts_nothing_by_itself(line: str) -> None:
    path = "/etc/a.sh" if "export" in line else "/etc/a.service"
    with_line = UNIT + line.format(3600)
    for old, new in ((UNIT, with_line), (with_line, UNIT), (with_line, UNIT + line.format(60))):
        assert change(path, old, new).needs_no_restart
        assert not change(path, old, new + line.replace("STOP_TIMEOUT", "HANDBACK").format(5)).needs_no_restart
