"""PM110 with two real beats of one app: two projects on one broker, and on two brokers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.model import Kind, Level, Result
from procman.monitoring.checks.second_beats import OF_TWO_PROJECTS, check
from tests.agent.conftest import Start, spawn, start
from tests.agent.heartbeats import BEAT, SHORT, Followed
from tests.agent.launching import Installation, install_launcher
from tests.celery_environments import CELERY_5_7, environment_of
from tests.django_projects import make_project
from tests.monitoring.checks.records import MANIFEST, program, running, snapshot, state

pytestmark = pytest.mark.celery

__all__ = ("spawn", "start")
"""The fixtures of tests/agent."""

SETTINGS = """
import os
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": os.environ["BROKER_DIRECTORY"],
    "data_folder_out": os.environ["BROKER_DIRECTORY"],
    "control_folder": os.environ["BROKER_DIRECTORY"],
}
"""


def begin(directory: Path, name: str, broker: str, start: Start) -> tuple[Installation, Followed]:
    """Start the beat of the project `name` with the app that all projects in `directory` share."""
    environment = environment_of(CELERY_5_7)
    assert environment is not None
    (directory / broker).mkdir(exist_ok=True)
    installed = install_launcher(directory / name, environment.python)
    installed.project.rmdir()
    installed.project.symlink_to(directory / "code")
    run = directory / "state" / name / "run" / f"{name}-celery-beat"
    run.mkdir(parents=True)
    variables = {
        **SHORT,
        "BROKER_DIRECTORY": str(directory / broker),
        "PROCMAN_PROGRAM": f"{name}-celery-beat",
        "PROCMAN_DIRECTORY": str(directory / "code"),
        "PROCMAN_RUN_DIRECTORY": str(run),
    }
    words = [word.replace("mysite", "site1") for word in BEAT]
    launched = start(installed, "beat", *words, "-s", run / "schedule", **variables)
    return installed, Followed(launched, run)


def judge(directory: Path, name: str, installed: Installation, beat: Followed) -> Result:
    """Return what health reports about the beat of the project `name`."""
    own = snapshot(beat.heartbeat(), program=program(Kind.BEAT), state=state(pid=beat.pid))
    directories = replace(MANIFEST.directories, state=directory / "state" / name)
    manifest = {"app": "site1", "directory": directory / "code", "directories": directories}
    [result] = check(running(own, launcher=installed.launcher, **manifest))
    return result


@pytest.mark.parametrize(("second_broker", "level"), [("one", Level.CRITICAL), ("two", Level.OK)])
def test_beats_of_two_projects_are_two_only_on_one_broker(
    tmp_path: Path, start: Start, second_broker: str, level: Level
) -> None:
    make_project(tmp_path / "code", SETTINGS)
    live = begin(tmp_path, "live", "one", start)
    staging = begin(tmp_path, "staging", second_broker, start)
    for _, beat in (live, staging):
        beat.wait_until_healthy()
    results = [judge(tmp_path, "live", *live), judge(tmp_path, "staging", *staging)]
    assert [each.level for each in results] == [level, level]
    if level is Level.CRITICAL:
        assert f"process {staging[1].pid} (staging-celery-beat)" in results[0].detail
        assert f"process {live[1].pid} (live-celery-beat)" in results[1].detail
        assert "if it uses" not in results[0].detail + results[1].detail
        assert {each.hint for each in results} == {OF_TWO_PROJECTS}
