"""Find the virtualenv or conda environment of a project, also where poetry, pipenv and conda keep theirs.

None of these tools is run: each keeps its environments in known places, and only one that exists is returned.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

MOST_LISTED = 1000
"""The lines of a list of environments that are read."""

LONGEST_LIST = 262_144

CONDA_NAME = re.compile(r"^name:[ \t]*[\"']?([\w.-]{1,100})", re.MULTILINE)
MAPPED = re.compile(r"'[\w.]{1,200}': '(/[^'\n]{1,4000})'")
"""A package and its directory in the MAPPING of an editable install (setuptools 60 and later)."""

CONDA_FILES = ("environment.yml", "environment.yaml")


def is_virtualenv(path: Path) -> bool:
    """Return whether `path` is a virtualenv that this process can read."""
    # Path.is_file() raises an error in an inaccessible directory.
    return os.path.isfile(path / "pyvenv.cfg")  # noqa: PTH113


def is_conda(path: Path) -> bool:
    """Return whether `path` is an environment of conda, which has no pyvenv.cfg."""
    return os.path.isdir(path / "conda-meta")  # noqa: PTH112


def is_environment(path: Path) -> bool:
    """Return whether `path` is a virtualenv or an environment of conda."""
    return is_virtualenv(path) or is_conda(path)


def has_celery(path: Path) -> bool:
    """Return whether Celery is installed in the virtualenv `path`."""
    return any(path.glob("lib/python3*/site-packages/celery/__init__.py"))


def has_activation_scripts(path: Path) -> bool:
    """Return whether conda runs scripts when it activates the environment `path`."""
    return is_conda(path) and any(path.glob("etc/conda/activate.d/*.sh"))


def activated(environment: Mapping[str, str]) -> list[Path]:
    """Return the virtualenv that is activated in `environment`, or else the conda environment, but not conda's base."""
    conda = environment.get("CONDA_PREFIX", "") if environment.get("CONDA_DEFAULT_ENV") != "base" else ""
    paths = [Path(each) for each in (environment.get("VIRTUAL_ENV", ""), conda) if each.startswith("/")]
    return list(filter(is_environment, paths))[:1]


def import_paths(virtualenv: Path) -> list[Path]:
    """Return the directories from which `virtualenv` imports the packages of editable installs."""
    packages = list(virtualenv.glob("lib/python3*/site-packages"))
    files = sorted(file for each in packages for file in each.glob("*.pth"))[:MOST_LISTED]
    added = [Path(line.strip()) for file in files for line in _lines(file) if line.startswith("/")]
    finders = sorted(file for each in packages for file in each.glob("__editable___*_finder.py"))[:MOST_LISTED]
    mapped = [Path(path).parent for file in finders for path in MAPPED.findall("\n".join(_lines(file)))]
    return [*added, *mapped]


# Where the tools keep them --------------------------------------------------------------------------------------------


def of_tools(directory: Path, environment: Mapping[str, str], homes: Sequence[Path]) -> list[Path]:
    """Return the environments that poetry, pipenv or conda has for the project in `directory`.

    `homes` are the home directories to search; `environment` is the caller's.
    """
    pyproject, pipfile = above(directory, "pyproject.toml"), above(directory, "Pipfile")
    found: list[Path] = []
    for home in homes:
        variables = {**environment, "HOME": str(home)}
        found += poetry_places(pyproject, variables) if pyproject else ()
        found += pipenv_places(pipfile, variables) if pipfile else ()
        found += [place for name in _conda_names(directory) for place in _listed_by_conda(name, variables)]
    return list(dict.fromkeys(filter(is_environment, found)))


def poetry_places(root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where poetry keeps the virtualenv of the project in `root`."""
    yield root / ".venv"
    cache = environment.get("POETRY_CACHE_DIR", f"{home_of(environment)}/.cache/pypoetry")
    places = Path(environment.get("POETRY_VIRTUALENVS_PATH", f"{cache}/virtualenvs"))
    # NAME-HASH-pyVERSION (poetry 2.5, EnvManager.generate_env_name).
    yield from sorted(places.glob(f"*-{path_hash(str(root.resolve()))}-py*"))


def pipenv_places(root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where pipenv keeps the virtualenv of the project in `root`."""
    yield root / ".venv"
    places = Path(environment.get("WORKON_HOME", f"{home_of(environment)}/.local/share/virtualenvs"))
    # NAME-HASH (pipenv 2026, Project.virtualenv_name).
    yield from sorted(places.glob(f"*-{path_hash(str(root / 'Pipfile'))}"))
    for line in _lines(root / ".venv")[:1]:
        # A file .venv has the path of the virtualenv, or its name.
        yield places / line.strip()


def conda_places(name: str, environment: Mapping[str, str], roots: Iterable[str] = ()) -> Iterator[Path]:
    """Yield where conda, mamba and micromamba keep the environment `name`; `roots` are their own prefixes."""
    roots = [*(environment[each] for each in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT") if each in environment), *roots]
    listed = environment.get("CONDA_ENVS_PATH", environment.get("CONDA_ENVS_DIRS", "")).split(":")
    yield from (Path(root) for root in roots if name == "base")
    yield from (Path(place) / name for place in listed if place)
    yield from (Path(root) / "envs" / name for root in roots)
    yield Path(home_of(environment)) / ".conda" / "envs" / name


def _listed_by_conda(name: str, environment: Mapping[str, str]) -> Iterator[Path]:
    yield from conda_places(name, environment)
    # Every environment that conda makes is added to this file (conda 26).
    for line in _lines(Path(home_of(environment)) / ".conda" / "environments.txt"):
        if Path(line.strip()).name == name:
            yield Path(line.strip())


def _conda_names(directory: Path) -> list[str]:
    tops = [each for each in (above(directory, file) for file in CONDA_FILES) if each]
    texts = ["\n".join(_lines(top / file)) for top in tops for file in CONDA_FILES]
    return list(dict.fromkeys(name for text in texts for name in CONDA_NAME.findall(text)))


def above(directory: Path | None, name: str) -> Path | None:
    """Return the nearest directory, from `directory` upwards, that has the file `name`."""
    for each in (directory, *directory.parents) if directory else ():
        if os.path.isfile(each / name):  # noqa: PTH113
            return each
    return None


def home_of(environment: Mapping[str, str]) -> str:
    """Return the home directory in `environment`, or else that of this process."""
    return environment.get("HOME") or str(Path.home())


def path_hash(text: str) -> str:
    """Return what poetry and pipenv put into the name of a virtualenv for the path of its project."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:6]).decode()


def _lines(path: Path) -> list[str]:
    try:
        # A FIFO would block.
        if not os.path.isfile(path):  # noqa: PTH113
            return []
        with path.open("rb") as file:
            return file.read(LONGEST_LIST).decode("utf-8", "replace").splitlines()[:MOST_LISTED]
    except OSError:
        return []
