"""PM114 against real processes that look like workers, started by hand and by another project's launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.agent.heartbeat_format import FILE
from procman.celery_cli.running import arguments_of, option, subcommand
from procman.model import Level
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.checks.second_workers import check
from tests.monitoring.checks.records import (
    MANIFEST,
    NAME,
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

HOST = os.uname().nodename
SHORT_NAME = f"second-workers-{os.getpid()}"
"""Of its own, because the checks find the processes of a test that runs at the same time."""

NODE = f"{SHORT_NAME}@{HOST}"
OURS, OTHERS = ["1" * 16], ["2" * 16]


@contextmanager
def own_worker(**says: Any) -> Iterator[ProgramSnapshot]:
    """Run a process as the worker of the project."""
    with family(0) as main:
        content = heartbeat(**{"node_name": NODE, "brokers": OURS, "pid": main, **says})
        yield snapshot(content, state=state(pid=main))


@pytest.mark.parametrize(
    "arguments",
    [
        ["-A", "mysite", "worker", "-n", f"{SHORT_NAME}@%h"],
        ["-A", "other", "worker", f"--hostname={SHORT_NAME}@%h", "-l", "info"],
        ["worker", "-A", "mysite", "-n", NODE],
    ],
)
def test_worker_with_the_node_name_of_ours_is_reported_with_both_pids(tmp_path: Path, arguments: list[str]) -> None:
    with celery(tmp_path, *arguments) as other, own_worker() as worker:
        [result] = check(running(worker))
    assert (result.code, result.level) == ("PM114", Level.CRITICAL)
    assert f"process {other} is another worker with the node name {NODE}, beside process {worker.state.pid}: " in (
        result.detail
    )
    assert "if it uses the same broker" in result.detail
    assert f"ps -fp {other}" in result.hint


@pytest.mark.parametrize(
    "arguments",
    [
        ["-A", "mysite", "worker", "-n", "another@%h"],
        ["-A", "mysite", "worker"],
        ["-A", "mysite", "inspect", "ping", "-d", NODE],
        ["-A", "worker", "inspect", "ping", "-n", NODE],
    ],
)
def test_other_node_names_and_commands_are_no_second_worker(tmp_path: Path, arguments: list[str]) -> None:
    with celery(tmp_path, *arguments), own_worker() as worker:
        assert reported(check(running(worker))) == (Level.OK, "")


def test_worker_that_is_named_in_beside_is_no_second_worker(tmp_path: Path) -> None:
    with celery(tmp_path, "worker", "-n", NODE), own_worker() as worker:
        assert reported(check(running(worker, beside=(f"{SHORT_NAME}@%h",)))) == (Level.OK, "")
        assert reported(check(running(worker, beside=("others@%h", "celery.service"))))[0] is Level.CRITICAL


def test_two_programs_of_the_project_with_one_node_name_are_reported() -> None:
    with own_worker() as one, own_worker() as other:
        second = other._replace(program=program(name="demo-second", key="worker.second"))
        results = list(check(running(one, second)))
    assert [each.level for each in results] == [Level.CRITICAL, Level.CRITICAL]
    assert f"({NAME})" in results[1].detail
    assert results[1].hint == "Set another hostname in [worker.second]"


@contextmanager
def other_project(directory: Path, **says: Any) -> Iterator[int]:
    """Run a process that looks like the worker of another project, whose heartbeat has the fields `says`."""
    launcher, run = directory / "other" / "launcher.py", directory / "state/other/run/other-celery"
    for made in (launcher.parent, run):
        made.mkdir(parents=True)
    launcher.write_text(WAITING)
    words = [sys.executable, str(launcher), "-A", "mysite", "worker", "-n", NODE]
    environment = {**os.environ, "PROCMAN_RUN_DIRECTORY": str(run)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        process.stdout.readline()
        content = heartbeat(**{"program": "other-celery", "pid": process.pid, **says})
        (run / FILE).write_text(json.dumps(content))
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"brokers": OURS}, "(other-celery)"),
        ({"brokers": []}, "if it uses the same broker"),
        ({"brokers": OTHERS}, ""),
        ({"brokers": [], "phase": "importing"}, ""),
    ],
    ids=["the same broker", "its broker is unknown", "another broker", "it imports the app"],
)
def test_worker_of_another_project_counts_unless_it_has_another_broker(
    tmp_path: Path, says: dict[str, Any], words: str
) -> None:
    with other_project(tmp_path, **says), own_worker() as worker:
        directories = replace(MANIFEST.directories, state=tmp_path / "state/demo")
        level, detail = reported(check(running(worker, directories=directories)))
    assert level is (Level.CRITICAL if words else Level.OK)
    assert words in detail


def test_own_pool_processes_and_a_process_that_waits_for_the_lock_are_no_second_worker(tmp_path: Path) -> None:
    with other_project(tmp_path, brokers=OURS) as pid, own_worker() as worker:
        assert reported(check(running(worker)))[0] is Level.CRITICAL
        assert reported(check(running(worker, launcher=tmp_path / "other/launcher.py"))) == (Level.OK, "")
        ours = snapshot(dict(worker.says), state=state(pid=pid))
        assert reported(check(running(ours))) == (Level.OK, "")


def test_process_of_a_launcher_without_its_first_heartbeat_is_not_judged(launcher: Path) -> None:
    words = [sys.executable, str(launcher), "-A", "mysite", "worker", "-n", NODE]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process, own_worker() as worker:
        assert process.stdout
        process.stdout.readline()
        judged = running(worker)
        assert reported(check(judged)) == (Level.OK, "")
        old = {pid: each._replace(age=60.0) for pid, each in judged.processes.items()}
        assert reported(check(running(worker, processes=old)))[0] is Level.CRITICAL


@pytest.mark.root("becomes another user")
def test_worker_of_another_user_is_not_reported() -> None:
    """Any user can run a process with any command line."""
    words = ["/opt/venv/bin/celery", "-c", "read line", "worker", "-n", NODE]
    with (
        subprocess.Popen(words, executable="/bin/sh", stdin=subprocess.PIPE, cwd="/", user="nobody"),
        own_worker() as worker,
    ):
        assert reported(check(running(worker))) == (Level.OK, "")
        own = worker._replace(program=program(user="nobody"))
        assert reported(check(running(own)))[0] is Level.CRITICAL


@pytest.mark.parametrize(
    ("title", "arguments"),
    [
        ("[celeryd: a@db1:MainProcess] -active- (-A mysite worker -n a@%h)", ["-A", "mysite", "worker", "-n", "a@%h"]),
        ("[celery beat] -A mysite beat -l info", ["-A", "mysite", "beat", "-l", "info"]),
        ("[celeryd: a@db1:ForkPoolWorker-1]", []),
    ],
)
def test_title_that_celery_gives_its_process_is_understood(title: str, arguments: list[str]) -> None:
    assert list(arguments_of([title])) == arguments


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("-A mysite worker -Q beat", "worker"),
        ("--app=mysite -C --workdir /srv beat -l info", "beat"),
        ("-Amysite -b redis://h worker", "worker"),
        ("worker -A beat", "worker"),
        ("-A mysite", ""),
    ],
)
def test_subcommand_is_found_among_the_options(words: str, name: str) -> None:
    assert subcommand(words.split()) == name


def test_option_is_found_in_each_way_of_writing_it() -> None:
    ways = (["-n", "a"], ["-na"], ["--hostname", "a"], ["--hostname=a"], ["-n"], ["worker"])
    assert [option(each, "-n", "--hostname") for each in ways] == ["a", "a", "a", "a", None, None]
