"""Programs are started, stopped and reported through a real supervisord."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.backends.supervisor.client import Fault, NotRunning, Unreachable
from procman.backends.supervisor.controller import SupervisorController
from procman.backends.supervisor.graceful_stop import drain, stop_gracefully, unload
from procman.errors import ProcmanError
from procman.host import process
from procman.model import Action, Activation, InstalledProgram, ProgramState, State
from tests.backends.supervisor.real_supervisord import Supervisord, as_nobody, eventually, installed

pytestmark = pytest.mark.supervisord


def ignore(_: str) -> None:
    """Take progress and show nobody."""


def state(supervisord: Supervisord, program: InstalledProgram) -> ProgramState:
    return supervisord.controller().states([program])[0]


def activate(supervisord: Supervisord, action: Action, program: InstalledProgram, desired: bool | None = None) -> str:
    return supervisord.controller().activate(Activation(action, program, desired), ignore)


def drain_and_unload(supervisord: Supervisord, *names: str) -> list[str]:
    client = supervisord.controller().client
    drain(client, names, 20, ignore)
    return unload(client, names)


# States


def test_states_come_in_the_order_asked_for(supervisord: Supervisord) -> None:
    for name in ("a", "b", "c"):
        supervisord.section(name)
    supervisord.start()
    states = supervisord.controller().states([installed("c"), installed("a"), installed("b")])
    assert [each.name for each in states] == ["c", "a", "b"]


def test_running_program_has_pid_and_start_time(supervisord: Supervisord) -> None:
    supervisord.section("a")
    before = time.time()
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.desired, seen.restarts) == (State.RUNNING, True, 0)
    assert seen.pid == supervisord.info("a")["pid"]
    assert seen.since is not None
    assert int(before) <= seen.since <= time.time()


@pytest.mark.parametrize("autostart", [True, False])
def test_program_never_started_is_wanted_if_it_autostarts(supervisord: Supervisord, autostart: bool) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    seen = state(supervisord, installed("a", autostart=autostart))
    assert (seen.state, seen.desired, seen.pid, seen.since) == (State.STOPPED, autostart, None, None)


def test_program_stopped_by_anyone_is_not_wanted(supervisord: Supervisord) -> None:
    supervisord.section("a")
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    supervisord.stop("a")
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.desired) == (State.STOPPED, False)


def test_program_being_stopped_is_not_wanted(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=60)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.client.call("stopProcess", "a", False)
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.desired) == (State.STOPPING, False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"command": "/nonexistent/x", "startretries": 0}, State.FATAL),
        ({"command": "/nonexistent/x", "startretries": 1000}, State.BACKOFF),
        ({"command": "sh -c 'exit 3'", "autorestart": "false", "startsecs": 0}, State.EXITED),
    ],
)
def test_program_that_fails_by_itself_stays_wanted(
    supervisord: Supervisord, options: dict[str, str], expected: State
) -> None:
    supervisord.section("a", **options)
    supervisord.start()
    seen = eventually(lambda: next((s for s in [state(supervisord, installed("a"))] if s.state is expected), None))
    assert seen is not None
    assert seen.desired
    assert seen.detail


def test_program_that_is_not_loaded_is_unknown(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.section("a")
    seen = state(supervisord, installed("a", autostart=False))
    assert (seen.state, seen.desired) == (State.UNKNOWN, False)
    assert "procman start" in seen.detail


def test_program_in_a_group_of_somebody_else_is_not_taken_for_ours(supervisord: Supervisord) -> None:
    supervisord.section("a").write_text("[program:a]\ncommand=sleep 1000\n[group:g]\nprograms=a\n")
    supervisord.start()
    seen = state(supervisord, installed("a"))
    assert seen.state is State.UNKNOWN
    assert "g:a" in seen.detail


@pytest.mark.parametrize("log", ["%(here)s/log", "log"])
def test_restarts_count_those_of_supervisord_since_the_last_order(supervisord: Supervisord, log: str) -> None:
    # A relative path is known to supervisord alone.
    supervisord.configure(logfile=log)
    supervisord.section("a")
    supervisord.section("b")
    supervisord.start()
    for _ in range(2):
        eventually(lambda: supervisord.state("a") == "RUNNING")
        pid = supervisord.info("a")["pid"]
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: supervisord.info("a")["pid"] not in (pid, 0))  # type: ignore[misc]
    assert [each.restarts for each in supervisord.controller().states([installed("a"), installed("b")])] == [2, 0]
    supervisord.controller().restart(installed("a"), ignore)
    assert state(supervisord, installed("a")).restarts == 0


@pytest.mark.parametrize("options", [{"loglevel": "warn"}, {"logfile": "/dev/null"}])
def test_restarts_are_unknown_where_the_log_cannot_tell(supervisord: Supervisord, options: dict[str, str]) -> None:
    supervisord.configure(**options)
    supervisord.section("a")
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.restarts) == (State.RUNNING, None)


# A supervisord that does not answer


@pytest.fixture
def suspended(supervisord: Supervisord) -> Iterator[Supervisord]:
    supervisord.section("a")
    supervisord.start()
    os.kill(supervisord.pid, signal.SIGSTOP)
    eventually(lambda: process.suspended(supervisord.pid))
    yield supervisord
    os.kill(supervisord.pid, signal.SIGCONT)


def test_suspended_supervisord_gives_unknown_within_the_timeout(suspended: Supervisord) -> None:
    began = time.monotonic()
    [seen] = suspended.controller(timeout=0.5).states([installed("a")])
    assert time.monotonic() - began < 30
    assert (seen.state, seen.desired) == (State.UNKNOWN, True)
    assert f"kill -CONT {suspended.pid}" in seen.detail


def test_an_order_has_more_patience_than_a_question(suspended: Supervisord) -> None:
    controller = suspended.controller(timeout=0.1)
    assert controller.states([installed("a")])[0].state is State.UNKNOWN
    waking = threading.Timer(1, os.kill, (suspended.pid, signal.SIGCONT))
    waking.start()
    controller.restart(installed("a"), ignore)
    waking.join()
    assert state(suspended, installed("a")).state is State.RUNNING


def test_supervisord_that_stops_answering_in_the_middle_gives_unknown(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        configuration = _listen(listener, tmp_path)
        listener.listen()
        controller = SupervisorController(configuration, embedded=False, timeout=0.5)
        pid = os.fork()
        if pid == 0:
            connection, _ = listener.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                # Slower than the answer needs, but never silent for as long as the timeout.
                connection.sendall(b".")
                time.sleep(0.1)
        try:
            [seen] = controller.states([installed("a")])
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert seen.state is State.UNKNOWN
    assert "does not answer" in seen.detail


def test_full_queue_of_a_listener_gives_unknown_within_the_timeout(tmp_path: Path) -> None:
    waiting = []
    with socket.socket(socket.AF_UNIX) as listener:
        configuration = _listen(listener, tmp_path)
        listener.listen(0)
        try:
            while True:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(listener.getsockname())
        except BlockingIOError:
            pass
        [seen] = SupervisorController(configuration, embedded=False, timeout=0.5).states([installed("a")])
        for each in waiting:
            each.close()
    assert seen.state is State.UNKNOWN
    assert "does not answer" in seen.detail


def test_something_else_that_listens_gives_unknown(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        configuration = _listen(listener, tmp_path)
        listener.listen()
        pid = os.fork()
        if pid == 0:
            connection, _ = listener.accept()
            connection.recv(10000)
            connection.sendall(b"220 mail.example.org ESMTP\r\n")
            os._exit(0)
        [seen] = SupervisorController(configuration, embedded=False).states([installed("a")])
        os.waitpid(pid, 0)
    assert seen.state is State.UNKNOWN


def _listen(listener: socket.socket, directory: Path) -> Path:
    configuration = directory / "supervisord.conf"
    listener.bind(str(directory / "s"))
    configuration.write_text("[unix_http_server]\nfile=%(here)s/s\n")
    return configuration


def test_supervisord_that_is_not_running_gives_unknown_and_how_to_start_it(supervisord: Supervisord) -> None:
    seen = state(supervisord, installed("a"))
    assert seen.state is State.UNKNOWN
    assert "not running" in seen.detail
    assert f"supervisord -c {supervisord.configuration}" in seen.detail


def test_socket_left_behind_by_a_killed_supervisord_counts_as_not_running(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.kill()
    assert supervisord.socket.exists()
    with pytest.raises(NotRunning):
        supervisord.client.call("getState")


def test_deleted_socket_of_a_supervisord_that_runs_is_told_apart(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.socket.unlink()
    with pytest.raises(Unreachable, match=f"runs \\(process {supervisord.pid}\\)") as caught:
        supervisord.client.call("getState")
    assert not isinstance(caught.value, NotRunning)


@pytest.mark.root("becomes another user")
def test_socket_of_root_says_who_may_use_it(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.controller().client.call("getState")

    def ask() -> object:
        return supervisord.controller().states([installed("a")])[0].detail

    assert (
        as_nobody(ask)
        == f"{supervisord.socket} belongs to root, who alone may speak to it. Run the same command with sudo."
    )


def test_wrong_password_names_the_file(supervisord: Supervisord) -> None:
    text = supervisord.configuration.read_text()
    supervisord.configuration.write_text(text.replace("[rpc", "username=me\npassword=secret1\n[rpc"))
    supervisord.start()
    supervisord.configuration.write_text(text.replace("[rpc", "username=me\npassword=secret2\n[rpc"))
    with pytest.raises(Unreachable, match=r"supervisord\.conf") as caught:
        supervisord.client.call("getState")
    assert "secret" not in caught.value.message + caught.value.hint


def test_password_of_the_configuration_is_used(supervisord: Supervisord) -> None:
    text = supervisord.configuration.read_text()
    supervisord.configuration.write_text(text.replace("[rpc", "username=me\npassword=sec:ret # not this\n[rpc"))
    supervisord.start()
    assert supervisord.client.call("getState")["statename"] == "RUNNING"
    assert "sec:ret" not in repr(supervisord.client)


def test_hashed_password_is_taken_from_supervisorctl(supervisord: Supervisord) -> None:
    text = supervisord.configuration.read_text()
    # sha1("thepassword")
    text = text.replace("[rpc", "username=me\npassword={SHA}82ab876d1387bfafe46cc1c8a2ef074eae50cb1d\n[rpc")
    supervisord.configuration.write_text(text.replace("[include]", "username=me\npassword=thepassword\n[include]"))
    supervisord.start()
    assert supervisord.client.call("getState")["statename"] == "RUNNING"


def test_server_on_tcp_is_spoken_to(supervisord: Supervisord) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = supervisord.configuration.read_text().replace("[unix_http_server]", "[inet_http_server]")
    supervisord.configuration.write_text(text.replace("file=%(here)s/s", f"port=*:{port}"))
    supervisord.section("a")
    supervisord.start()
    assert supervisord.state("a")
    supervisord.kill()
    assert f"http://127.0.0.1:{port}" in state(supervisord, installed("a")).detail


def test_supervisord_that_shuts_down_says_so(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=60)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.client.call("shutdown")
    assert "shutting down" in state(supervisord, installed("a")).detail
    with pytest.raises(ProcmanError, match="shutting down"):
        supervisord.controller().start([installed("a")], ignore)


def test_broken_configuration_gives_unknown(tmp_path: Path) -> None:
    (tmp_path / "supervisord.conf").write_text("[unix_http_server\n")
    [seen] = SupervisorController(tmp_path / "supervisord.conf", embedded=False).states([installed("a")])
    assert seen.state is State.UNKNOWN
    assert "supervisord.conf" in seen.detail


def test_whether_a_program_is_to_run_is_not_guessed(suspended: Supervisord) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        suspended.controller(patience=0.5).desired([installed("a")])


def test_whether_a_program_is_to_run_is_its_autostart_where_no_supervisord_runs(supervisord: Supervisord) -> None:
    programs = [installed("a"), installed("b", autostart=False)]
    assert supervisord.controller().desired(programs) == {"a": True, "b": False}


# Stop and start


def test_ten_programs_side_by_side_stop_together_and_lose_nothing(supervisord: Supervisord) -> None:
    names = [f"w{number}" for number in range(10)]
    for name in names:
        supervisord.worker(name, task_seconds=1)
    supervisord.start()
    eventually(lambda: all("ready" in supervisord.events(name) for name in names))
    supervisord.controller().stop([installed(name) for name in names], ignore)
    assert {name: supervisord.events(name) for name in names} == {
        name: ["start", "ready", "term", "finished"] for name in names
    }
    assert {supervisord.state(name) for name in names} == {"STOPPED"}
    # All were told before the first had ended.
    assert max(supervisord.moment(name, "term") for name in names) < min(
        supervisord.moment(name, "finished") for name in names
    )


def test_stop_tells_what_it_waits_for(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=2)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    told: list[str] = []
    supervisord.controller().stop([installed("a", stop_timeout=600)], told.append)
    assert "a: finishing its tasks, 1 s of at most 600 s" in told


def test_stop_of_a_stopped_or_unloaded_program_is_done_at_once(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    supervisord.controller().stop([installed("a"), installed("nowhere")], ignore)
    assert supervisord.state("a") == "STOPPED"


def test_stop_ends_a_program_that_keeps_failing(supervisord: Supervisord) -> None:
    supervisord.section("a", command="sh -c 'exit 1'", startsecs=5)
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "BACKOFF")
    supervisord.controller().stop([installed("a")], ignore)
    assert supervisord.state("a") == "STOPPED"


def test_stop_catches_a_program_that_ends_by_itself_meanwhile(supervisord: Supervisord) -> None:
    # Runs for a few hundredths of a second at a time: the order finds it exited as often as running.
    supervisord.section("a", command="sleep 0.03")
    supervisord.start()
    eventually(lambda: supervisord.info("a")["start"])
    supervisord.controller().stop([installed("a")], ignore)
    assert supervisord.state("a") == "STOPPED"
    start = supervisord.info("a")["start"]
    time.sleep(1.5)
    assert supervisord.info("a")["start"] == start


def test_stop_of_a_program_that_has_just_been_started_is_not_swallowed(supervisord: Supervisord) -> None:
    """Until it executes its command a new process is supervisord's own copy, which takes TERM for supervisord's."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # It closes as many files one by one before.
    supervisord.configure(minfds=str(min(most, 500_000)))
    supervisord.worker("a", autostart="false")
    supervisord.start()
    supervisord.controller().start([installed("a")], ignore)
    supervisord.controller().stop([installed("a")], ignore)
    assert supervisord.events("a") in ([], ["start"], ["start", "ready", "term", "finished"])
    assert "SIGKILL" not in (supervisord.directory / "log").read_text()


