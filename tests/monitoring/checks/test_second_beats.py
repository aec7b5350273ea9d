"""PM110 against real processes, some with the heartbeat of another project's beat."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.agent.heartbeat_format import FILE, read
from procman.host.process import environment_of
from procman.model import Kind, Level
from procman.monitoring.checks.foreign_heartbeat import heartbeat_of, share_broker
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.checks.second_beats import check
from tests.backends.supervisor.real_supervisord import eventually
from tests.monitoring.checks.records import (
    MANIFEST,
    WAITING,
    celery,
    family,
    heartbeat,
    program,
    reported,
    running,
    snapshot,
    state,
)
from tests.reachable import public_directory


@contextmanager
def own_beat() -> Iterator[ProgramSnapshot]:
    """Run a process as the beat of the project."""
    with family(0) as main:
        yield snapshot(program=program(Kind.BEAT), state=state(pid=main))


@pytest.mark.parametrize(
    "arguments",
    [
        ["-A", "mysite", "beat"],
        ["-Amysite", "beat", "-l", "info"],
        ["--app=mysite.celery:app", "beat"],
        ["--app", "mysite.celery", "worker", "-B"],
        ["-A", "mysite", "worker", "--beat"],
    ],
)
def test_second_beat_of_the_app_is_reported_with_both_pids(tmp_path: Path, arguments: list[str]) -> None:
    with celery(tmp_path, *arguments) as other, own_beat() as beat:
        [result] = check(running(beat, directory=tmp_path))
        assert (result.level, result.detail) == (
            Level.CRITICAL,
            (
                f"beat of mysite also runs as process {other}, beside process {beat.state.pid}: "
                "if it uses the same broker, every task is sent more than once"
            ),
        )
        assert f"ps -fp {other}" in result.hint


def test_worker_with_a_beat_that_is_named_in_beside_is_no_second_beat(tmp_path: Path) -> None:
    with celery(tmp_path, "-A", "mysite", "worker", "-B", "-n", "export@%h"), own_beat() as beat:
        assert reported(check(running(beat, directory=tmp_path)))[0] is Level.CRITICAL
        assert reported(check(running(beat, directory=tmp_path, beside=("export@%h",)))) == (Level.OK, "")


@pytest.mark.parametrize(
    "arguments",
    [["-A", "other", "beat"], ["-A", "mysite", "worker"], ["beat"], ["-A", "mysite", "inspect", "ping"], []],
)
def test_other_commands_and_apps_are_no_second_beat(tmp_path: Path, arguments: list[str]) -> None:
    with celery(tmp_path, *arguments), own_beat() as beat:
        assert reported(check(running(beat, directory=tmp_path))) == (Level.OK, "")


def test_beat_of_another_project_with_the_same_app_name_is_no_second_beat(tmp_path: Path) -> None:
    with celery(tmp_path, "-A", "mysite", "beat"), own_beat() as beat:
        assert reported(check(running(beat, directory=Path("/srv/demo")))) == (Level.OK, "")


def test_beat_of_the_same_virtualenv_is_a_second_beat_in_any_directory(tmp_path: Path) -> None:
    with celery(tmp_path, "-A", "mysite", "beat") as other, own_beat() as beat:
        level, detail = reported(check(running(beat, virtualenv=tmp_path)))
    assert level is Level.CRITICAL
    assert str(other) in detail


def test_beat_that_the_launcher_started_waits_for_the_lock_and_is_no_second_beat(launcher: Path) -> None:
    words = [sys.executable, str(launcher), "celery", "-A", "mysite", "beat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=launcher.parent) as process:
        assert process.stdout
        process.stdout.readline()
        with own_beat() as beat:
            assert reported(check(running(beat, directory=launcher.parent)))[0] is Level.CRITICAL
            assert reported(check(running(beat, launcher=launcher, directory=launcher.parent))) == (Level.OK, "")
        assert process.poll() is None


def test_project_without_a_beat_has_no_second_beat(tmp_path: Path) -> None:
    with celery(tmp_path, "-A", "mysite", "beat"), own_beat() as beat:
        assert list(check(running(snapshot(state=beat.state), directory=tmp_path))) == []


@pytest.mark.root("becomes another user")
def test_process_of_another_user_is_no_second_beat(tmp_path: Path) -> None:
    """Any user can run a process with any command line."""
    words = ["/opt/venv/bin/celery", "-c", "read line", "sh", "-A", "mysite", "beat"]
    with (
        subprocess.Popen(words, executable="/bin/sh", stdin=subprocess.PIPE, cwd="/", user="nobody") as process,
        own_beat() as beat,
    ):
        assert reported(check(running(beat, directory=Path("/")))) == (Level.OK, "")
        own = program(Kind.BEAT, user="nobody")
        level, detail = reported(check(running(beat._replace(program=own), directory=Path("/"))))
        assert (level, f"process {process.pid}," in detail) == (Level.CRITICAL, True)


# Beats of other procman projects --------------------------------------------------------------------------------------

OURS, OTHERS = ["1" * 16, "2" * 16], ["2" * 16, "3" * 16]


@contextmanager
def other_project(directory: Path, *, has_environment: bool = True, **says: Any) -> Iterator[int]:
    """Run a process that looks like the beat of another project, whose heartbeat has the fields `says`."""
    launcher, run = directory / "other" / "launcher.py", directory / "state/other/run/other-celery-beat"
    for made in (launcher.parent, run):
        made.mkdir(parents=True)
    launcher.write_text(WAITING)
    words = [sys.executable, str(launcher), "-A", "mysite", "beat"]
    environment = {**os.environ, "PROCMAN_RUN_DIRECTORY": str(run)} if has_environment else {}
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory, env=environment
    ) as process:
        assert process.stdout
        process.stdout.readline()
        content = heartbeat("beat", **{"program": "other-celery-beat", "pid": process.pid, **says})
        (run / FILE).write_text(json.dumps(content))
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)


def _judged(directory: Path, says: dict[str, Any] | None = None) -> tuple[Level, str]:
    """Return level and detail of PM110 for a beat of the project `demo`."""
    with family(0) as main:
        own = heartbeat("beat", **{"brokers": OURS, **(says or {})})
        beat = snapshot(own, program=program(Kind.BEAT), state=state(pid=main))
        directories = replace(MANIFEST.directories, state=directory / "state/demo")
        return reported(check(running(beat, directory=directory, directories=directories)))


def test_beat_of_another_project_on_the_same_broker_is_reported_with_its_name(tmp_path: Path) -> None:
    with other_project(tmp_path, brokers=OTHERS) as other:
        level, detail = _judged(tmp_path)
    assert level is Level.CRITICAL
    assert f"process {other} (other-celery-beat), beside process" in detail
    assert detail.endswith(": every task is sent more than once")


def test_beat_whose_environment_cannot_be_read_is_known_by_its_heartbeat(tmp_path: Path) -> None:
    """As that of another user's process, unless root looks."""
    with other_project(tmp_path, has_environment=False, brokers=["3" * 16]):
        assert _judged(tmp_path) == (Level.OK, "")


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({}, {"brokers": ["3" * 16]}),
        ({}, {"brokers": OURS, "phase": "standby"}),
        ({"phase": "standby"}, {"brokers": OURS}),
        ({"lock": "redbeat::lock"}, {"brokers": OURS, "lock": "redbeat::lock"}),
        ({}, {"brokers": [], "phase": "importing"}),
        ({"brokers": [], "phase": "importing"}, {"brokers": OURS}),
    ],
    ids=[
        "another broker",
        "it is on standby",
        "ours is on standby",
        "one lock",
        "it imports the app",
        "ours imports the app",
    ],
)
def test_beat_of_another_project_that_does_not_send_the_same_tasks_is_no_second_beat(
    tmp_path: Path, own: dict[str, Any], other: dict[str, Any]
) -> None:
    with other_project(tmp_path, **other):
        assert _judged(tmp_path, own) == (Level.OK, "")


