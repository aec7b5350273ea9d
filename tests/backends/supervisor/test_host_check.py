"""An install warns about a host on which supervisord would not start at boot."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from procman.deploy.host_warnings import warnings
from procman.host import systemd_host
from procman.subprocesses import CLEAN_ENVIRONMENT
from tests.backends.supervisor.projects import embedded

HOME = Path("/home/anna")
SUPERVISORD = Path(sys.executable).with_name("supervisord")
LINE = f"@reboot {SUPERVISORD} -c /home/anna/.config/procman/supervisor/supervisord.conf"


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caller's crontab, as printed by `crontab`, on a host without systemd."""
    monkeypatch.setattr(systemd_host, "BOOTED", tmp_path / "nowhere")
    command, text = tmp_path / "bin/crontab", tmp_path / "crontab"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\ntest "$*" = -l && exec cat {text}\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setitem(CLEAN_ENVIRONMENT, "PATH", f"{command.parent}:{CLEAN_ENVIRONMENT['PATH']}")
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
    return text


def test_without_systemd_a_missing_crontab_line_is_printed(tmp_path: Path, crontab: Path) -> None:
    [reported] = warnings(embedded(tmp_path, HOME))
    assert reported.splitlines()[-1] == LINE
    crontab.write_text(f"MAILTO=anna\n{LINE}\n")
    assert warnings(embedded(tmp_path, HOME)) == []


def test_percent_is_escaped_in_the_crontab_line(tmp_path: Path, crontab: Path) -> None:
    [reported] = warnings(embedded(tmp_path, Path("/home/100%")))
    assert r"/home/100\%/" in reported


def test_unit_without_systemd_is_reported(tmp_path: Path, crontab: Path) -> None:
    reported = warnings(embedded(tmp_path, HOME, 'supervisord = "/opt/procman/bin/supervisord"\n'))
    assert "remove the key supervisord" in reported[0]
    assert "@reboot /opt/procman/bin/supervisord -c" in reported[1]


def test_with_systemd_the_key_that_starts_supervisord_at_boot_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_host, "BOOTED", Path("/"))
    [reported] = warnings(embedded(tmp_path, HOME))
    assert reported.endswith(f'supervisord = "{SUPERVISORD}"')
