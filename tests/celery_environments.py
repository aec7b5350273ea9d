"""Virtualenvs with the Celery versions that procman supports, created once and kept in .cache.

A test with the fixture `celery_environment` (tests/conftest.py) runs once with each version, and is skipped if there is
no suitable Python. `python -m tests.celery_environments` creates most of them.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.needs import requires

CACHE = Path(__file__).parent.parent.joinpath(".cache").resolve()
# The environment at the start: tests get another home, but pip's configuration and pyenv are in the real one.
ENVIRONMENT = dict(os.environ)
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
RUNNING_PYTHON = Path(sys.executable).resolve()
"""Not the Python of the checkout's virtualenv, so that several checkouts can share a cache."""
# The Pythons that procman/agent/ supports, oldest first.
INSIDE = ("3.6", "3.7", "3.8", "3.9")


@dataclass(frozen=True)
class CelerySpec:
    """A Celery version to test with, its Pythons (best first), and the packages to install before it and with it."""

    version: str
    pythons: tuple[str, ...]
    requirements: tuple[str, ...]
    before: tuple[str, ...] = ()
    suffix: str = ""
    """The end of the name of its directory, if two specs have the same version."""
    base: CelerySpec | None = None
    """A spec with some of the requirements and the same Pythons, whose virtualenv is copied, which takes a tenth of
    the time of installing them."""

    @property
    def missing(self) -> str:
        """Return the reason of a skip if none of its Pythons is found."""
        oldest, *_, newest = sorted(self.pythons, key=_numbers)
        return f"no Python {oldest} to {newest} found for Celery {self.version}"


@dataclass(frozen=True)
class CeleryEnvironment:
    """A complete virtualenv with Celery and Django."""

    spec: CelerySpec
    directory: Path

    @property
    def python(self) -> Path:
        """Return the virtualenv's Python."""
        return self.directory / "bin" / "python"


def _running_first(*pythons: str) -> tuple[str, ...]:
    return tuple(sorted(pythons, key=lambda python: python != RUNNING))


# pip 24.1 refuses the metadata of Celery 5.1 (`pytz>dev`). The two older versions find plug-ins with pkg_resources,
# which setuptools 82 removed. Celery 5.1 does not run on Python 3.13, which removed a function of `logging`.
CELERY_4_4 = CelerySpec(
    version="4.4.7",
    pythons=("3.8", "3.9", "3.10", "3.7", "3.6"),
    requirements=("kombu==4.6.11", "billiard==3.6.4.0", "vine==1.3.0", "setuptools<80"),
    before=("pip<24.1",),
)
CELERY_5_1 = CelerySpec(
    version="5.1.2",
    pythons=_running_first("3.11", "3.10", "3.9", "3.8", "3.12"),
    requirements=("kombu==5.7.0", "billiard==3.6.4.0", "vine==5.1.0", "setuptools<80"),
    before=("pip<24.1",),
)
CELERY_5_7 = CelerySpec(
    version="5.7.0",
    pythons=(RUNNING,),
    requirements=("kombu==5.7.0", "billiard==4.3.2", "vine==5.1.0"),
)
CELERY_SPECS = (CELERY_5_7, CELERY_5_1, CELERY_4_4)
CELERY_GREEN = CelerySpec(
    version="5.7.0",
    pythons=(RUNNING,),
    requirements=(*CELERY_5_7.requirements, "gevent==26.9.0", "eventlet==0.41.3"),
    suffix="-green",
    base=CELERY_5_7,
)
"""For the pools that run tasks in greenlets."""
CELERY_REDIS = CelerySpec(
    version="5.7.0",
    pythons=(RUNNING,),
    requirements=(
        *CELERY_5_7.requirements,
        "redis==6.4.0",
        "packaging==26.3",
        "celery-redbeat==2.3.3",
        "tenacity==9.1.2",
        "django-celery-beat==2.9.0",
        "django-celery-results==2.6.0",
    ),
    suffix="-redis",
    base=CELERY_5_7,
)
"""For Redis as the broker, for RedBeat, and for a schedule and results in the database of Django."""
CELERY_4_4_REDIS = CelerySpec(
    version=CELERY_4_4.version,
    pythons=CELERY_4_4.pythons,
    requirements=(*CELERY_4_4.requirements, "redis==3.5.3"),
    before=CELERY_4_4.before,
    suffix="-redis",
    base=CELERY_4_4,
)
"""For Redis as the broker."""
CELERY_5_1_REDIS = CelerySpec(
    version=CELERY_5_1.version,
    pythons=CELERY_5_1.pythons,
    requirements=(*CELERY_5_1.requirements, "redis==6.4.0", "packaging==26.3"),
    before=CELERY_5_1.before,
    suffix="-redis",
    base=CELERY_5_1,
)
"""For Redis as the broker."""
COMPANIONS = ("daphne==4.2.3", "gunicorn==27.0.1", "huey==3.5.4", "pyuwsgi==2.0.30.post1")
CELERY_COMPANIONS = CelerySpec(
    version="5.7.0",
    pythons=(RUNNING,),
    requirements=(*CELERY_5_7.requirements, *COMPANIONS),
    suffix="-companions",
    base=CELERY_5_7,
)
"""For the servers and the task queue that run beside Celery as commands."""


@cache
def find_python(version: str) -> Path | None:
    """Return a Python of this version (`3.8`): the running one, one in PATH, or one of pyenv."""
    if version == RUNNING:
        return RUNNING_PYTHON
    return next((candidate for candidate in _candidates(version) if _is_python(candidate, version)), None)


def oldest_python() -> Path | None:
    """Return the oldest Python found that procman/agent/ supports but procman itself does not."""
    return next((python for python in map(find_python, INSIDE) if python), None)


