"""A command writes to the output of supervisord only where that can be opened."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.backends.supervisor.own_output import problems_of_output
from procman.project import Command, Project
from tests.backends.supervisor.projects import reference, with_programs
from tests.backends.supervisor.real_supervisord import Supervisord, eventually

pytestmark = pytest.mark.supervisord


def project(supervisord: Supervisord, **keys: Any) -> Project:
    settings = replace(reference().supervisor, configuration=supervisord.configuration)
    return with_programs(reference(supervisor=settings), options=Command(("web",), **keys), key="command.web")


@contextmanager
def a_socket() -> Iterator[int]:
    ours, its = socket.socketpair()
    with ours, its:
        yield its.fileno()


@contextmanager
def a_pipe() -> Iterator[int]:
    ours, its = os.pipe()
    yield its
    os.close(ours)
    os.close(its)


@contextmanager
def nowhere() -> Iterator[int]:
    yield subprocess.DEVNULL


@pytest.mark.parametrize(
    ("kind", "state", "problem"),
    [
        (
            a_socket,
            "BACKOFF",
            "is a socket, such as the journal's, which cannot be opened",
        ),
        (nowhere, "RUNNING", "is /dev/null, so its output would be lost"),
        (a_pipe, "RUNNING", ""),
    ],
    ids=["socket", "null", "pipe"],
)
def test_output_of_supervisord_that_cannot_be_used_is_reported(
    supervisord: Supervisord, kind: type, state: str, problem: str
) -> None:
    """The program itself shows whether the report is true."""
    supervisord.section("web", stdout_logfile="/dev/stdout", stdout_logfile_maxbytes=0)
    with kind() as output:
        supervisord.start(output=output)
        eventually(lambda: supervisord.state("web") == state)
        found = list(problems_of_output(project(supervisord, stdout=Path("/dev/stdout"))))
    assert len(found) == bool(problem)
    assert all(problem in each and each.startswith("[command.web] writes to /dev/stdout") for each in found)
    assert list(problems_of_output(project(supervisord, stdout=Path("/var/log/web.log")))) == []


def test_supervisord_that_does_not_run_has_no_problem(supervisord: Supervisord) -> None:
    assert list(problems_of_output(project(supervisord, stderr=Path("/dev/stderr")))) == []