@pytest.mark.parametrize(
    ("own", "other"),
    [({"brokers": []}, {"brokers": OURS}), ({}, {"brokers": []}), ({}, {"brokers": OURS, "pid": 1})],
    ids=["our broker is unknown", "its broker is unknown", "the heartbeat is of another process"],
)
def test_beat_of_another_project_with_an_unknown_broker_may_be_a_second_beat(
    tmp_path: Path, own: dict[str, Any], other: dict[str, Any]
) -> None:
    with other_project(tmp_path, **other):
        level, detail = _judged(tmp_path, own)
    assert level is Level.CRITICAL
    assert detail.endswith(": if it uses the same broker, every task is sent more than once")


def test_heartbeat_is_never_read_through_a_link(tmp_path: Path) -> None:
    with other_project(tmp_path, brokers=OURS) as other:
        file = Path(environment_of(other)["PROCMAN_RUN_DIRECTORY"], FILE)
        assert heartbeat_of(other, tmp_path / "state/demo") == read(file.read_text())
        file.rename(tmp_path / "real")
        file.symlink_to(tmp_path / "real")
        assert heartbeat_of(other, tmp_path / "state/demo") == {}
        file.unlink()
        file.write_text("1" * 400)
        assert heartbeat_of(other, tmp_path / "state/demo") == {}


@pytest.mark.root("becomes another user")
def test_heartbeat_of_another_user_is_read_only_beside_the_projects_own() -> None:
    """Root must not open a path that another user chooses."""
    words = ["/bin/sh", "-c", "read line"]
    with public_directory() as directory:
        run = directory / "state/other/run/other-celery"
        run.mkdir(parents=True)
        variables = {"PROCMAN_RUN_DIRECTORY": str(run)}
        with subprocess.Popen(words, stdin=subprocess.PIPE, cwd="/", user="nobody", env=variables) as process:
            (run / FILE).write_text(json.dumps(heartbeat(pid=process.pid)))
            os.chown(run / FILE, pwd.getpwnam("nobody").pw_uid, -1)
            eventually(lambda: heartbeat_of(process.pid, directory / "state/demo") != {}, "it is read")
            assert heartbeat_of(process.pid, directory / "elsewhere/demo") == {}
            assert heartbeat_of(process.pid, directory / "state/other/run/demo") == {}


def test_heartbeat_of_a_process_of_the_callers_own_is_read_anywhere(tmp_path: Path) -> None:
    with other_project(tmp_path, brokers=OURS) as other:
        assert heartbeat_of(other, tmp_path / "elsewhere/demo")["brokers"] == OURS


def test_brokers_are_the_same_if_they_share_a_node() -> None:
    assert [share_broker(OURS, OTHERS), share_broker(OURS, ["4" * 16]), share_broker(OURS, [])] == [True, False, None]
