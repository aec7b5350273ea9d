"""Resolve commands that run others inside a virtualenv: `uv run`, `poetry run`, `pipenv run`, `conda run`.

None of them is run: each keeps its environments in known places, and only one that exists is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from procman.init.importing.wrapping.unwrapped import Unwrapped
from procman.init.importing.wrapping.wrapper_options import Read, read_options
from procman.init.virtualenvs import above, conda_places, is_virtualenv, pipenv_places, poetry_places
from procman.init.virtualenvs import is_conda as has_conda_meta

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
    root = above(top, "pyproject.toml") or top
    named = state.environment.get("UV_PROJECT_ENVIRONMENT", ".venv")
    rest = ("python", "-m", *read.rest) if chosen.has("-m", "--module") else read.rest
    state = replace(state, environment_files=(*state.environment_files, *found))
    return _resolved(state, "uv run", [root / named] if root else [], rest)


def _poetry(state: Unwrapped, before: Read, words: tuple[str, ...]) -> Unwrapped:
    top = state.inside(before.value("--project", "-P", "--directory", "-C") or ".")
    if directory := before.value("--directory", "-C"):
        state = replace(state, directory=state.inside(directory))
    root = above(top, "pyproject.toml")
    return _resolved(state, "poetry run", poetry_places(root, state.environment) if root else (), words)


def _pipenv(state: Unwrapped, _: Read, words: tuple[str, ...]) -> Unwrapped:
    root = above(state.directory, "Pipfile") if state.sees_files else None
    if root and (root / ".env").is_file() and not state.environment.get("PIPENV_DONT_LOAD_ENV"):
        state = replace(state, environment_files=(*state.environment_files, root / ".env"))
    return _resolved(state, "pipenv run", pipenv_places(root, state.environment) if root else (), words)


def _conda(state: Unwrapped, _: Read, words: tuple[str, ...]) -> Unwrapped:
    read = read_options(words, CONDA_VALUED)
    if directory := read.value("--cwd"):
        state = replace(state, directory=state.inside(directory))
    prefix, name = read.value("-p", "--prefix"), read.value("-n", "--name")
    found = conda_places(name or "base", state.environment, _conda_roots(state.words[0]))
    places = [path for path in (state.inside(prefix),) if path] if prefix else found
    return _resolved(state, f"{Path(state.words[0]).name} run", places, read.rest, is_conda=True)


def _conda_roots(word: str) -> list[str]:
    """Return the prefix of the conda at the path `word`."""
    own = Path(word)
    return [str(own.parent.parent)] if own.is_absolute() and own.parent.name in ("bin", "condabin") else []


RUNNERS: Mapping[str, Callable[[Unwrapped, Read, tuple[str, ...]], Unwrapped]] = {
    "uv": _uv,
    "poetry": _poetry,
    "pipenv": _pipenv,
    **dict.fromkeys(("conda", "mamba", "micromamba"), _conda),
}


def _resolved(
    state: Unwrapped, runner: str, places: Iterable[Path], rest: tuple[str, ...], *, is_conda: bool = False
) -> Unwrapped:
    exists = has_conda_meta if is_conda else is_virtualenv
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
