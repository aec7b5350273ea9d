"""Which variables of an environment file replace procman's own values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.agent.environment_file import read_assignments
from procman.preflight.dotenv import differences
from procman.preflight.variables import dotenv_reads_the_same, no_key_is_replaced, replacing
from procman.project import Launch
from tests.preflight.records import valid

OWN = {
    "DJANGO_SETTINGS_MODULE": "mysite.settings",
    "PATH": "/env/bin:/usr/bin",
    "PYTHONPATH": "/srv/site",
    "VIRTUAL_ENV": "/env",
}


def launch(**environment: str) -> Launch:
    return Launch(("python",), environment, None, Path("/srv/site"), None, None, 0o22, 0)


def names(text: str, environment: dict[str, str]) -> list[str]:
    return [name for _, name in replacing(read_assignments(text), [launch(**environment)])]


@pytest.mark.parametrize("name", OWN)
def test_variable_with_procmans_own_value_is_no_problem(name: str) -> None:
    assert names(f"{name}={OWN[name]}", OWN) == []
    assert names(f"{name}=/other", OWN) == [name]


def test_settings_may_come_from_the_environment_file_alone() -> None:
    assert names("DJANGO_SETTINGS_MODULE=mysite.settings", {}) == []


def test_path_that_begins_with_the_virtualenv_is_no_problem() -> None:
    assert names("PATH=/env/bin:/opt/bin", OWN) == []


@pytest.mark.parametrize("name", ["PYTHONHOME", "C_FORCE_ROOT", "REMAP_SIGTERM", "INVOCATION_ID"])
def test_variable_that_procman_leaves_out_is_reported(name: str) -> None:
    assert names(f"{name}=1", OWN) == [name]


@pytest.mark.parametrize("name", ["PWD", "SHLVL", "UID", "_", "HOME", "LANG", "CELERY_BROKER_URL"])
def test_other_variable_is_no_problem(name: str) -> None:
    assert names(f"{name}=1", OWN) == []


@pytest.mark.parametrize("name", ["CELERY_WORKER_LOGLEVEL", "CELERY_WORKER_HOSTNAME", "CELERY_BEAT_LOGLEVEL"])
def test_option_that_is_on_every_command_line_has_no_effect(name: str) -> None:
    before = valid()
    assert before.environment_file
    file = replace(before.environment_file, replacing=((1, name),))
    assert list(no_key_is_replaced(replace(before, environment_file=file))) == []


@pytest.mark.parametrize(
    ("line", "remedy"),
    [("A=b # comment", "Put the whole value into single quotes"), ("A=${B}/x", "Write out the value")],
)
def test_remedy_for_a_line_that_python_dotenv_reads_differently_fits_the_difference(line: str, remedy: str) -> None:
    before = valid()
    assert before.environment_file
    file = replace(before.environment_file, ambiguous=differences(read_assignments(line)))
    [result] = dotenv_reads_the_same(replace(before, environment_file=file))
    assert result.hint.startswith(remedy)
