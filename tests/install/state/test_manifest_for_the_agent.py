"""The agent of a running worker reads its present stop timeout in the manifest that an install writes."""

from __future__ import annotations

from pathlib import Path

from procman.agent.settings import HealthSettings, handback_delay
from procman.install.state.holds import hold_path
from tests.install import sample
from tests.install.sample import DESIRED_STATES


def test_agent_finds_the_stop_timeout_in_the_installed_manifest(host: Path) -> None:
    (host / "procman.toml").write_bytes(sample.CONFIGURATION)
    sample.install(host, DESIRED_STATES["one"])
    program = "catmaid-celery"
    hold = str(hold_path(sample.directories(host).state, program))
    started = HealthSettings(program, "worker", ".", stop_timeout_seconds=30, handback_seconds=5, hold_file=hold)
    assert handback_delay(started) == 595
    assert handback_delay(started._replace(program="catmaid-other")) == 25
