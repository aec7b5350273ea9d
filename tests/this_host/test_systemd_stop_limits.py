"""Units and reboots that would lose tasks are reported with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.host import systemd_host
from procman.host.systemctl import Systemctl, Unit
from procman.host.systemd_stop_limits import cut_by_reboot, cut_short
from procman.subprocesses import Completed

DEBIAN = {"LoadState": "loaded", "KillMode": "process", "TimeoutStopUSec": "1min 30s"}
MENDED = {"LoadState": "loaded", "KillMode": "mixed", "TimeoutStopUSec": "10min 30s"}


def reported(monkeypatch: pytest.MonkeyPatch, properties: dict[str, str], longest: int = 600) -> str | None:
    def show(_: Systemctl, units: list[str]) -> dict[str, Unit]:
        return {name: Unit(name, properties) for name in units}

    monkeypatch.setattr(Systemctl, "show", show)
    monkeypatch.setattr(systemd_host, "BOOTED", Path("/"))
    return cut_short("supervisor.service", longest)


def test_unit_of_debian_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    text = reported(monkeypatch, DEBIAN)
    assert text is not None
    assert "killed after 90 s, but a stop of all its programs may take 600 s" in text
    assert "a worker hands its tasks back only at the end of it and KillMode=" in text
    assert "KillMode=process leaves programs behind" in text
    assert "extend_stop_timeout = true" in text
    assert "systemctl edit supervisor" in text


def test_unit_that_kills_all_processes_at_once_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    text = reported(monkeypatch, MENDED | {"KillMode": "control-group"})
    assert text is not None
    assert "ends pool processes at once" in text


@pytest.mark.parametrize(
    "properties", [MENDED, MENDED | {"TimeoutStopUSec": "infinity"}, DEBIAN | {"LoadState": "not-found"}]
)
def test_unit_that_waits_long_enough_is_not_reported(
    monkeypatch: pytest.MonkeyPatch, properties: dict[str, str]
) -> None:
    assert reported(monkeypatch, properties) is None


def test_host_without_systemd_has_no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_host, "BOOTED", Path("/nowhere"))
    assert cut_short("supervisor.service", 600) is None


@pytest.mark.parametrize(("allowed", "is_reported"), [("30min", True), ("1h", False), ("infinity", False), ("", False)])
def test_reboot_with_a_short_timeout_is_reported_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, allowed: str, is_reported: bool
) -> None:
    monkeypatch.setattr(systemd_host, "BOOTED", Path("/"))
    monkeypatch.setattr(systemd_host, "run", lambda words: Completed(tuple(words), 0, f"{allowed}\n", ""))
    text = cut_by_reboot(3600)
    assert bool(text) is is_reported
    assert not text or "forced after 1800 s" in text
    assert not text or "may take 3600 s, and a worker hands its tasks back only at the end of it" in text
    assert not text or "JobTimeoutSec=3690" in text
    monkeypatch.setattr(systemd_host, "BOOTED", Path("/nowhere"))
    assert cut_by_reboot(3600) is None
