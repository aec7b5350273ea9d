"""Virtualenvs with the versions of Django that the app supports, each with a Celery; created once, in .cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from tests.celery_environments import (
    CACHE,
    CELERY_4_4,
    CELERY_5_1,
    CELERY_5_7,
    CeleryEnvironment,
    CelerySpec,
    find_python,
    make_virtualenv,
)
from tests.needs import requires

DJANGO_APP = Path(__file__).parents[2] / "django_app"
"""The sources of the distribution django-celery-procman."""


@dataclass(frozen=True)
class DjangoSpec:
    """A version of Django to test with, its Celery, and the Pythons that run both, best first."""

    django: str
    celery: CelerySpec
    pythons: tuple[str, ...]

    def __str__(self) -> str:
        return f"django-{self.django}-celery-{self.celery.version}-python{self.pythons[0]}"

    @property
    def missing(self) -> str:
        """Return the reason of a skip if none of its Pythons is found."""
        return f"no Python {' or '.join(self.pythons)} found for Django {self.django}"


CATMAID = DjangoSpec("3.2.25", CELERY_4_4, ("3.8",))
"""What CATMAID's stable version runs; its development version is the next."""
# kombu 5.7 needs Python 3.10.
_OLDER_KOMBU = replace(CELERY_5_1, requirements=("kombu==5.1.0", *CELERY_5_1.requirements[1:]))
CATMAID_DEVELOPMENT = DjangoSpec("3.2.25", _OLDER_KOMBU, ("3.9",))
DJANGO_6_0 = DjangoSpec("6.0.10", CELERY_5_7, ("3.13", "3.12", "3.14"))
SPECS = (CATMAID, CATMAID_DEVELOPMENT, DJANGO_6_0)
"""Django 5.2 is in the virtualenv of Celery 5.7 (`tests/celery_environments.py`)."""


@cache
def python_of(spec: DjangoSpec) -> Path | None:
    """Return the Python of the virtualenv of `spec`, created if needed; None if no Python can run it."""
    requires("celery")
    found = ((version, find_python(version)) for version in spec.pythons)
    version, python = next(((version, python) for version, python in found if python), ("", None))
    if python is None:
        return None
    directory = CACHE / f"django-{spec.django}-celery-{spec.celery.version}-python{version}"
    celery = (f"celery=={spec.celery.version}", *spec.celery.requirements)
    make_virtualenv(directory, python, (*celery, f"Django=={spec.django}"), before=spec.celery.before)
    return directory / "bin" / "python"


def environment_of_catmaid() -> CeleryEnvironment | None:
    """Return the virtualenv with the versions of CATMAID's stable version."""
    python = python_of(CATMAID)
    return CeleryEnvironment(CATMAID.celery, python.parent.parent) if python else None
