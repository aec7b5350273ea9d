"""Find Celery behind a Python interpreter, or behind a command line of the project such as manage.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from procman.celery_cli.parse import SCRIPTS, virtualenv_of
from procman.init.app_modules import app_behind
from procman.init.importing.wrapping.unwrapped import Unwrapped
from procman.init.importing.wrapping.wrapper_options import read_options
from procman.init.settings_modules import settings_in

PYTHON = re.compile(r"python[0-9.]*|pypy[0-9.]*")
MANAGE = ("manage.py", "django-admin", "django-admin.py")

VARIABLES = {
    "-u": ("", ""),
    "-B": ("PYTHONDONTWRITEBYTECODE", "1"),
    "-O": ("PYTHONOPTIMIZE", "1"),
    "-d": ("PYTHONDEBUG", "1"),
    "-q": ("", ""),
    "-s": ("PYTHONNOUSERSITE", "1"),
    "-v": ("PYTHONVERBOSE", "1"),
    "-P": ("PYTHONSAFEPATH", "1"),
}
"""Options of Python, and the variables with the same effect (python(1)); procman itself sets that of -u."""

X_VARIABLES = {
    "dev": "PYTHONDEVMODE",
    "faulthandler": "PYTHONFAULTHANDLER",
    "importtime": "PYTHONPROFILEIMPORTTIME",
    "tracemalloc": "PYTHONTRACEMALLOC",
    "utf8": "PYTHONUTF8",
    "warn_default_encoding": "PYTHONWARNDEFAULTENCODING",
    "pycache_prefix": "PYTHONPYCACHEPREFIX",
    "int_max_str_digits": "PYTHONINTMAXSTRDIGITS",
}

OLD_COMMANDS = {"celeryd": "worker", "celerybeat": "beat"}
"""The commands of django-celery for manage.py."""


def runs_python(state: Unwrapped) -> Unwrapped | None:
    """Return `state` with Celery's own command in place of Python's or the project's; None if it has neither."""
    if PYTHON.fullmatch(Path(state.words[0]).name):
        return _interpreter(state)
    return _own_command_line(state, state.words)


def _interpreter(state: Unwrapped) -> Unwrapped | None:
    python, words, options = state.words[0], list(state.words[1:]), ""
    module = next(_module(words), None)
    if module is not None:
        words, options = words[:module], words[module + 1]
        rest = list(state.words[module + 3 :])
    read = read_options(words, ("-W", "-X", "--check-hash-based-pycs"))
    state = _with_options(state, read.options)
    if module is not None:
        found = ("celery", *rest) if options in ("celery", "celery.__main__", "celery.bin.celery") else None
        return _celery(state, python, found) if found else None
    if not read.rest:
        return None
    script = Path(read.rest[0]).name
    if script == "celery":
        return _celery(state, read.rest[0] if virtualenv_of(read.rest[0]) else python, ("celery", *read.rest[1:]))
    found_state = _own_command_line(state, read.rest)
    return _celery(found_state, python, found_state.words) if found_state else None


def _module(words: list[str]) -> Iterator[int]:
    """Yield the place of `-m` among the options of Python."""
    at = 0
    while at + 1 < len(words) and words[at].startswith("-"):
        if words[at] == "-m":
            yield at
            return
        at += 2 if words[at] in ("-W", "-X", "--check-hash-based-pycs") else 1


def _celery(state: Unwrapped, python: str, words: tuple[str, ...]) -> Unwrapped:
    return replace(state, words=words, virtualenv=virtualenv_of(python) or state.virtualenv)


def _with_options(state: Unwrapped, options: tuple[tuple[str, str], ...]) -> Unwrapped:
    variables = dict(state.environment)
    left = []
    for name, value in options:
        if name == "-W":
            variables["PYTHONWARNINGS"] = ",".join(filter(None, (variables.get("PYTHONWARNINGS"), value)))
        elif name == "-X" and value.partition("=")[0] in X_VARIABLES:
            variables[X_VARIABLES[value.partition("=")[0]]] = value.partition("=")[2] or "1"
        elif name in VARIABLES:
            variable, setting = VARIABLES[name]
            variables |= {variable: setting} if variable else {}
        else:
            left.append(f"{name} {value}".strip())
    if options.count(("-O", "")) > 1:
        variables["PYTHONOPTIMIZE"] = "2"
    remarks = [state.remark(f"python {each}", "the launcher starts Python without options") for each in left]
    return replace(state, environment=variables, remarks=(*state.remarks, *remarks))


# The project's own command line --------------------------------------------------------------------------------------


def _own_command_line(state: Unwrapped, words: tuple[str, ...]) -> Unwrapped | None:
    """Return `state` with the words after `PROGRAM celery`, whose app only that program knows."""
    at = next((at for at, word in enumerate(words[1:8], start=1) if word == "celery" or word in OLD_COMMANDS), None)
    if at is None or Path(words[0]).name == "celery":
        return None
    if Path(words[0]).suffix in SCRIPTS:
        # A start script, which cannot be read here.
        return None
    is_manage = Path(words[0]).name in MANAGE
    if words[at] != "celery" and not is_manage:
        return None
    if not is_manage and (_names_app(words[at:]) or not {"worker", "beat"} & {*words[at + 1 :]}):
        return None
    started = words[at + 1 :] if words[at] == "celery" else (OLD_COMMANDS[words[at]], *words[at + 1 :])
    before, after = (_without_django(words[1:at]), _without_django(started)) if is_manage else (words[1:at], started)
    state = replace(state, words=("celery", *after), virtualenv=virtualenv_of(words[0]) or state.virtualenv)
    if is_manage:
        state = replace(state, environment=_settings(state, words))
    else:
        state = replace(state, likely_app=(state.sees_files and app_behind(Path(words[0]))) or "")
    shown = " ".join((Path(words[0]).name, *before, words[at]))
    why = (
        "procman starts Celery itself, and needs the app that this command loads: the one that the project's celery.py "
        "defines, or the key app"
    )
    return replace(state, remarks=(*state.remarks, state.remark(shown, why, doubtful=True)))


def _names_app(words: tuple[str, ...]) -> bool:
    return any(word in ("-A", "--app") or word.startswith(("--app=", "-A")) for word in words)


def _without_django(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return `words` without the options of every command of Django."""
    left = []
    skips = False
    for word in words:
        if skips:
            skips = False
        elif word in ("--settings", "--pythonpath", "--verbosity", "-v"):
            skips = True
        elif not word.startswith(("--settings=", "--pythonpath=", "--verbosity=", "--traceback", "--no-color")):
            left.append(word)
    return tuple(left)


def _settings(state: Unwrapped, words: tuple[str, ...]) -> Mapping[str, str]:
    """Return the variables with the settings module that manage.py sets, unless a variable or an option does."""
    given = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--settings"]
    given += [word.partition("=")[2] for word in words if word.startswith("--settings=")]
    file = state.inside(words[0])
    default = settings_in(file) if file and state.sees_files and file.name == "manage.py" else None
    found = given[-1] if given else state.environment.get("DJANGO_SETTINGS_MODULE") or default
    return {**state.environment, "DJANGO_SETTINGS_MODULE": found} if found else state.environment
