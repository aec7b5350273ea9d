"""Programs of a Procfile that a real honcho runs end gracefully, and honcho with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from procman.adoption import procfile
from procman.errors import ProcmanError
from procman.host.celery_processes import mains_among
from procman.host.drain import is_running
from procman.host.process import identity
from procman.host.process_tree import children_finder, tree_of
from procman.project import Project
from procman.sources import PROCFILE, Source
from tests.celery_environments import CELERY_5_7, environment_of
from tests.config.documents import read_rest
from tests.product import Product, eventually
from tests.reachable import public_directory

TASK_SECONDS = 7
"""Longer than honcho waits until it kills its programs (5 s)."""

PROCFILE_TEXT = """\
# of the project
worker: {celery} worker -c 1 -n worker@%h
two: cd / && {celery} --workdir {demo} worker -c 1 -Q two -n two@%h
beat: exec {celery} beat -s {data}/schedule --pidfile=
"""

ADOPTING = """
[worker.one]
adopts = ["procfile:{file}:worker"]
[worker.two]
queues = ["two"]
adopts = ["procfile:{file}:two"]
[beat]
adopts = ["procfile:{file}:beat"]
"""


class Honcho:
    """A Procfile with two workers and a beat, and the honcho that runs it."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.file = product.directory / "Procfile"
        self.code = product.code
        celery = f"{product.virtualenv}/bin/celery -A mysite"
        self.text = PROCFILE_TEXT.format(celery=celery, data=product.data, demo=self.code)
        self.file.write_text(self.text)
        self.process = self.start()

    def start(self, *programs: str) -> subprocess.Popen[bytes]:
        """Start honcho in the project's directory."""
        words = [sys.executable, "-m", "honcho", "-f", str(self.file), "start", *programs]
        environment = {**self.product.environment, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
        return subprocess.Popen(
            words, cwd=self.code, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def sources(self, *names: str) -> list[Source]:
        return [Source(PROCFILE, str(self.file), name) for name in names]

    def project(self) -> Project:
        return read_rest(self.product.directory, ADOPTING.format(file=self.file))


@pytest.fixture
def honcho() -> Iterator[Honcho]:
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    product.data.mkdir()
    started = Honcho(product)
    try:
        yield started
    finally:
        started.process.send_signal(signal.SIGKILL)
        started.process.wait()
        product.close()


@pytest.mark.celery
@pytest.mark.supervisord
def test_tasks_in_progress_finish_before_honcho_ends_and_uninstall_restores_the_procfile(honcho: Honcho) -> None:
    product = honcho.product
    product.configure(ADOPTING.format(file=honcho.file))
    product.send("hold", 1, 1)
    product.send("hold", 2, TASK_SECONDS, queue="two")
    eventually(lambda: len(product.counted("started")) == 2, "both tasks have started")
    every = [identity(pid) for pid in tree_of(honcho.process.pid, children_finder())]
    product.procman("install", "--wait", "60", "--at-once", "3")
    assert product.counted("finished") == Counter([1, 2])
    assert honcho.process.wait(120) is not None
    assert not [each for each in every if is_running(each)]
    assert not honcho.file.exists()
    printed = product.procman("uninstall")
    assert honcho.file.read_text() == honcho.text
    command = f"cd {honcho.code} && {sys.executable} -m honcho -f {honcho.file} start"
    assert f"worker of {honcho.file}: to start it again: {command}" in printed.stdout + printed.stderr


@pytest.mark.celery
def test_interrupted_stop_of_honcho_is_completed(honcho: Honcho) -> None:
    eventually(lambda: len(mains_among([honcho.process.pid])) == 3, "the programs have started")
    [candidate] = procfile.find(honcho.sources("worker", "two", "beat"), honcho.project())
    assert (candidate.is_running, candidate.has_beat) == (True, True)
    for main in mains_among([honcho.process.pid]):
        os.kill(honcho.process.pid, signal.SIGSTOP)
        os.kill(main.pid, signal.SIGTERM)
    eventually(lambda: not mains_among([honcho.process.pid]), "the programs have ended")
    assert honcho.process.poll() is None
    assert procfile.stop(candidate, 60, lambda _: None) == "stopped gracefully"
    assert honcho.process.wait(120) is not None
    assert procfile.stop(candidate, 60, lambda _: None) == "was not running"


@pytest.mark.celery
def test_honcho_that_also_runs_other_programs_is_refused_before_any_change(honcho: Honcho) -> None:
    eventually(lambda: [len(each.programs) for each in procfile.managers_of(honcho.file)] == [3], "honcho has started")
    with pytest.raises(ProcmanError, match=r"also runs two, and ends all .*\n?.*honcho start two"):
        procfile.find(honcho.sources("worker", "beat"), honcho.project())
    assert honcho.process.poll() is None
    eventually(lambda: len(mains_among([honcho.process.pid])) == 3, "the programs have started")
    assert procfile.problem_of_programs([honcho.process.pid]) == ""


def test_unit_whose_honcho_also_runs_other_programs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: exec sleep 1000\n")
    words = [sys.executable, "-m", "honcho", "start"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: "also runs web" in procfile.problem_of_programs([process.pid]), "it runs web")
        finally:
            # SIGTERM while honcho starts its programs leaves it waiting for them.
            for pid in tree_of(process.pid, children_finder()):
                os.kill(pid, signal.SIGKILL)


def test_missing_entry_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "Procfile"
    file.write_text("web: true\n")
    with pytest.raises(ProcmanError, match=f"procfile:{file}:worker: it has no such entry"):
        procfile.find([Source(PROCFILE, str(file), "worker")], read_rest(tmp_path, "[worker.one]"))


def test_procfile_that_no_honcho_runs_only_loses_its_entry(tmp_path: Path) -> None:
    file = tmp_path / "Procfile"
    file.write_text("web: true\nworker: celery worker\n")
    [candidate] = procfile.find([Source(PROCFILE, str(file), "worker")], read_rest(tmp_path, "[worker.one]"))
    assert not candidate.is_running
    assert candidate.files == {file: "web: true\n"}
    assert procfile.stop(candidate, 1, lambda _: None) == "was not running"


@pytest.mark.root("becomes another user")
def test_honcho_of_an_unrelated_user_neither_prevents_an_adoption_nor_chooses_the_command_to_type() -> None:
    with public_directory() as directory:
        (directory / "honcho").write_text("import time; time.sleep(1000)\n")
        file = directory / "Procfile"
        file.write_text("worker: celery worker\n")
        words = ["/usr/bin/python3", f"{directory}/honcho", "-f", str(file), "start"]
        project = replace(read_rest(directory, "[worker.one]"), user="daemon")
        with subprocess.Popen(words, cwd=directory, user="nobody") as process:
            try:
                eventually(lambda: [each.pid for each in procfile.managers_of(file)] == [process.pid], "it is seen")
                [candidate] = procfile.find([Source(PROCFILE, str(file), "worker")], project)
            finally:
                process.kill()
    assert (candidate.is_running, candidate.manager, candidate.processes) == (False, "", ())


def test_procfile_that_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "Procfile").symlink_to(tmp_path / "pipe")
    with pytest.raises(ProcmanError, match="it has no such entry"):
        procfile.find([Source(PROCFILE, f"{tmp_path}/Procfile", "worker")], read_rest(tmp_path, "[worker.one]"))


@pytest.mark.parametrize(
    ("text", "names", "left"),
    [
        ("web: a\nworker: b\nbeat: c", {"worker", "beat"}, "web: a\n"),
        ("# note\r\nworker: b\r\n\r\nweb: a\r\n", {"worker"}, "# note\r\n\r\nweb: a\r\n"),
        ("worker: b\nworker2: c\n", {"worker"}, "worker2: c\n"),
        ("# note\nworker: b\n", {"worker"}, None),
    ],
    ids=["last line", "line ends", "similar name", "no other entry"],
)
def test_only_the_adopted_entries_are_removed(text: str, names: set[str], left: str | None) -> None:
    assert procfile.without(text, names) == left


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["honcho", "start"], "/srv/app/Procfile"),
        (["honcho", "-f", "Procfile.dev", "start"], "/srv/app/Procfile.dev"),
        (["honcho", "-d", "deploy", "--procfile=/etc/P", "start"], "/etc/P"),
        (["foreman", "start", "-d", "/opt/x"], "/opt/x/Procfile"),
    ],
    ids=["default", "file", "absolute", "root"],
)
def test_procfile_is_found_by_the_command_line_of_its_manager(words: list[str], file: str) -> None:
    assert procfile.procfile_in(words, Path("/srv/app"), {}) == Path(file)
