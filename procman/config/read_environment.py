"""Reads `[environment]` and the programs' own: what is set must be harmless, and no secret."""

from __future__ import annotations

import re
from collections.abc import Collection

from procman.celery_cli.write import variable_objection
from procman.config.document import Document
from procman.config.value_types import VARIABLE_PATTERN, InvalidValue, text_of_one_line
from procman.secrets import is_secret

LONGEST_VALUE = 100_000
"""Bytes; Linux starts no program with a longer one (MAX_ARG_STRLEN is 128 KiB, with the name)."""

OWN_VARIABLES = {
    "DJANGO_SETTINGS_MODULE": "use the key settings in [project]",
    "PYTHONPATH": "use the key python_path in [project]",
    "VIRTUAL_ENV": "use the key virtualenv in [project]",
    "PYTHONHOME": "it breaks the virtualenv",
    "C_FORCE_ROOT": "Celery refuses to run as root for a reason: set the key user in [project]",
}
"""Variables that are procman's to set, each with what to do instead."""

SHELL_VARIABLES = frozenset(
    {
        *("BASHOPTS", "BASHPID", "BASH_ARGC", "BASH_COMMAND", "BASH_SUBSHELL", "BASH_VERSINFO", "DIRSTACK"),
        *("EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HISTCMD", "LINENO", "OLDPWD", "OPTIND"),
        *("PPID", "PWD", "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "SRANDOM", "UID", "_"),
    }
)
"""Variables that the shell of the start script sets itself (dash 0.5, bash 5.2): some end when another sets them."""


def read_environment(document: Document, value: object, where: str, public: Collection[str]) -> dict[str, str]:
    """Return the variables of the table WHERE; problems go to DOCUMENT. PUBLIC are names that are no secrets."""
    return document.read_entries(value, where, lambda name, text: _problem(name, text, public), str)


def _problem(name: str, value: object, public: Collection[str]) -> str | None:
    if not re.fullmatch(VARIABLE_PATTERN, name):
        return "expected the name of an environment variable: letters, digits and _, no digit first"
    refusal = _refusal(name)
    if refusal:
        return f"not possible here: {refusal}"
    try:
        text = text_of_one_line(value)
    except InvalidValue as unfit:
        reason = f" ({unfit})" if str(unfit) else ""
        return f'expected a text of one line in quotes, such as {name} = "1"{reason}'
    if len(text.encode()) > LONGEST_VALUE:
        return f"expected at most {LONGEST_VALUE} bytes: the kernel starts no program with more"
    if name not in public and is_secret(name, text):
        return (
            "this is a secret, and what procman writes can be read by others: put it into the file that the key "
            f'environment_file in [project] names; if it is none, write public = ["{name}"] in [project]'
        )
    return _path_problem(text) if name == "PATH" else None


def _refusal(name: str) -> str | None:
    if name.startswith("PROCMAN_"):
        return "names that begin with PROCMAN_ are procman's own"
    if name in SHELL_VARIABLES:
        return "the shell that starts the program sets it itself"
    return OWN_VARIABLES.get(name) or variable_objection(name)


def _path_problem(value: str) -> str | None:
    if "$" in value:
        return "$PATH is not filled in here: write every directory; that of the virtualenv always comes first by itself"
    if not all(directory.startswith("/") for directory in value.split(":")):
        return "expected absolute directories with colons between them; an empty one means the working directory"
    return None
