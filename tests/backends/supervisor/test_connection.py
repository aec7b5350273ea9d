"""Connecting to supervisord by socket, port and password; every way to fail is distinguished, in time."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.backends.supervisor.client import NotRunning, Unreachable
from procman.backends.supervisor.controller import SupervisorController
from procman.errors import ProcmanError
from procman.host import process
from procman.model import State
from tests.backends.supervisor.real_supervisord import Supervisord, as_nobody, eventually, ignore, installed, state

pytestmark = pytest.mark.supervisord


@pytest.fixture
def suspended(supervisord: Supervisord) -> Iterator[Supervisord]:
    supervisord.section("a")
    supervisord.start()
    os.kill(supervisord.pid, signal.SIGSTOP)
    eventually(lambda: process.suspended(supervisord.pid))
    yield supervisord
    os.kill(supervisord.pid, signal.SIGCONT)


def test_suspended_supervisord_is_unknown_within_the_timeout(suspended: Supervisord) -> None:
    began = time.monotonic()
    [seen] = suspended.controller(timeout=0.5).states([installed("a")])
    assert time.monotonic() - began < 30
    assert (seen.state, seen.desired) == (State.UNKNOWN, True)
    assert f"kill -CONT {suspended.pid}" in seen.detail


def test_command_waits_longer_than_a_query(suspended: Supervisord) -> None:
    controller = suspended.controller(timeout=0.1)
    assert controller.states([installed("a")])[0].state is State.UNKNOWN
    waking = threading.Timer(1, os.kill, (suspended.pid, signal.SIGCONT))
    waking.start()
    controller.restart(installed("a"), ignore)
    waking.join()
    assert state(suspended, installed("a")).state is State.RUNNING


def test_supervisord_that_stops_in_the_middle_of_an_answer_is_unknown(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        configuration = _listen(listener, tmp_path)
        listener.listen()
        controller = SupervisorController(configuration, embedded=False, timeout=0.5)
        pid = os.fork()
        if pid == 0:
            connection, _ = listener.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                # Slow enough that the answer takes too long, but no pause is as long as the timeout.
                connection.sendall(b".")
                time.sleep(0.1)
        try:
            [seen] = controller.states([installed("a")])
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert seen.state is State.UNKNOWN
    assert "does not answer" in seen.detail


def test_full_connection_queue_is_unknown_within_the_timeout(tmp_path: Path) -> None:
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


def test_another_server_at_the_address_is_unknown(tmp_path: Path) -> None:
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


def test_program_of_a_supervisord_that_is_not_running_is_stopped_with_the_command_to_start_it(
    supervisord: Supervisord,
) -> None:
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.desired) == (State.STOPPED, True)
    assert "not running" in seen.manager_problem
    assert seen.manager_remedy == f"supervisord -c {supervisord.configuration}"


def test_stale_socket_of_a_killed_supervisord_means_not_running(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.kill()
    assert supervisord.socket.exists()
    with pytest.raises(NotRunning):
        supervisord.client.call("getState")


def test_deleted_socket_of_a_running_supervisord_is_reported(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.socket.unlink()
    with pytest.raises(Unreachable, match=f"supervisord is running \\(process {supervisord.pid}\\)") as caught:
        supervisord.client.call("getState")
    assert not isinstance(caught.value, NotRunning)


@pytest.mark.root("becomes another user")
def test_socket_of_root_is_reported_with_its_owner(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.controller().client.call("getState")

    def ask() -> object:
        return supervisord.controller().states([installed("a")])[0].detail

    assert (
        as_nobody(ask)
        == f"{supervisord.socket} belongs to root, and only root may use it. Run the same command with sudo."
    )


def test_wrong_password_names_the_file(supervisord: Supervisord) -> None:
    text = supervisord.configuration.read_text()
    supervisord.configuration.write_text(text.replace("[rpc", "username=me\npassword=secret1\n[rpc"))
    supervisord.start()
    supervisord.configuration.write_text(text.replace("[rpc", "username=me\npassword=secret2\n[rpc"))
    with pytest.raises(Unreachable, match=r"supervisord\.conf") as caught:
        supervisord.client.call("getState")
    assert "secret" not in caught.value.message + caught.value.hint


def test_password_from_the_configuration_is_used(supervisord: Supervisord) -> None:
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


def test_server_on_tcp_is_used(supervisord: Supervisord) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = supervisord.configuration.read_text().replace("[unix_http_server]", "[inet_http_server]")
    supervisord.configuration.write_text(text.replace("file=%(here)s/s", f"port=*:{port}"))
    supervisord.section("a")
    supervisord.start()
    assert supervisord.state("a")
    supervisord.kill()
    assert f"http://127.0.0.1:{port}" in state(supervisord, installed("a")).manager_problem


def test_shutdown_of_supervisord_is_reported(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=60)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.client.call("shutdown")
    assert "shutting down" in state(supervisord, installed("a")).detail
    with pytest.raises(ProcmanError, match="shutting down"):
        supervisord.controller().start([installed("a")], ignore)


def test_invalid_configuration_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "supervisord.conf").write_text("[unix_http_server\n")
    [seen] = SupervisorController(tmp_path / "supervisord.conf", embedded=False).states([installed("a")])
    assert seen.state is State.UNKNOWN
    assert "supervisord.conf" in seen.detail


def test_desired_state_is_not_guessed(suspended: Supervisord) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        suspended.controller(patience=0.5).desired([installed("a")])


def test_desired_state_without_a_supervisord_is_autostart(supervisord: Supervisord) -> None:
    programs = [installed("a"), installed("b", autostart=False)]
    assert supervisord.controller().desired(programs) == {"a": True, "b": False}
