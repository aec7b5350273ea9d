"""S3: which processes procman signals itself, by who reported them and whose they are."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.reporter import Reporter
from procman.backends.supervisor.client import Client
from procman.backends.supervisor.configuration.main_file import parse_main_file
from procman.host.process import identity
from procman.host.signal_permission import SignalRefused, require_permission
from procman.monitoring.pidfd_signal import send
from tests.install.people import NOBODY, needs_root
from tests.monitoring.test_pidfd_signal import PROGRAM, controller

ME, OTHER = os.geteuid(), 2991
NOT_ME = "nobody" if NOBODY.pw_uid != ME else "daemon"
SOCKET = "/run/supervisor.sock"


@pytest.fixture
def process() -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"]) as started:
        yield started.pid
        started.kill()


@pytest.mark.parametrize(
    ("user", "trusted", "users"),
    [(0, {0}, {ME}), (ME, {0}, {ME}), (OTHER, {0, OTHER}, {ME}), (None, {0}, {ME}), (0, {0}, {ME, OTHER})],
    ids=["root", "the program's user", "the configured user", "unknown, over TCP", "one of two users"],
)
def test_own_process_is_signalled_by_a_trusted_report(
    process: int, user: int | None, trusted: set[int], users: set[int]
) -> None:
    require_permission("a", process, users, Reporter(SOCKET, user, frozenset(trusted)))
    require_permission("a", process, users, None)


def test_process_is_not_signalled_by_the_report_of_a_stranger(process: int) -> None:
    with pytest.raises(SignalRefused, match=f"{OTHER} listens at {SOCKET}, not root"):
        require_permission("a", process, {ME}, Reporter(SOCKET, OTHER, frozenset({0})))


@pytest.mark.parametrize("users", [{OTHER}, set()], ids=["another user", "a user that no longer exists"])
@pytest.mark.parametrize("reporter", [None, Reporter(SOCKET, 0, frozenset({0}))], ids=["systemd", "supervisord"])
def test_process_of_another_user_is_not_signalled(process: int, users: set[int], reporter: Reporter | None) -> None:
    with pytest.raises(SignalRefused, match="refusing to signal process"):
        require_permission("a", process, users, reporter)


@needs_root
@pytest.mark.parametrize("changed", ["setreuid(65534, 0)", "setreuid(0, 65534)", "setresuid(65534, 65534, 0)"])
def test_process_with_rights_of_two_users_is_not_signalled(changed: str) -> None:
    code = f"import os; os.{changed}; print(flush=True); input()"
    with subprocess.Popen(["python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout
        started.stdout.readline()
        with pytest.raises(SignalRefused, match="belongs to root and nobody"):
            require_permission("a", started.pid, {NOBODY.pw_uid}, None)
        started.kill()


def test_healing_refuses_a_process_of_another_user(process: int) -> None:
    with pytest.raises(SignalRefused, match=f"not to {NOT_ME}"):
        send(controller(process), replace(PROGRAM, user=NOT_ME), identity(process), signal.SIGKILL)


@pytest.mark.parametrize(("line", "user"), [("user=nobody", NOBODY.pw_uid), ("user=2991", 2991), ("user=%(ENV_X)s", 0)])
def test_configured_user_of_a_supervisord_may_listen(tmp_path: Path, line: str, user: int) -> None:
    text = f"[supervisord]\n{line}\n[inet_http_server]\nport=127.0.0.1:1\n"
    reporter = Client(parse_main_file(tmp_path / "conf", text), "", 5).reporter()
    assert user in reporter.trusted
    assert reporter.user is None