def environment_of(spec: CelerySpec) -> CeleryEnvironment | None:
    """Return the virtualenv of `spec`, created if it does not exist; None if there is no suitable Python."""
    requires("celery")
    return _environment_of(spec)


@cache
def _environment_of(spec: CelerySpec) -> CeleryEnvironment | None:
    found = ((version, find_python(version)) for version in spec.pythons)
    version, python = next(((version, python) for version, python in found if python), ("", None))
    if python is None:
        return None
    directory = CACHE / f"celery-{spec.version}-python{version}{spec.suffix}"
    requirements = (f"celery=={spec.version}", *spec.requirements, *_django(version))
    base = _environment_of(spec.base) if spec.base else None
    make_virtualenv(directory, python, requirements, before=spec.before, base=base.directory if base else None)
    return CeleryEnvironment(spec, directory)


def make_virtualenv(
    directory: Path, python: Path, requirements: Sequence[str], *, before: Sequence[str] = (), base: Path | None = None
) -> None:
    """Create a virtualenv of `python` with `before`, then `requirements`, in `directory`, unless it exists.

    `base`: a complete one of the same Python to begin with. A virtualenv has no pip, unless that is a requirement or
    the checkout's own does not suit it. It is complete only with the file `made-for`, which is written last. (It cannot
    be built elsewhere and renamed, because its scripts would name the other directory.) The lock allows several test
    processes to call this at once.
    """
    made_for = directory / "made-for"
    desired = "\n".join([str(python), *before, *requirements, ""])
    directory.parent.mkdir(exist_ok=True)
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        its_python_is_there = (directory / "bin" / "python").exists()
        if its_python_is_there and made_for.exists() and made_for.read_text() == desired:
            return
        shutil.rmtree(directory, ignore_errors=True)
        own_pip = [str(directory / "bin" / "python"), "-m", "pip"]
        pip = _pip_of_the_checkout(directory, python, before)
        if base:
            _copy_virtualenv(base, directory)
        elif pip:
            _run([python, "-m", "venv", "--without-pip", directory])
        else:
            _run([python, "-m", "venv", directory])
            if before:
                _run([*own_pip, "install", "--quiet", *before])
        _run([*(pip or own_pip), "install", "--quiet", *requirements])
        made_for.write_text(desired)


def _pip_of_the_checkout(directory: Path, python: Path, before: Sequence[str]) -> list[str] | None:
    """Return the command for pip in the virtualenv `directory`, if the checkout's own pip suits it.

    Installing another pip takes as long as installing Celery and Django.
    """
    own, version = metadata("pip"), _version_of(python)
    suits = SpecifierSet(own["Requires-Python"] or "").contains(version)
    # Older ones cannot install into another virtualenv.
    required = [Requirement(each) for each in ("pip>=22.3", *before)]
    if not suits or not all(each.specifier.contains(own["Version"]) for each in required):
        return None
    return [sys.executable, "-m", "pip", "--python", str(directory / "bin" / "python")]


def _copy_virtualenv(base: Path, directory: Path) -> None:
    """Copy a virtualenv, including bytecode, and let the copied scripts start the Python of the copy."""
    shutil.copytree(base, directory, symlinks=True, ignore=shutil.ignore_patterns("made-for"))
    for path in (directory / "pyvenv.cfg", *(directory / "bin").iterdir()):
        if not path.is_symlink():
            path.write_bytes(path.read_bytes().replace(os.fsencode(base), os.fsencode(directory)))


@cache
def _version_of(python: Path) -> str:
    asked = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    done = subprocess.run([python, "-c", asked], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def report() -> list[str]:
    """Return which Python runs which Celery, or which one is missing."""
    lines = []
    for spec in CELERY_SPECS:
        python = next(filter(None, map(find_python, spec.pythons)), None)
        lines.append(f"Celery {spec.version}: {python}" if python else f"MISSING: {spec.missing}")
    oldest = oldest_python()
    return [*lines, f"oldest Python: {oldest}" if oldest else f"MISSING: {MISSING_OLDEST}"]


MISSING_OLDEST = f"no Python {INSIDE[0]} to {INSIDE[-1]} found for procman/agent"


def _candidates(version: str) -> Iterator[Path]:
    for directory in ENVIRONMENT.get("PATH", os.defpath).split(os.pathsep):
        yield Path(directory) / f"python{version}"
    pyenv = Path(ENVIRONMENT.get("PYENV_ROOT") or Path(ENVIRONMENT.get("HOME", "/")) / ".pyenv")
    # Unlike pathlib's, this glob skips unreadable directories: PYENV_ROOT can be another user's, as after `su`.
    found = glob.glob(f"versions/{version}.*/bin/python{version}", root_dir=pyenv)  # noqa: PTH207
    yield from (pyenv / python for python in sorted(found, reverse=True))


def _is_python(candidate: Path, version: str) -> bool:
    # pyenv's shims in PATH refuse to run some versions; Debian's Python may lack ensurepip.
    if not os.access(candidate, os.X_OK):
        return False
    asked = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([candidate, "-c", asked], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() == version


def _django(version: str) -> tuple[str, ...]:
    if _numbers(version) < (3, 8):
        return (
            "Django==3.2.25",
            "asgiref==3.4.1",
            "importlib-metadata==4.8.3",  # kombu 4.6 cannot read the entry points of later versions
            "pytz==2022.7.1",
            "sqlparse==0.4.4",
            "typing-extensions==4.1.1",
            "zipp==3.6.0",
        )
    return ("Django==4.2.30",) if _numbers(version) < (3, 10) else ("Django==5.2.19",)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    # The specs that most tests use. A test that is first to need another one creates it.
    for each in (*CELERY_SPECS, CELERY_REDIS):
        environment_of(each)
