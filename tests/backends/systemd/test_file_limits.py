"""How many files the programs may open under systemd; tests/host/test_check.py asks a real one."""

from __future__ import annotations

import sys

import pytest

from procman.backends.systemd.file_limits import REMEDY, limits_of, soft_limit
from tests.backends.systemd.projects import project


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("65536", 65536),
        ("1024:524288", 1024),
        ("64K", 65536),
        ("infinity", sys.maxsize),
        ("many", None),
        ("", None),
    ],
)
def test_soft_limit_counts(value: str, limit: int | None) -> None:
    assert soft_limit(value) == limit


def test_directive_of_a_program_precedes_that_of_the_project() -> None:
    rest = '[systemd.directives]\nLimitNOFILE = "2048"\n[worker.celery.systemd]\nLimitNOFILE = "4096:8192"\n'
    found = limits_of(project(rest=rest))
    assert {name: limit.most for name, limit in found.items()} == {
        "catmaid-celery": 4096,
        "catmaid-celery-beat": 2048,
        "catmaid-flower": 2048,
    }
    assert {limit.remedy for limit in found.values()} == {REMEDY}
