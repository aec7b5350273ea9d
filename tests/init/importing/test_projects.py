"""Programs of two apps, settings modules or users become two projects; those that differ otherwise stay one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from procman.init.importing.projects import difference, split
from tests.init.importing.programs import WORKER, existing

OTHERS: dict[str, dict[str, Any]] = {
    "app": {"line": WORKER.replace("shop", "cms")},
    "settings": {"environment": {"DJANGO_SETTINGS_MODULE": "cms.settings"}},
    "virtualenv": {"line": WORKER.replace("/srv/env", "/srv/other")},
    "user": {"user": "cms"},
    "group": {"group": "cms"},
    "directory": {"directory": Path("/srv/cms")},
}
SHOP: dict[str, Any] = {"environment": {"DJANGO_SETTINGS_MODULE": "shop.settings"}, "group": "shop"}


@pytest.mark.parametrize("key", OTHERS)
def test_programs_with_another_value_are_another_project(key: str) -> None:
    one, two = existing("one", **SHOP), existing("two", **SHOP)
    other = existing("other", **{**SHOP, **OTHERS[key]})
    projects = split([other, one, two], {})
    assert [[each.name for each in programs] for programs in projects] == [["one", "two"], ["other"]]
    assert difference(*projects)[0] == key


@pytest.mark.parametrize("key", OTHERS)
def test_value_that_the_caller_decides_does_not_divide(key: str) -> None:
    programs = [existing("one", **SHOP), existing("other", **{**SHOP, **OTHERS[key]})]
    assert len(split(programs, {}, [key])) == 1


def test_environment_and_options_do_not_divide() -> None:
    programs = [existing("one", environment={"A": "1"}), existing("two", f"{WORKER} -Q x", environment={"A": "2"})]
    assert len(split(programs, {})) == 1


def test_another_secret_divides_because_a_project_has_one_environment_file() -> None:
    programs = [existing("one", environment={"API_TOKEN": "hunter21"}), existing("two")]
    assert len(split(programs, {})) == 1
    assert len(split(programs, {1: {"API_TOKEN": "hunter22"}})) == 2


def test_broker_of_one_command_line_divides_because_it_would_reach_the_others() -> None:
    line = f"{WORKER} -b redis://:hunter21@cache"
    assert len(split([existing("one", line), existing("two")], {})) == 2
    assert len(split([existing("one", line), existing("two", line)], {})) == 1


def test_program_that_leaves_a_value_open_belongs_to_the_first_project() -> None:
    lms = existing("lms", environment={"DJANGO_SETTINGS_MODULE": "lms.settings"})
    cms = existing("cms", environment={"DJANGO_SETTINGS_MODULE": "cms.settings"})
    projects = split([existing("open"), lms, cms], {})
    assert [[each.name for each in programs] for programs in projects] == [["open", "lms"], ["cms"]]


def test_app_may_come_from_a_variable() -> None:
    line = "/srv/env/bin/celery worker"
    programs = [existing("a", line, environment={"CELERY_APP": "shop"}), existing("b", line), existing("c")]
    assert len(split(programs, {})) == 1
    assert len(split([*programs, existing("d", line, environment={"CELERY_APP": "cms"})], {})) == 2
