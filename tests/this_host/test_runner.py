"""What runs a process, by recorded control groups of systemd."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from procman.host.process import children
from procman.host.runner import Runner, _unit_in, _words, has_read, runner_of
from tests.backends.supervisor.real_supervisord import eventually
from tests.tables import for_each


@for_each(
    ("path", "runner"),
    [
        ("/system.slice/celery.service", Runner(unit="celery.service")),
        ("/system.slice/system-celery.slice/celery@w1.service", Runner(unit="celery@w1.service")),
        ("/machine.slice/machine-a.scope/payload/system.slice/celery.service", Runner(unit="celery.service")),
        ("/user.slice/user-7.slice/session-3.scope", Runner()),
        ("/user.slice/user-7.slice/user@7.service/init.scope", Runner()),
        ("/user.slice/user-7.slice/user@7.service/app.slice/a.service", Runner(unit="a.service", is_of_user=True)),
        ("/", Runner()),
        ("", Runner()),
    ],
)
def test_unit_is_in_the_path_of_the_control_group(path: str, runner: Runner) -> None:
    assert _unit_in(path) == runner


@pytest.mark.root("makes a namespace")
def test_process_in_another_pid_namespace_is_in_a_container() -> None:
    with subprocess.Popen(["unshare", "--pid", "--fork", "sleep", "1000"]) as outer:
        try:
            eventually(lambda: any(runner_of(pid).in_container for pid in children(outer.pid)), "it is inside")
            assert runner_of(outer.pid) == runner_of(os.getpid())
        finally:
            for pid in [*children(outer.pid), outer.pid]:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("options", "file"),
    [
        ((), "Procfile"),
        (("-f", "other"), "other"),
        (("-d", "app"), "app/Procfile"),
        (("-d", "app", "-f", "x"), "app/x"),
    ],
)
def test_honcho_has_read_the_procfile_that_its_command_line_names(
    tmp_path: Path, options: tuple[str, ...], file: str
) -> None:
    with subprocess.Popen(
        ["sh", "-c", "read line", "honcho", *options], cwd=tmp_path, stdin=subprocess.PIPE
    ) as process:
        while "honcho" not in _words(process.pid):
            pass
        assert has_read(process.pid, tmp_path / file, is_honcho=True)
        assert not has_read(process.pid, tmp_path / "another/Procfile", is_honcho=True)
