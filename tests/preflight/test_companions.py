"""Commands with a user, directory or environment file of their own are judged as those see them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.model import Level, Result
from procman.preflight.companions import companions_of, of_celery, of_each
from procman.preflight.host import account_exists
from procman.preflight.inputs import Host, Interpreter, Place, PreflightFacts
from procman.preflight.paths import project_is_reached
from procman.project import Project
from tests.config.documents import read_rest

COMMANDS = """
python_path = ["/opt/lib"]
[worker.celery]
[command.flower]
argv = ["flower"]
[command.web]
argv = ["uwsgi"]
instances = 2
user = "web"
directory = "/srv/web"
[command.secret]
argv = ["x"]
environment_file = "/etc/web/env"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return read_rest(tmp_path, COMMANDS)


def facts(project: Project, **others: object) -> PreflightFacts:
    return PreflightFacts(project, {}, Interpreter("3.11"), **others)  # type: ignore[arg-type]


def test_each_table_with_keys_of_its_own_is_a_project_of_its_own(project: Project) -> None:
    web, secret = companions_of(project)
    assert [each.name for each in web.programs] == ["catmaid-web-1", "catmaid-web-2"]
    assert (web.user, web.group, str(web.directory), web.python_path) == ("web", None, "/srv/web", ())
    assert (secret.user, str(secret.directory), str(secret.environment_file)) == (
        *("www-data", "/opt/catmaid", "/etc/web/env"),
    )
    assert [each.name for each in of_celery(project).programs] == ["catmaid-celery", "catmaid-flower"]


GONE = Place(
    exists=False,
    problem="Permission denied",
    is_directory=False,
    owner="",
    mode=0,
    readable=False,
    writable=False,
    above_writable=False,
    free_bytes=None,
    in_memory=False,
)


def test_problem_of_a_companion_names_its_user_its_table_and_its_program(project: Project) -> None:
    web = facts(companions_of(project)[0], places={Path("/srv/web"): GONE}, table="command.web")
    [result] = of_each(project_is_reached)(facts(project, companions=(web,)))
    assert (result.code, result.program, result.level) == ("PM751", "catmaid-web-1", Level.CRITICAL)
    assert result.detail == "web cannot reach /srv/web: Permission denied"
    assert result.hint == "Correct directory in [command.web], or the owners and modes: namei -l /srv/web"


def test_companion_without_a_problem_adds_no_result(project: Project) -> None:
    web = facts(companions_of(project)[0])
    results = list(of_each(account_exists)(facts(project, companions=(web,))))
    assert results == [Result("PM771", None, Level.OK, "the programs run as www-data")]
    unknown = replace(web, host=Host(account_problem="user web does not exist"), table="command.web")
    [_, result] = of_each(account_exists)(facts(project, companions=(unknown,)))
    assert (result.program, result.level) == ("catmaid-web-1", Level.CRITICAL)
    assert result.hint.startswith("Correct user and group in [command.web]")
