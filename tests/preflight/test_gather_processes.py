"""Other workers and beats are found among real processes, with what runs them and the lines that adopt them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from procman.accounts import user_name
from procman.agent import LAUNCHER
from procman.agent.heartbeat_format import FILE, FORMAT
from procman.agent.verdict import CONSUMING, IMPORTING
from procman.host.runner import runner_of
from procman.preflight.gather_processes import other_programs
from procman.preflight.inputs import OtherProgram
from procman.project import Project
from tests.backends.supervisor.real_supervisord import Supervisord, eventually
from tests.monitoring.checks.records import WAITING, celery, heartbeat
from tests.preflight.records import project
from tests.reachable import public_directory

ME = user_name(os.geteuid())


def site(directory: Path, more: str = "") -> Project:
    """Return a project in `directory` whose programs run as the user of the tests."""
    return replace(project(more), directory=directory, user=ME)


def adopting(own: Project, *sources: str) -> Project:
    """Return `own` with a worker that adopts `sources`."""
    first, *others = own.programs
    return replace(own, programs=(replace(first, adopts=sources), *others))


def found(own: Project, pid: int, replaced: tuple[Path, ...] = ()) -> list[OtherProgram]:
    """Return the reports about the process `pid`."""
    return [each for each in other_programs(own, replaced) if each.pid == pid]


def test_worker_that_was_started_by_hand_has_no_source_and_is_known_by_its_node_name(tmp_path: Path) -> None:
    with celery(tmp_path, "-A", "site1", "worker", "-n", "by-hand@%h", "-Q", "a,b") as pid:
        [other] = found(site(tmp_path), pid)
        assert [each.is_beside for each in found(site(tmp_path, 'beside = ["by-hand@%h"]'), pid)] == [True]
    assert (other.is_of_app, other.is_of_own_user, other.is_believed) == (True, True, True)
    assert (other.node_name, other.known_as) == (f"by-hand@{os.uname().nodename}", "by-hand@%h")
    assert (other.queues, other.source) == (("a", "b"), "")


def test_worker_of_another_project_is_starting_until_its_heartbeat_has_a_broker(tmp_path: Path) -> None:
    run = tmp_path / "mill/run/mill-celery"
    run.mkdir(parents=True)
    (tmp_path / LAUNCHER).write_text(WAITING)
    words = [sys.executable, str(tmp_path / LAUNCHER), "-A", "site1", "worker", "-n", "mill@h"]
    environment = {**os.environ, "PROCMAN_RUN_DIRECTORY": str(run)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        process.stdout.readline()
        seen = []
        for phase, brokers in (("", []), (IMPORTING, []), (CONSUMING, ["1"]), (CONSUMING, [])):
            if phase:
                content = dict(heartbeat(pid=process.pid, phase=phase, brokers=brokers))
                (run / FILE).write_text(json.dumps({**content, "format": FORMAT}))
            seen += [(each.is_procmans, each.is_starting) for each in found(site(tmp_path), process.pid)]
    assert seen == [(True, True), (True, True), (True, False), (True, False)]


def test_worker_behind_a_projects_own_command_line_is_found(tmp_path: Path) -> None:
    script = tmp_path / "site-server"
    script.write_text(WAITING)
    words = [sys.executable, str(script), "celery", "worker", "-n", "own@h"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout
        process.stdout.readline()
        [other] = found(site(tmp_path), process.pid)
    assert (other.is_of_app, other.node_name) == (True, "own@h")


@contextmanager
def under_supervisord(supervisord: Supervisord, directory: Path) -> Iterator[tuple[Path, int]]:
    """Run a worker as the program `old` of the group `site`; return its file and its pid."""
    script = directory / "bin" / "celery"
    script.parent.mkdir()
    script.write_text(WAITING.replace("sys.stdin.read()", "import time; time.sleep(1000)"))
    # A start script without exec: supervisord starts a shell.
    start = directory / "start.sh"
    start.write_text(f"#!/bin/sh\n{sys.executable} {script} -A site1 worker -n old@%h\n:\n")
    start.chmod(0o755)
    file = supervisord.section("old", start, directory=directory)
    (supervisord.sections / "site.conf").write_text("[group:site]\nprograms=old\n")
    supervisord.start()

    def pid() -> int:
        done = subprocess.run(["pgrep", "-f", f"{script} -A site1"], capture_output=True, text=True, check=False)
        return int((done.stdout.split() or ["0"])[0])

    yield file, eventually(pid, "the worker runs")


def test_program_of_supervisord_is_named_as_the_key_adopts_does(supervisord: Supervisord, tmp_path: Path) -> None:
    with under_supervisord(supervisord, tmp_path) as (file, pid):
        own = site(tmp_path)
        [other] = found(own, pid)
        assert other.source == f"supervisor:{file}:old"
        assert (other.runner, other.known_as) == ("site:old of supervisord", "site:old")
        assert found(adopting(own, other.source), pid) == []
        assert len(found(adopting(own, f"supervisor:{file}:another"), pid)) == 1
        assert [each.is_beside for each in found(replace(own, beside=("old",)), pid)] == [True]
        # As with --replace, which adopts programs of the same names.
        same = replace(own, programs=(replace(own.programs[0], name="old"),))
        assert found(same, pid, (file,)) == []
        assert len(found(same, pid, (file.with_name("another.service"),))) == 1


def test_process_of_this_test_is_run_by_no_supervisord() -> None:
    assert runner_of(os.getpid()).program == ""


@pytest.mark.root("becomes another user")
def test_process_of_another_user_is_believed_only_if_root_configured_it(supervisord: Supervisord) -> None:
    """Any user can start a process that looks like a worker, and must not be able to prevent an install."""
    with public_directory() as directory:
        (directory / "celery").write_text("import time; time.sleep(1000)\n")
        words = ["/usr/bin/python3", f"{directory}/celery", "-A", "site1", "worker", "-n", "any@h"]
        supervisord.section("old", " ".join(words), directory=directory, user="nobody")
        supervisord.start()
        configured = supervisord.client.call("getProcessInfo", "old")["pid"]
        own = replace(site(directory), user="daemon")
        with subprocess.Popen(words, cwd=directory, user="nobody", start_new_session=True) as by_hand:
            try:
                eventually(lambda: len(found(own, configured)) == 1, "supervisord has started it")
                eventually(lambda: len(found(own, by_hand.pid)) == 1, "it has its command line")
                others = [*found(own, configured), *found(own, by_hand.pid)]
            finally:
                by_hand.kill()
    assert [(each.user, each.is_of_own_user, each.is_believed) for each in others] == [
        ("nobody", False, True),
        ("nobody", False, False),
    ]
