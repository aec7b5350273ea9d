"""Find the virtualenv or conda environment of a project, also where poetry, pipenv and conda keep theirs.

None of these tools is run: each keeps its environments in known places, and only one that exists is returned.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

MOST_LISTED = 1000
"""The files of a directory, and the lines of a list of environments, that are read."""

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
    return bool(_matching(path, "lib/python3*/site-packages/celery/__init__.py"))


def has_flower(path: Path) -> bool:
    """Return whether Flower is installed in the virtualenv `path`."""
    return bool(_matching(path, "lib/python3*/site-packages/flower/__init__.py"))


def has_activation_scripts(path: Path) -> bool:
    """Return whether conda runs scripts when it activates the environment `path`."""
    return is_conda(path) and bool(_matching(path, "etc/conda/activate.d/*.sh"))


def activated(environment: Mapping[str, str]) -> list[Path]:
    """Return the virtualenv that is activated in `environment`, or else the environment of conda.

    Shells often activate conda's `base`, which is not meant unless it has Celery.
    """
    named = [environment.get(each, "") for each in ("VIRTUAL_ENV", "CONDA_PREFIX")]
    paths = [Path(each) for each in named if each.startswith("/") and is_environment(Path(each))]
    is_base = environment.get("CONDA_DEFAULT_ENV") == "base"
    return [path for path in paths if not (is_base and is_conda(path)) or has_celery(path)][:1]


def import_paths(virtualenv: Path) -> list[Path]:
    """Return the directories from which `virtualenv` imports the packages of editable installs."""
    packages = _matching(virtualenv, "lib/python3*/site-packages")
    files = [file for each in packages for file in _matching(each, "*.pth")]
    added = [Path(line.strip()) for file in files for line in _lines(file) if line.startswith("/")]
    finders = [file for each in packages for file in _matching(each, "__editable___*_finder.py")]
    mapped = [Path(path).parent for file in finders for path in MAPPED.findall("\n".join(_lines(file)))]
    return [*added, *mapped]


# Where the tools keep them --------------------------------------------------------------------------------------------


def of_tools(directory: Path, environment: Mapping[str, str], homes: Sequence[Path]) -> list[Path]:
    """Return the environments that uv, poetry, pipenv, virtualenvwrapper or conda has for the project in `directory`.

    `homes` are the home directories to search; `environment` is the caller's.
    """
    pyproject, pipfile = above(directory, "pyproject.toml"), above(directory, "Pipfile")
    found: list[Path] = []
    for home in homes:
        variables = {**environment, "HOME": str(home)}
        found += _uv_places(pyproject, variables) if pyproject else ()
        found += poetry_places(pyproject, variables) if pyproject else ()
        found += pipenv_places(pipfile, variables) if pipfile else ()
        found += _of_project(directory, variables)
        found += [place for name in _conda_names(directory) for place in _listed_by_conda(name, variables)]
    return list(dict.fromkeys(filter(is_environment, found)))


def _uv_places(root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    if environment.get("UV_PROJECT_ENVIRONMENT"):
        yield root / environment["UV_PROJECT_ENVIRONMENT"]


def poetry_places(root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where poetry keeps the virtualenv of the project in `root`."""
    yield root / ".venv"
    cache = environment.get("POETRY_CACHE_DIR", f"{home_of(environment)}/.cache/pypoetry")
    places = Path(environment.get("POETRY_VIRTUALENVS_PATH", f"{cache}/virtualenvs"))
    # NAME-HASH-pyVERSION (poetry 2.5, EnvManager.generate_env_name).
    yield from _matching(places, f"*-{path_hash(str(root.resolve()))}-py*")


def pipenv_places(root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where pipenv keeps the virtualenv of the project in `root`."""
    yield root / ".venv"
    places = Path(environment.get("WORKON_HOME", f"{home_of(environment)}/.local/share/virtualenvs"))
    # NAME-HASH (pipenv 2026, Project.virtualenv_name).
    yield from _matching(places, f"*-{path_hash(str(root / 'Pipfile'))}")
    for line in _lines(root / ".venv")[:1]:
        # A file .venv has the path of the virtualenv, or its name.
        yield places / line.strip()


def _of_project(directory: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the virtualenvs whose file .project names `directory` or one above (pipenv, virtualenvwrapper)."""
    home = home_of(environment)
    default = (f"{home}/.local/share/virtualenvs", f"{home}/.virtualenvs")
    for place in filter(None, (environment.get("WORKON_HOME"), *default)):
        for file in _matching(Path(place), "*/.project"):
            if Path("".join(_lines(file)[:1]).strip() or "/") in (directory, *list(directory.parents)[:-1]):
                yield file.parent


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


def _matching(directory: Path, pattern: str) -> list[Path]:
    """Return the files below `directory` that match `pattern`, by name; none if they cannot be reached."""
    with suppress(OSError):
        return sorted(islice(directory.glob(pattern), MOST_LISTED))
    return []


def _lines(path: Path) -> list[str]:
    try:
        # A FIFO would block.
        if not os.path.isfile(path):  # noqa: PTH113
            return []
        with path.open("rb") as file:
            return file.read(LONGEST_LIST).decode("utf-8", "replace").splitlines()[:MOST_LISTED]
    except OSError:
        return []
