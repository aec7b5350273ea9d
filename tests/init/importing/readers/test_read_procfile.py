"""A Procfile and its .env are read as honcho reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from honcho.environ import parse
from hypothesis import given
from hypothesis import strategies as st

from procman.init.importing.existing import Existing, Reading, Stop
from procman.init.importing.readers.read_procfile import read, variables_in
from procman.model import Kind

PROCFILE = """\
# Comments are no entries
web: gunicorn shop.wsgi
worker: celery --app shop.celery:app worker --concurrency=${CELERY_CONCURRENCY:-2} -Q $QUEUES
beat: exec celery -A shop beat
worker: celery -A other worker
"""


def reading(directory: Path, procfile: str, dotenv: str | None = None) -> Reading:
    (directory / "Procfile").write_text(procfile)
    if dotenv is not None:
        (directory / ".env").write_text(dotenv)
    return read([directory / "Procfile"], {"CELERY_CONCURRENCY": "9"})


def values(program: Existing) -> dict[str, object]:
    assert program.command
    return program.command.values


def test_each_entry_is_a_program(tmp_path: Path) -> None:
    found = reading(tmp_path, PROCFILE, "QUEUES=mail,images\nSECRET_KEY='hunter22'\n")
    web, worker, beat = found.programs
    assert (web.command, web.problem, web.words) == (None, "", ("/bin/sh", "-c", "gunicorn shop.wsgi"))
    assert values(worker) == {"concurrency": 2, "queues": ["mail", "images"]}
    assert beat.command
    assert beat.command.kind is Kind.BEAT
    assert (worker.name, str(worker.source)) == ("worker", f"procfile:{tmp_path}/Procfile:worker")
    assert (worker.label, worker.place) == (f"worker of {tmp_path}/Procfile", f"{tmp_path}/Procfile:3")
    assert (worker.directory, worker.user, worker.stop) == (tmp_path, None, Stop("TERM", 5, "group", "never"))
    assert (worker.environment, worker.environment_files) == ({}, (tmp_path / ".env",))
    assert [(each.what, each.consequence) for each in found.remarks] == [
        ("worker", "honcho refuses a second program of this name")
    ]
    assert [each.consequence for each in worker.remarks] == [
        "${CELERY_CONCURRENCY:-2} is '2' here, because nothing sets this variable"
    ]
    assert found.files == (tmp_path / "Procfile", tmp_path / ".env")
    assert "hunter22" not in repr(found)


def test_variables_of_a_file_that_an_environment_file_reads_differently_are_taken_one_by_one(tmp_path: Path) -> None:
    [program] = reading(tmp_path, "a: celery -A x worker", 'export\nA=1 # one\nB = "x\\\\ny"\n').programs
    assert (program.environment, program.environment_files) == ({"A": "1", "B": "x\ny"}, ())


def test_file_without_variables_is_complete(tmp_path: Path) -> None:
    [program] = reading(tmp_path, "a: A=1 celery -A x worker -c 3").programs
    assert (program.environment, values(program)) == ({"A": "1"}, {"concurrency": 3})
    assert program.remarks == ()


def test_unreadable_variables_are_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    found = reading(tmp_path, "a: celery worker")
    assert [(each.what, each.doubtful) for each in found.remarks] == [(".env", True)]


def test_app_behind_the_projects_own_command_line_is_named(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.11/site-packages/shop"
    packages.mkdir(parents=True)
    (packages / "__init__.py").touch()
    (packages / "celery.py").write_text("from celery import Celery\napp = Celery('shop')\n")
    server = tmp_path / "bin/shop-server"
    server.parent.mkdir()
    server.write_text("#!/usr/bin/python3\nimport sys\nfrom shop.cli import main\nsys.exit(main())\n")
    [program] = reading(tmp_path, f"a: exec {server} celery worker -Q mail").programs
    assert (values(program), program.likely_app) == ({"queues": ["mail"]}, "shop")


@pytest.mark.root("only root can give a directory away")
def test_root_reads_the_variables_as_the_owner_of_the_directory(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("A=1\n")
    secret.chmod(0o600)
    directory = tmp_path / "of-user"
    directory.mkdir()
    (directory / ".env").symlink_to(secret)
    os.chown(directory, 65534, 65534)
    [program] = reading(directory, "a: celery worker").programs
    assert (program.environment, program.environment_files) == ({}, ())


@given(st.text(st.sampled_from("AB=x'\"\\#$ \tn\n-.")))
def test_variables_are_those_of_honcho(text: str) -> None:
    try:
        expected = parse(text)
    except ValueError:
        variables_in(text)
    else:
        assert variables_in(text) == expected