def test_stop_that_takes_too_long_ends_with_an_error(supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisord.worker("a", task_seconds=60)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    monkeypatch.setattr("procman.backends.graceful_stop.MARGIN_SECONDS", 0)
    with pytest.raises(ProcmanError, match="a did not end within"):
        stop_gracefully(supervisord.client, {"a": 0.5}, ignore)
    assert supervisord.state("a") == "STOPPING"


def test_stop_without_a_supervisord_has_nothing_to_do(supervisord: Supervisord) -> None:
    told: list[str] = []
    supervisord.controller().stop([installed("a")], told.append)
    assert "nothing to stop" in told[0]


def test_start_starts_what_does_not_run_and_leaves_what_does(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.section("b")
    supervisord.start()
    eventually(lambda: supervisord.state("b") == "RUNNING")
    pid = supervisord.info("b")["pid"]
    supervisord.controller().start([installed("a"), installed("b")], ignore)
    assert supervisord.state("a") in ("STARTING", "RUNNING")
    assert supervisord.info("b")["pid"] == pid


def test_start_waits_for_a_program_that_is_still_stopping(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=1)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.client.call("stopProcess", "a", False)
    supervisord.controller().start([installed("a")], ignore)
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    assert supervisord.events("a") == ["start", "ready", "term", "finished", "start", "ready"]


def test_start_loads_a_section_that_is_not_loaded(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.section("a", autostart="false")
    supervisord.controller().start([installed("a", autostart=False)], ignore)
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_start_of_a_command_that_is_gone_says_so(supervisord: Supervisord) -> None:
    supervisord.section("a", command="/nonexistent/start.sh", autostart="false")
    supervisord.start()
    with pytest.raises(ProcmanError, match=r"a: .*no such file.*start\.sh") as caught:
        supervisord.controller().start([installed("a")], ignore)
    assert "procman install" in caught.value.hint


def test_start_goes_on_with_what_is_loaded_if_somebody_elses_file_is_broken(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    (supervisord.sections / "theirs.conf").write_text("rubbish\n")
    told: list[str] = []
    supervisord.controller().start([installed("a")], told.append)
    assert supervisord.state("a") in ("STARTING", "RUNNING")
    assert str(supervisord.sections / "theirs.conf") in told[0]


def test_start_without_a_supervisord_says_how_to_start_it(supervisord: Supervisord) -> None:
    with pytest.raises(NotRunning) as caught:
        supervisord.controller().start([installed("a")], ignore)
    assert caught.value.hint == f"supervisord -c {supervisord.configuration}"


def test_restart_finishes_the_task_and_starts_again(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=1)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.controller().restart(installed("a"), ignore)
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    assert supervisord.events("a") == ["start", "ready", "term", "finished", "start", "ready"]


# Activation


def test_added_program_is_loaded_and_started(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.section("a")
    assert activate(supervisord, Action.ADD, installed("a")) == "added and started"
    eventually(lambda: supervisord.state("a") == "RUNNING")
    pid = supervisord.info("a")["pid"]
    assert activate(supervisord, Action.ADD, installed("a")) == "was loaded already"
    assert supervisord.info("a")["pid"] == pid


def test_added_program_without_autostart_is_not_started(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.worker("a", autostart="false")
    activate(supervisord, Action.ADD, installed("a", autostart=False))
    assert supervisord.state("a") == "STOPPED"
    time.sleep(1.5)
    assert supervisord.events("a") == []


def test_added_program_that_was_interrupted_before_its_start_is_started(supervisord: Supervisord) -> None:
    """R2: one without autostart, that was to run under the section it was taken over from."""
    supervisord.section("a", autostart="false")
    supervisord.start()
    activate(supervisord, Action.ADD, installed("a", autostart=False), desired=True)
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_program_whose_section_is_gone_is_not_stopped_for_a_new_one(supervisord: Supervisord) -> None:
    file = supervisord.section("a")
    supervisord.start()
    pid = eventually(lambda: supervisord.info("a")["pid"])
    file.unlink()
    with pytest.raises(ProcmanError, match="a: supervisord does not read its section any more"):
        activate(supervisord, Action.REPLACE, installed("a"))
    assert supervisord.info("a")["pid"] == pid


def test_shorter_stop_timeout_does_not_cut_the_wait_for_what_the_loaded_section_allows(
    supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisord.worker("a", task_seconds=2, stopwaitsecs=20)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.worker("a", task_seconds=2, stopwaitsecs=1)
    monkeypatch.setattr("procman.backends.graceful_stop.MARGIN_SECONDS", 0)
    activation = Activation(Action.REPLACE, installed("a", stop_timeout=1), old_stop_timeout_seconds=20)
    assert supervisord.controller().activate(activation, ignore) == "restarted"
    assert supervisord.events("a")[:4] == ["start", "ready", "term", "finished"]


def test_program_that_supervisord_does_not_read_is_an_error(supervisord: Supervisord) -> None:
    supervisord.start()
    with pytest.raises(ProcmanError, match="a: supervisord does not read its section"):
        activate(supervisord, Action.ADD, installed("a"))


def test_replaced_program_finishes_its_task_and_runs_the_new_section(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=1)
    supervisord.section("b")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.worker("a", task_seconds=1, priority=5)
    supervisord.section("b", priority=5)
    theirs = supervisord.info("b")["pid"]
    activate(supervisord, Action.REPLACE, installed("a"))
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    assert supervisord.events("a") == ["start", "ready", "term", "finished", "start", "ready"]
    [[_, changed, _]] = supervisord.client.call("reloadConfig")
    assert changed == ["b"]
    assert supervisord.info("b")["pid"] == theirs


def test_running_program_without_autostart_is_started_again(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    supervisord.client.call("startProcess", "a", False)
    supervisord.section("a", autostart="false", priority=5)
    activate(supervisord, Action.REPLACE, installed("a", autostart=False))
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_program_that_was_just_started_is_started_again_with_a_new_section(supervisord: Supervisord) -> None:
    """supervisord's copy of itself, which becomes the program, would swallow TERM."""
    supervisord.section("a", autostart="false")
    supervisord.start(exec_seconds=1)
    supervisord.client.call("startProcess", "a", False)
    supervisord.section("a", autostart="false", priority=5)
    began = time.monotonic()
    activate(supervisord, Action.REPLACE, installed("a", autostart=False))
    assert time.monotonic() - began < 20, "it waited for a process that never got the order to end"
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_program_stopped_on_purpose_is_never_started_by_a_new_section(supervisord: Supervisord) -> None:
    """R11."""
    supervisord.worker("a")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.stop("a")
    before = supervisord.events("a")
    supervisord.worker("a", priority=5)
    assert "left stopped" in activate(supervisord, Action.REPLACE, installed("a"))
    assert "left stopped" in activate(supervisord, Action.RESTART, installed("a"))
    time.sleep(1.5)
    assert supervisord.events("a") == before
    assert not state(supervisord, installed("a")).desired


def test_start_of_a_program_left_stopped_loads_its_new_section(supervisord: Supervisord) -> None:
    supervisord.section("a", command="sleep 1000")
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    supervisord.stop("a")
    supervisord.section("a", command=supervisord.worker_command("new"))
    activate(supervisord, Action.REPLACE, installed("a"))
    supervisord.controller().start([installed("a")], ignore)
    eventually(lambda: supervisord.events("new") == ["start", "ready"])


def test_stopped_program_without_autostart_gets_its_new_section_and_stays_stopped(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    supervisord.worker("a", autostart="false")
    activate(supervisord, Action.REPLACE, installed("a", autostart=False))
    assert supervisord.client.call("reloadConfig") == [[[], [], []]]
    time.sleep(1.5)
    assert supervisord.events("a") == []


@pytest.mark.parametrize("action", [Action.REPLACE, Action.RESTART])
def test_interrupted_activation_is_completed_by_the_next(supervisord: Supervisord, action: Action) -> None:
    """R2: procman's own stop, which nobody followed up, is not taken for a person's."""
    supervisord.worker("a")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.worker("a", priority=5)
    supervisord.stop("a")
    activate(supervisord, action, installed("a"), desired=True)
    eventually(lambda: supervisord.state("a") == "RUNNING")
    assert supervisord.client.call("reloadConfig") == [[[], [], []]]


def test_activation_interrupted_between_unloading_and_loading_is_completed(supervisord: Supervisord) -> None:
    """R2."""
    supervisord.worker("a")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.stop("a")
    supervisord.client.call("removeProcessGroup", "a")
    activate(supervisord, Action.REPLACE, installed("a"), desired=True)
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_program_in_fatal_state_is_started_from_its_new_section(supervisord: Supervisord) -> None:
    supervisord.section("a", command="/nonexistent/x", startretries=0)
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "FATAL")
    supervisord.section("a")
    activate(supervisord, Action.REPLACE, installed("a"))
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_longer_stop_timeout_counts_for_the_task_that_runs_while_it_is_installed(supervisord: Supervisord) -> None:
    """R7: supervisord itself would kill after the second that the loaded section gives."""
    supervisord.worker("a", task_seconds=3, stopwaitsecs=1)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.worker("a", task_seconds=3, stopwaitsecs=20)
    activation = Activation(Action.REPLACE, installed("a"), old_stop_timeout_seconds=1)
    supervisord.controller().activate(activation, ignore)
    eventually(lambda: supervisord.state("a") == "RUNNING")
    assert supervisord.events("a")[:4] == ["start", "ready", "term", "finished"]


def test_removed_program_finishes_its_task_and_is_unloaded(supervisord: Supervisord) -> None:
    file = supervisord.worker("a", task_seconds=1)
    supervisord.section("b")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    file.unlink()
    assert activate(supervisord, Action.REMOVE, installed("a")) == "stopped and unloaded"
    assert activate(supervisord, Action.REMOVE, installed("a")) == "was unloaded already"
    assert supervisord.events("a")[-1] == "finished"
    assert supervisord.names() == ["b:b"]


def test_nothing_is_removed_from_a_supervisord_that_does_not_run(supervisord: Supervisord) -> None:
    assert "not running" in activate(supervisord, Action.REMOVE, installed("a"))


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("PASSWORD=hunter2\n", "theirs.conf"),
        ('[program:x]\ncommand=x\nenvironment=A="hunter2",B\n', "theirs.conf:1"),
        ("[program:x]\ncommand=sleep 1\n[program:y]\nstartsecs=soon\ncommand=x\n", "theirs.conf:3"),
        ("[group:x]\nprograms=nobody\n", "theirs.conf:1"),
        ("[program:x]\ncommand=\xff\n", "theirs.conf"),
    ],
)
def test_file_that_cannot_be_read_is_named(supervisord: Supervisord, content: str, where: str) -> None:
    supervisord.start()
    supervisord.section("a")
    (supervisord.sections / "theirs.conf").write_text(content, encoding="latin-1")
    with pytest.raises(ProcmanError, match=str(supervisord.sections / where)) as caught:
        activate(supervisord, Action.ADD, installed("a"))
    assert "hunter2" not in caught.value.message


# Programs of other people's sections


def _old(supervisord: Supervisord, task_seconds: float = 2) -> Path:
    """A section as CATMAID's documents have it, which loses tasks when supervisord stops it."""
    file = supervisord.worker("a", task_seconds, import_seconds=1, stopasgroup="true", stopwaitsecs=1)
    text = file.read_text()
    file.unlink()
    theirs = supervisord.sections / "theirs.conf"
    theirs.write_text(text + "[program:other]\ncommand=sleep 1000\n[group:catmaid]\nprograms=a,other\n")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    return theirs


def test_program_of_somebody_elses_section_is_drained(supervisord: Supervisord) -> None:
    theirs = _old(supervisord)
    theirs.write_text("")
    drain_and_unload(supervisord, "catmaid:a", "catmaid:other")
    assert supervisord.events("a")[:4] == ["start", "ready", "term", "finished"]
    assert "ready" not in supervisord.events("a")[4:]
    assert supervisord.names() == []


def test_group_with_other_members_goes_on_running(supervisord: Supervisord) -> None:
    _old(supervisord)
    other = supervisord.info("catmaid:other")["pid"]
    [said] = drain_and_unload(supervisord, "catmaid:a")
    assert "catmaid:a" in said
    assert supervisord.state("catmaid:a") == "STOPPED"
    assert supervisord.info("catmaid:other")["pid"] == other
    assert drain_and_unload(supervisord, "catmaid:a") == [said]


def test_program_taken_over_is_never_there_twice(supervisord: Supervisord) -> None:
    theirs = _old(supervisord)
    theirs.write_text("[program:other]\ncommand=sleep 1000\n[group:catmaid]\nprograms=other\n")
    supervisord.worker("a", task_seconds=2)
    activate(supervisord, Action.ADD, installed("a"))
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    events = supervisord.events("a")
    assert events[:4] == ["start", "ready", "term", "finished"]
    assert events.count("ready") == 2
    assert supervisord.state("catmaid:a") == "STOPPED"


def test_ungrouped_program_taken_over_is_drained(supervisord: Supervisord) -> None:
    theirs = supervisord.worker("a", 2, import_seconds=1, stopasgroup="true", stopwaitsecs=1)
    theirs = theirs.rename(theirs.with_name("theirs.conf"))
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    theirs.write_text("")
    supervisord.worker("a", 2)
    activate(supervisord, Action.ADD, installed("a"))
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    assert supervisord.events("a")[:4] == ["start", "ready", "term", "finished"]
    assert supervisord.client.call("reloadConfig") == [[[], [], []]]


def test_taken_over_program_that_was_stopped_on_purpose_stays_stopped(supervisord: Supervisord) -> None:
    """R11."""
    theirs = _old(supervisord, task_seconds=0)
    supervisord.stop("catmaid:a")
    before = supervisord.events("a")
    theirs.write_text("")
    supervisord.worker("a")
    desired = state(supervisord, installed("a")).desired
    assert "left stopped" in activate(supervisord, Action.ADD, installed("a"), desired)
    time.sleep(1.5)
    assert supervisord.events("a") == before


def test_process_of_the_same_name_that_is_still_configured_elsewhere_is_not_touched(supervisord: Supervisord) -> None:
    (supervisord.sections / "theirs.conf").write_text("[program:x]\nprocess_name=a\ncommand=sleep 1000\n")
    supervisord.start()
    supervisord.section("a")
    pid = eventually(lambda: supervisord.info("x:a")["pid"])
    activate(supervisord, Action.ADD, installed("a"))
    assert supervisord.info("x:a")["pid"] == pid


def test_worker_behind_a_script_that_waits_for_it_is_drained_too(supervisord: Supervisord) -> None:
    """TERM to the script alone would end it and leave the worker running for ever."""
    script = supervisord.directory / "run.sh"
    script.write_text(f"#!/bin/sh\n{supervisord.worker_command('a', 1, import_seconds=1)}\nexit $?\n")
    script.chmod(0o755)
    supervisord.section("a", command=script)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    drain_and_unload(supervisord, "a")
    # One that was left behind by a killed script would be ready by now.
    time.sleep(1.5)
    assert supervisord.events("a")[:4] == ["start", "ready", "term", "finished"]
    assert "ready" not in supervisord.events("a")[4:]


def test_script_with_several_processes_is_left_to_a_person(supervisord: Supervisord) -> None:
    supervisord.section("a", command="sh -c 'sleep 1000 & sleep 1001 & wait'")
    supervisord.start()
    main = eventually(lambda: supervisord.info("a")["pid"])
    assert isinstance(main, int)
    eventually(lambda: len(process.children(main)) == 2)
    with pytest.raises(ProcmanError, match="2 processes") as caught:
        drain_and_unload(supervisord, "a")
    assert "supervisorctl stop a" in caught.value.hint
    assert supervisord.info("a")["pid"] == main


# What is told to people


def test_faults_are_in_plain_words() -> None:
    assert Fault(10, "BAD_NAME: a", "a").message == "a: supervisord has not loaded it"
    assert Fault(21, "NOT_EXECUTABLE: command at '/x' is not executable", "a").message == (
        "a: supervisord may not execute it (command at '/x' is not executable)"
    )


def test_printed_command_restarts_the_program(supervisord: Supervisord) -> None:
    command = supervisord.controller().command_line(installed("a"))
    assert command == f"supervisorctl -c {supervisord.configuration} restart a"


def test_status_waits_for_no_slow_import() -> None:
    code = (
        "import sys, procman.backends.supervisor.controller\n"
        "print(sorted({'supervisor', 'jinja2', 'psutil', 'subprocess', 'glob', 'socket'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # `socket` is needed, and shows that the list is looked at.
    assert found.stdout == "['socket']\n"
