"""The tests of the Django app, which run on the project's Python: with each version of Django that it supports."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.celery_environments import CELERY_5_7, environment_of

from .environments import DJANGO_APP, SPECS, DjangoSpec, python_of

pytestmark = pytest.mark.celery

SECONDS = 240


def _test(python: Path) -> None:
    strict = ["-B", "-W", "error::DeprecationWarning:procman_django"]
    done = subprocess.run(
        [python, *strict, "-m", "django", "test", "--settings=tests.settings"],
        cwd=DJANGO_APP,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stderr
    assert "Ran 0 tests" not in done.stderr


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_app_works(spec: DjangoSpec) -> None:
    python = python_of(spec)
    if python is None:
        pytest.skip(spec.missing)
    _test(python)


def test_app_works_with_django_5_2() -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    _test(environment.python)
