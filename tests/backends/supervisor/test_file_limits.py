"""How many files the programs of a supervisord may open."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.base import FileLimit
from procman.backends.supervisor.file_limits import too_low
from procman.backends.supervisor.host_check import file_limits
from procman.host import process
from procman.project import Project
from tests.backends.supervisor.projects import embedded, reference
from tests.backends.supervisor.real_supervisord import Supervisord, eventually
from tests.reachable import as_somebody


def under(configuration: Path) -> Project:
    project = reference()
    return replace(project, supervisor=replace(project.supervisor, configuration=configuration))


def limit_of(project: Project) -> FileLimit:
    [limit] = set(file_limits(project).values())
    return limit


def test_programs_inherit_the_limit_of_a_running_supervisord(supervisord: Supervisord) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    supervisord.configure(minfds=str(min(hard, soft + 10)))
    supervisord.section("a")
    project = under(supervisord.directory / "supervisord.conf")
    assert limit_of(project).most == min(hard, soft + 10)
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    pid = supervisord.info("a")["pid"]
    assert isinstance(pid, int)
    limits = process.file_limits(pid)
    assert limits
    # What the file requires now takes effect only after a restart of supervisord.
    supervisord.configure(minfds="300")
    assert limit_of(project) == FileLimit(limits[0], limit_of(project).remedy)
    assert f"under [supervisord] in {supervisord.directory}" in limit_of(project).remedy


def test_limit_of_an_absent_or_unreadable_configuration_is_unknown(tmp_path: Path) -> None:
    configuration = tmp_path / "supervisord.conf"
    assert file_limits(under(configuration)) == {}
    configuration.write_text("[supervisord]\nminfds=%(ENV_FILES)s\n[unix_http_server]\nfile=/run/x\n")
    assert file_limits(under(configuration)) == {}
    configuration.write_text("[supervisord]\n[unix_http_server]\nfile=/run/x\n")
    assert limit_of(under(configuration)).most == 1024


def test_own_supervisord_that_the_hard_limit_keeps_from_starting_is_a_problem(tmp_path: Path) -> None:
    limit = limit_of(embedded(tmp_path, Path("/home/anna")))
    assert (limit.most, "supervisor/supervisord.conf.j2" in limit.remedy) == (4096, True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limit.problem == "" or hard < 4096
    assert too_low(4096, 4096) == ""
    assert too_low(4096, 2048).endswith("it needs 4096 open files (minfds), but the hard limit here is 2048")


@pytest.mark.root("only root has the capability that another user lacks")
def test_only_root_may_raise_a_hard_limit() -> None:
    def check() -> None:
        assert not process.may_raise_limits()

    as_somebody(check)
