"""Resolve commands that run others inside a virtualenv: `uv run`, `poetry run`, `pipenv run`, `conda run`.

None of them is run: each keeps its environments in known places, and only one that exists is named.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from procman.init.importing.wrapping.unwrapped import Unwrapped
from procman.init.importing.wrapping.wrapper_options import Read, read_options
from procman.init.scan_project import is_virtualenv

UV_VALUED = (
    *("--env-file", "--directory", "--project", "--package", "--python", "-p", "--with", "-w", "--with-editable"),
    *("--with-requirements", "--extra", "--no-extra", "--group", "--no-group", "--only-group", "--cache-dir"),
    *("--color", "--config-file", "--index", "--default-index", "--index-url", "-i", "--extra-index-url"),
    *("--find-links", "-f", "--config-setting", "-C", "--link-mode", "--resolution", "--prerelease"),
    *("--exclude-newer", "--upgrade-package", "-P", "--reinstall-package", "--refresh-package"),
    *("--keyring-provider", "--index-strategy", "--fork-strategy", "--allow-insecure-host", "--python-platform"),
    *("--no-build-package", "--no-binary-package"),
)
"""The options of `uv run` with a value (uv 0.13)."""

GLOBAL_VALUED = ("--directory", "--project", "--config-file", "--cache-dir", "--color", "-C", "-P")
CONDA_VALUED = ("-n", "--name", "-p", "--prefix", "--cwd", "-r", "--root-prefix", "-e", "--env", "-a", "--attach")


def runs_in_virtualenv(state: Unwrapped) -> Unwrapped | None:
    """Return `state` without a runner at its start; None if there is none."""
    name = Path(state.words[0]).name
    before = read_options(state.words[1:], GLOBAL_VALUED)
    if name not in RUNNERS or before.rest[:1] != ("run",):
        return None
    return RUNNERS[name](state, before, before.rest[1:])


def _uv(state: Unwrapped, before: Read, words: tuple[str, ...]) -> Unwrapped:
    read = read_options(words, UV_VALUED)
    chosen = Read((*before.options, *read.options), read.rest)
    if directory := chosen.value("--directory"):
        state = replace(state, directory=state.inside(directory))
    files = [value for name, value in chosen.options if name == "--env-file"]
    files = files or state.environment.get("UV_ENV_FILE", "").split()
    found = [path for path in map(state.inside, files) if path]
    if extra := [value for name, value in chosen.options if name in ("--with", "-w")]:
        why = f"uv installs {', '.join(extra)} at each start: install it into the virtualenv"
        state = replace(state, remarks=(*state.remarks, state.remark("uv run --with", why, doubtful=True)))
    top = state.inside(chosen.value("--project") or ".")
    root = _above(top, "pyproject.toml") or top
    named = state.environment.get("UV_PROJECT_ENVIRONMENT", ".venv")
    rest = ("python", "-m", *read.rest) if chosen.has("-m", "--module") else read.rest
    state = replace(state, environment_files=(*state.environment_files, *found))
    return _resolved(state, "uv run", [root / named] if root else [], rest)


def _poetry(state: Unwrapped, before: Read, words: tuple[str, ...]) -> Unwrapped:
    top = state.inside(before.value("--project", "-P", "--directory", "-C") or ".")
    if directory := before.value("--directory", "-C"):
        state = replace(state, directory=state.inside(directory))
    return _resolved(state, "poetry run", _poetry_places(state, _above(top, "pyproject.toml")), words)


def _poetry_places(state: Unwrapped, root: Path | None) -> Iterator[Path]:
    if root is None:
        return
    yield root / ".venv"
    cache = state.environment.get("POETRY_CACHE_DIR", f"{_home(state.environment)}/.cache/pypoetry")
    places = Path(state.environment.get("POETRY_VIRTUALENVS_PATH", f"{cache}/virtualenvs"))
    # NAME-HASH-pyVERSION (poetry 2.5, EnvManager.generate_env_name).
    yield from places.glob(f"*-{path_hash(str(root.resolve()))}-py*")


def _pipenv(state: Unwrapped, _: Read, words: tuple[str, ...]) -> Unwrapped:
    root = _above(state.directory, "Pipfile") if state.sees_files else None
    if root and (root / ".env").is_file() and not state.environment.get("PIPENV_DONT_LOAD_ENV"):
        state = replace(state, environment_files=(*state.environment_files, root / ".env"))
    return _resolved(state, "pipenv run", _pipenv_places(state, root), words)


def _pipenv_places(state: Unwrapped, root: Path | None) -> Iterator[Path]:
    if root is None:
        return
    yield root / ".venv"
    places = Path(state.environment.get("WORKON_HOME", f"{_home(state.environment)}/.local/share/virtualenvs"))
    # NAME-HASH (pipenv 2026, Project.virtualenv_name).
    yield from places.glob(f"*-{path_hash(str(root / 'Pipfile'))}")


def _conda(state: Unwrapped, _: Read, words: tuple[str, ...]) -> Unwrapped:
    read = read_options(words, CONDA_VALUED)
    if directory := read.value("--cwd"):
        state = replace(state, directory=state.inside(directory))
    prefix, name = read.value("-p", "--prefix"), read.value("-n", "--name")
    places = [path for path in (state.inside(prefix),) if path] if prefix else _conda_places(state, name or "base")
    return _resolved(state, f"{Path(state.words[0]).name} run", places, read.rest, is_conda=True)


def _conda_places(state: Unwrapped, name: str) -> Iterator[Path]:
    own, variables = Path(state.words[0]), state.environment
    roots = [variables[each] for each in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT") if each in variables]
    if own.is_absolute() and own.parent.name in ("bin", "condabin"):
        roots.append(str(own.parent.parent))
    listed = variables.get("CONDA_ENVS_PATH", variables.get("CONDA_ENVS_DIRS", "")).split(":")
    yield from (Path(root) for root in roots if name == "base")
    yield from (Path(place) / name for place in listed if place)
    yield from (Path(root) / "envs" / name for root in roots)
    yield Path(_home(variables)) / ".conda" / "envs" / name


RUNNERS: Mapping[str, Callable[[Unwrapped, Read, tuple[str, ...]], Unwrapped]] = {
    "uv": _uv,
    "poetry": _poetry,
    "pipenv": _pipenv,
    **dict.fromkeys(("conda", "mamba", "micromamba"), _conda),
}


def _resolved(
    state: Unwrapped, runner: str, places: Iterable[Path], rest: tuple[str, ...], *, is_conda: bool = False
) -> Unwrapped:
    exists = _is_conda if is_conda else is_virtualenv
    virtualenv = next((place for place in places if exists(place)), None) if state.sees_files else None
    if virtualenv:
        remark = state.remark(runner, f"procman starts Celery in its virtualenv, {virtualenv}", changed=True)
    else:
        why = "its virtualenv was not found here: set the key virtualenv to it"
        remark = state.remark(runner, why, doubtful=True)
    if is_conda:
        what = f"etc/conda/activate.d of {virtualenv or 'the environment'}"
        more = state.remark(what, "the scripts there, which set variables, do not run")
        return replace(state, words=rest, virtualenv=virtualenv, remarks=(*state.remarks, remark, more))
    return replace(state, words=rest, virtualenv=virtualenv or state.virtualenv, remarks=(*state.remarks, remark))


def _is_conda(place: Path) -> bool:
    return (place / "conda-meta").is_dir()


def _above(directory: Path | None, name: str) -> Path | None:
    """Return the nearest directory, from `directory` upwards, that has the file `name`."""
    for each in (directory, *directory.parents) if directory else ():
        try:
            if (each / name).is_file():
                return each
        except OSError:
            return None
    return None


def _home(environment: Mapping[str, str]) -> str:
    return environment.get("HOME") or str(Path.home())


def path_hash(text: str) -> str:
    """Return what poetry and pipenv put into the name of a virtualenv for the path of its project."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:6]).decode()
