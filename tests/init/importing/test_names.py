"""Projects are named after the beginning of their programs' names, and every name fits procman.toml."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procman.config.read_file import NAME_PATTERN
from procman.init.importing.names import program_key, project_name
from tests.tables import for_each


@for_each(
    ("names", "project"),
    [
        (["shop-celery", "shop-celery-beat"], "shop"),
        (["shop-server-celery"], "shop-server"),
        (["shop_worker", "shop_beat"], "shop"),
        (["mayan-edms-worker_a", "mayan-edms-worker_b", "mayan-edms-celery-beat"], "mayan-edms"),
        (["celery", "celery_network", "celerybeat"], None),
        (["celery"], None),
        (["shop"], None),
        (["shop", "shop-mail"], "shop"),
        (["lms_default_1", "lms_high_1"], "lms"),
        (["1-worker", "1-beat"], None),
        (["run_celery_kpi_worker", "run_celery_beat"], None),
        (["run_shop_worker", "run_shop_beat"], "shop"),
        (["run_shop"], None),
        ([f"{'long-' * 20}celery"], None),
        ([], None),
    ],
)
def test_project_is_named_after_its_programs(names: list[str], project: str | None) -> None:
    assert project_name(names) == project


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("shop-worker_a", "worker-a"),
        ("shop", "worker"),
        ("celery@fast", "celery-fast"),
        ("2", "worker-2"),
        ("celery-beat", "celery-beat-worker"),
        ("shop-health", "health-worker"),
        ("taken", "taken-2"),
    ],
)
def test_key_of_a_program(name: str, key: str) -> None:
    assert program_key(name, "shop", ["taken"]) == key


@given(st.text(max_size=120), st.integers(1, 1000))
def test_every_key_gives_a_valid_name(name: str, instances: int) -> None:
    taken: list[str] = []
    for _ in range(3):
        taken.append(program_key(name, "a-project-of-some-length", taken, instances))
    assert len(set(taken)) == 3
    for key in taken:
        assert re.fullmatch(NAME_PATTERN, key)
        suffix = f"-{instances}" if instances > 1 else ""
        assert len(f"a-project-of-some-length-{key}{suffix}") <= 63
