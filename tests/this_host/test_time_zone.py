"""The time zone of another process follows its TZ variable, as in tzset(3)."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from procman.host import time_zone
from procman.host.time_zone import zone_named, zone_of
from tests.tables import for_each

SUMMER = datetime(2026, 7, 1, 12)


@for_each(
    ("value", "hours"),
    [
        ("", 0.0),
        ("UTC", 0.0),
        ("Asia/Tokyo", 9.0),
        (":Europe/Berlin", 2.0),
        (":/usr/share/zoneinfo/Europe/Berlin", 2.0),
        ("CET-1CEST,M3.5.0,M10.5.0/3", 2.0),
        ("<+0530>-5:30", 5.5),
        ("Nowhere/Else", 0.0),
        ("../../../etc/passwd", 0.0),
    ],
)
def test_zone_is_that_of_the_c_library(value: str, hours: float) -> None:
    assert zone_named(value).utcoffset(SUMMER) == timedelta(hours=hours)


def test_zone_of_the_system_counts_without_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setattr(time_zone, "SYSTEM", Path("/usr/share/zoneinfo/America/Lima"))
    for value in (None, ":/usr/share/zoneinfo/America/Lima", "/home/fifo"):
        assert zone_named(value).utcoffset(SUMMER) == timedelta(hours=-5)
    assert zone_of(None).utcoffset(SUMMER) == timedelta(hours=-5)
    monkeypatch.setattr(time_zone, "SYSTEM", tmp_path / "missing")
    assert zone_of(None).utcoffset(SUMMER) == timedelta()


def test_zone_of_a_process_is_in_its_environment() -> None:
    words = [sys.executable, "-c", "print('runs', flush=True); input()"]
    environment = {**os.environ, "TZ": "Asia/Tokyo"}
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        # While it is being executed, the kernel shows an empty environment.
        assert other.stdout
        assert other.stdout.readline() == b"runs\n"
        assert zone_of(other.pid).utcoffset(SUMMER) == timedelta(hours=9)
        other.communicate(b"\n")
