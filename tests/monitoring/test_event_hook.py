"""The `on_event` command gets each event, and root runs only a command that no other user can modify."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.install.state.event_log import Event
from procman.install.state.manifest import Manifest
from procman.model import HealthSettings
from procman.monitoring.event_hook import MOST_AT_ONCE, EventHook, user_for
from tests.install import sample
from tests.install.people import NOBODY, needs_root

EVENT = Event(1000.0, "catmaid-celery", "healing", code="PM301", reason="it is idle", tasks=("a.b",), by="healer")


PLACE = Path("/var/empty")


def manifest() -> Manifest:
    wish = sample.DESIRED_STATES["one"]
    return sample.manifest(PLACE, wish, sample.rendering(PLACE, wish))


def manifest_with(*argv: str) -> Manifest:
    programs = tuple(replace(each, user=None) for each in manifest().programs)
    return replace(manifest(), programs=programs, health=HealthSettings(on_event=argv))


def test_command_gets_the_event_as_json_and_a_clean_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the caller")
    warnings: list[str] = []
    hook = EventHook(warnings.append)
    file = str(tmp_path / "written")
    code = f"import os, sys; open({file!r}, 'w').write(sys.stdin.read() + str('SECRET' in os.environ))"
    hook.call(manifest_with(sys.executable, "-c", code), EVENT)
    hook.wait()
    line, has_secret = (tmp_path / "written").read_text().split("\n")
    assert json.loads(line)["reason"] == "it is idle"
    assert json.loads(line)["tasks"] == ["a.b"]
    assert has_secret == "False"
    assert warnings == []


def test_command_runs_in_the_background_and_is_killed_after_its_time_limit() -> None:
    warnings: list[str] = []
    hook = EventHook(warnings.append, timeout=3)
    hook.call(manifest_with("/bin/sh", "-c", "sleep 600"), EVENT)
    assert hook.reap(), "it runs on"
    hook.wait()
    assert "exited with status -9" in warnings[0]


def test_number_of_running_commands_is_limited() -> None:
    warnings: list[str] = []
    hook = EventHook(warnings.append, timeout=1)
    for _ in range(MOST_AT_ONCE + 2):
        hook.call(manifest_with("/bin/sleep", "600"), EVENT)
    assert len(warnings) == 2
    hook.wait()


def test_command_that_cannot_be_run_is_a_warning() -> None:
    warnings: list[str] = []
    EventHook(warnings.append).call(manifest_with("/nowhere/command"), EVENT)
    assert "/nowhere/command" in warnings[0]


def test_no_command_runs_without_on_event() -> None:
    hook = EventHook(pytest.fail)
    hook.call(manifest(), EVENT)
    assert not hook.reap()


@needs_root
def test_root_runs_only_what_root_alone_can_modify(tmp_path: Path) -> None:
    assert user_for(("/bin/true",), "nobody") is None
    assert user_for(("/bin/true", "--word"), None) is None
    os.chown(tmp_path, NOBODY.pw_uid, -1)
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert user_for((str(script),), "nobody") == "nobody"
    assert user_for(("/bin/sh", str(script)), "nobody") == "nobody"
    with pytest.raises(ProcmanError, match="cannot find the command no-such-command-anywhere"):
        user_for(("no-such-command-anywhere",), "nobody")


@needs_root
def test_command_of_the_user_has_no_rights_of_root() -> None:
    with tempfile.TemporaryDirectory(prefix="pm") as name:
        os.chown(name, NOBODY.pw_uid, -1)
        script, lines = Path(name, "script"), Path(name, "written")
        script.write_text(f"#!/bin/sh\n(id -u; id -G) > {lines}\n")
        script.chmod(0o755)
        found = manifest_with(str(script))
        hook = EventHook(pytest.fail)
        hook.call(replace(found, programs=tuple(replace(each, user="nobody") for each in found.programs)), EVENT)
        hook.wait()
        uid, groups = lines.read_text().splitlines()
        assert int(uid) == NOBODY.pw_uid
        assert "0" not in groups.split()
