"""procman's own supervisord is started, found and stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.supervisor.client import NotRunning, Unreachable
from procman.backends.supervisor.configuration.main_file import (
    EMBEDDED,
    EMBEDDED_SOCKET,
    embedded_main_file,
    parse_main_file,
)
from procman.backends.supervisor.controller import SupervisorController
from procman.backends.supervisor.embedded import (
    check_socket_length,
    own_command,
    start_supervisord,
    started_by_hand,
    stop_supervisord,
)
from procman.backends.supervisor.systemd_unit import Service
from procman.errors import ProcmanError
from procman.host import process
from procman.model import Action, Activation, Scope
from tests.backends.supervisor import projects
from tests.backends.supervisor.real_supervisord import Supervisord, eventually, ignore, installed

pytestmark = pytest.mark.supervisord


@pytest.fixture
def own(supervisord: Supervisord) -> Iterator[Supervisord]:
    """Files for a supervisord that procman starts in the background."""
    yield supervisord
    try:
        pid = int((supervisord.directory / "pid").read_text())
    except FileNotFoundError:
        return
    if str(supervisord.configuration) in process.arguments(pid):
        supervisord.remember(pid)
        os.kill(pid, signal.SIGKILL)


def pid_of(own: Supervisord) -> int:
    return int(own.client.call("getPID"))


def test_user_without_an_account_can_start_supervisord(own: Supervisord, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", unknown)
    own.section("a")
    assert start_supervisord(own.configuration)
    eventually(lambda: own.state("a") == "RUNNING")


def test_started_supervisord_answers(own: Supervisord) -> None:
    own.section("a")
    assert start_supervisord(own.configuration)
    eventually(lambda: own.state("a") == "RUNNING")


def test_running_supervisord_is_not_started_again(own: Supervisord) -> None:
    start_supervisord(own.configuration)
    pid = pid_of(own)
    assert not start_supervisord(own.configuration)
    assert pid_of(own) == pid


def test_configured_command_starts_supervisord_without_a_unit(own: Supervisord, tmp_path: Path) -> None:
    command = tmp_path / "supervisord"
    command.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexec {own_command()} "$@"\n')
    command.chmod(0o755)
    assert start_supervisord(own.configuration, command=command, service=Service(Scope.SYSTEM, tmp_path))
    assert (tmp_path / "asked").read_text() == f"-c {own.configuration}\n"


def test_supervisord_outside_its_unit_was_started_by_hand(own: Supervisord, tmp_path: Path) -> None:
    service = Service(Scope.SYSTEM, tmp_path)
    assert started_by_hand(own.configuration, service) is None
    start_supervisord(own.configuration)
    assert started_by_hand(own.configuration, service) == pid_of(own)
    assert stop_supervisord(own.client, ignore, service)
    assert started_by_hand(own.configuration, service) is None


def test_programs_do_not_inherit_the_callers_environment(own: Supervisord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "wrong.settings")
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    own.section("a", command=f"sh -c 'env > {own.directory}/env; exec sleep 1000'")
    start_supervisord(own.configuration)
    text = eventually(lambda: (own.directory / "env").exists() and (own.directory / "env").read_text())
    assert text
    names = {line.partition("=")[0] for line in text.splitlines() if not line.startswith(("SUPERVISOR_", "_", "PWD"))}
    assert names - {"SHLVL", "OLDPWD"} == {"PATH", "LANG", "HOME", "USER", "LOGNAME"}


def test_killed_supervisord_does_not_prevent_a_start(own: Supervisord) -> None:
    start_supervisord(own.configuration)
    pid = pid_of(own)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not process.alive(pid))
    assert own.socket.exists()
    assert (own.directory / "pid").exists()
    assert start_supervisord(own.configuration)
    assert pid_of(own) != pid


def test_start_waits_for_a_supervisord_that_is_shutting_down(own: Supervisord) -> None:
    own.worker("a", task_seconds=1)
    start_supervisord(own.configuration)
    pid = pid_of(own)
    eventually(lambda: "ready" in own.events("a"))
    own.client.call("shutdown")
    assert start_supervisord(own.configuration)
    assert pid_of(own) != pid
    eventually(lambda: own.events("a")[-1] == "ready")
    assert own.events("a") == ["start", "ready", "term", "finished", "start", "ready"]


def test_suspended_supervisord_is_not_started_again(own: Supervisord) -> None:
    start_supervisord(own.configuration)
    pid = pid_of(own)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Unreachable, match="does not answer") as caught:
        start_supervisord(own.configuration, timeout=0.5)
    assert f"kill -CONT {pid}" in caught.value.hint
    assert not isinstance(caught.value, NotRunning)


def test_supervisord_with_a_deleted_socket_is_not_started_again(own: Supervisord) -> None:
    start_supervisord(own.configuration)
    pid = pid_of(own)
    own.socket.unlink()
    with pytest.raises(Unreachable, match=f"process {pid}"):
        start_supervisord(own.configuration)


def test_failed_start_is_reported_with_its_reason(own: Supervisord) -> None:
    (own.sections / "bad.conf").write_text("[program:x]\ncommand=x\nstartsecs=soon\n")
    with pytest.raises(ProcmanError, match=r"supervisord did not start: invalid literal.*bad\.conf"):
        start_supervisord(own.configuration)


@pytest.mark.parametrize(("length", "fits"), [(98, True), (99, True), (100, False)])
def test_socket_path_leaves_room_for_supervisords_suffix(length: int, fits: bool) -> None:
    socket = Path("/" + "x" * (length - 1))
    if fits:
        check_socket_length(socket)
    else:
        with pytest.raises(ProcmanError, match="100 bytes, more than the maximum of 99") as caught:
            check_socket_length(socket)
        assert "XDG_STATE_HOME" in caught.value.hint


def test_longest_accepted_socket_path_works(own: Supervisord) -> None:
    directory = own.directory / ("x" * (99 - len(str(own.directory)) - 3))
    directory.mkdir()
    text = own.configuration.read_text()
    own.configuration.write_text(text.replace("%(here)s/s", f"{directory}/s"))
    assert start_supervisord(own.configuration)


def test_shutdown_stops_all_programs_gracefully_in_parallel(own: Supervisord) -> None:
    for name in ("a", "b", "c"):
        own.worker(name, task_seconds=1)
    start_supervisord(own.configuration)
    pid = pid_of(own)
    eventually(lambda: all("ready" in own.events(name) for name in ("a", "b", "c")))
    assert stop_supervisord(own.client, ignore)
    assert not process.alive(pid)
    assert [own.events(name)[-1] for name in ("a", "b", "c")] == ["finished"] * 3
    assert max(own.moment(name, "term") for name in "abc") < min(own.moment(name, "finished") for name in "abc")


def test_shutdown_without_a_running_supervisord_does_nothing(own: Supervisord) -> None:
    assert not stop_supervisord(own.client, ignore)


def test_supervisord_without_its_configuration_file_is_shut_down(own: Supervisord) -> None:
    """This happens after an interrupted uninstall."""
    state = own.directory / EMBEDDED
    state.mkdir()
    text = own.configuration.read_text().replace("%(here)s/s", f"%(here)s/{EMBEDDED}/{EMBEDDED_SOCKET}")
    own.configuration.write_text(text)
    own.worker("a", task_seconds=1)
    start_supervisord(own.configuration)
    pid = pid_of(own)
    eventually(lambda: "ready" in own.events("a"))
    own.configuration.unlink()
    known = embedded_main_file(own.configuration, own.directory)
    controller = SupervisorController(own.configuration, embedded=True, known=known)
    assert controller.activate(Activation(Action.REMOVE, installed("a")), ignore) == "stopped and unloaded"
    assert own.events("a")[-1] == "finished"
    controller.shutdown(ignore)
    assert not process.alive(pid)
    controller.shutdown(ignore)


def test_known_settings_match_the_rendered_file(tmp_path: Path) -> None:
    project = projects.embedded(tmp_path, Path("/home/anna"))
    main = project.supervisor.configuration
    written = parse_main_file(main, projects.rendered(project)[str(main)].content)
    known = embedded_main_file(main, project.directories.shared_state)
    assert replace(written, includes=()) == known


def test_existing_supervisord_is_not_shut_down(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.controller().shutdown(ignore)
    assert supervisord.client.call("getState")["statename"] == "RUNNING"


def test_start_of_a_program_starts_supervisord(own: Supervisord) -> None:
    own.section("a", autostart="false")
    SupervisorController(own.configuration, embedded=True).start([installed("a", autostart=False)], ignore)
    eventually(lambda: own.state("a") == "RUNNING")


def test_program_started_together_with_supervisord_is_not_restarted_by_its_activation(own: Supervisord) -> None:
    own.worker("a")
    controller = SupervisorController(own.configuration, embedded=True)
    printed = controller.activate(Activation(Action.REPLACE, installed("a")), ignore)
    assert printed == "started together with supervisord"
    eventually(lambda: own.events("a") == ["start", "ready"])
    assert controller.activate(Activation(Action.RESTART, installed("a")), ignore) == "restarted"
    eventually(lambda: own.events("a").count("ready") == 2)


def test_printed_commands_work(own: Supervisord) -> None:
    own.section("a")
    start_supervisord(own.configuration)
    eventually(lambda: own.state("a") == "RUNNING")
    pid = own.info("a")["pid"]
    controller = SupervisorController(own.configuration, embedded=True)
    assert os.system(f"{controller.supervisorctl()} restart a >/dev/null") == 0
    eventually(lambda: own.state("a") == "RUNNING")
    assert own.info("a")["pid"] != pid
