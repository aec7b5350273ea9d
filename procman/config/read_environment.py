"""Read `[environment]` and the variables of programs; harmful variables and secrets are refused."""

from __future__ import annotations

import re
from collections.abc import Collection

from procman.agent import variable_rules
from procman.config.document import Document
from procman.config.value_types import VARIABLE_PATTERN, InvalidValue, text_of_one_line
from procman.secrets import is_secret

LONGEST_VALUE = 100_000
"""Bytes; Linux does not start a program with a longer one (MAX_ARG_STRLEN is 128 KiB, with the name)."""

OWN_VARIABLES = {
    "DJANGO_SETTINGS_MODULE": "use the key settings in [project]",
    "PYTHONPATH": "use the key python_path in [project]",
    "VIRTUAL_ENV": "use the key virtualenv in [project]",
    "PYTHONHOME": "it breaks the virtualenv",
    "C_FORCE_ROOT": "Celery should not run as root: set the key user in [project]",
    "REMAP_SIGTERM": "with it, a graceful stop ends running tasks; see handback_seconds",
    **dict.fromkeys(
        (
            *("INVOCATION_ID", "JOURNAL_STREAM", "MANAGERPID", "MANAGERPIDFDID", "MEMORY_PRESSURE_WATCH"),
            *("MEMORY_PRESSURE_WRITE", "SYSTEMD_EXEC_PID"),
        ),
        "systemd sets it for each process (systemd.exec(5))",
    ),
}
"""Variables that procman or systemd sets itself, or that should not be set, each with the alternative or the reason.

A program runs with them all the same, so the launcher accepts them in an environment file.
"""

SHELL_VARIABLES = frozenset(
    {
        *("BASHOPTS", "BASHPID", "BASH_ARGC", "BASH_COMMAND", "BASH_SUBSHELL", "BASH_VERSINFO", "DIRSTACK"),
        *("EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HISTCMD", "LINENO", "OLDPWD", "OPTIND"),
        *("PPID", "PWD", "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "SRANDOM", "UID", "_"),
    }
)
"""Variables that the shell of the start script sets itself (dash 0.5, bash 5.2); it exits if some are assigned."""


def read_environment(document: Document, value: object, where: str, public: Collection[str]) -> dict[str, str]:
    """Return the variables of the table `where` and note problems; the names in `public` are not secret."""
    return document.read_entries(value, where, lambda name, text: _problem(name, text, public), str)


def _problem(name: str, value: object, public: Collection[str]) -> str | None:
    if not re.fullmatch(VARIABLE_PATTERN, name):
        return "expected the name of an environment variable: letters, digits and _, not starting with a digit"
    if reason := refusal(name):
        return f"cannot be set here: {reason}"
    try:
        text = text_of_one_line(value)
    except InvalidValue as unfit:
        detail = f" ({unfit})" if str(unfit) else ""
        return f'expected a quoted string on one line, such as {name} = "1"{detail}'
    if len(text.encode()) > LONGEST_VALUE:
        return f"expected at most {LONGEST_VALUE} bytes: the kernel does not start a program with more"
    if name not in public and is_secret(name, text):
        return (
            "this looks like a secret, and other users can read the files that procman writes: put it into the file "
            f'named by environment_file in [project]; if it is not a secret, set public = ["{name}"] in [project]'
        )
    return _path_problem(text) if name == "PATH" else None


def refusal(name: str) -> str | None:
    """Return why `[environment]` must not set the variable `name`; None if it may."""
    if name in SHELL_VARIABLES:
        return "the shell that starts the program sets it"
    return variable_rules.refusal(name) or OWN_VARIABLES.get(name)


def _path_problem(value: str) -> str | None:
    if "$" in value:
        return "$PATH is not expanded here: write every directory; the virtualenv's bin directory always comes first"
    if not all(directory.startswith("/") for directory in value.split(":")):
        return "expected absolute directories separated by colons; an empty one would be the working directory"
    return None
