"""Convert the options and variables of a supervisord program to keys of procman.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from procman.backends.supervisor.configuration.sections import Section
from procman.config.read_environment import refusal
from procman.config.read_programs import DEFAULT_STOP_TIMEOUT_SECONDS
from procman.config.supervisor_options import FREE, RESERVED
from procman.init.draft import Draft
from procman.init.environment_file import line_of
from procman.init.scan_project import is_virtualenv
from procman.quoting import unprintable
from procman.secrets import is_secret
from procman.subprocesses import SYSTEM_PATH

SUPERVISORS_STOP_SECONDS = 10
"""The default of supervisord's `stopwaitsecs`."""

SAFE_START_SECONDS = 10

TAKEN = ("command", "directory", "user", "environment")
HARMLESS = {
    "autorestart": ("true",),
    "killasgroup": ("true",),
    "numprocs": ("1",),
    "redirect_stderr": ("true",),
    "stopasgroup": ("false",),
    "stopsignal": ("term", "15"),
    "process_name": ("%(program_name)s",),
}
"""Values that match what procman does."""

FROM_PASSWORD_DATABASE = ("HOME", "USER", "LOGNAME")


def take_options(draft: Draft, program: Section, table: str) -> None:
    """Put the options of `program` into `draft`, and note which are not imported and why."""
    header = f"[program:{program.name}]"
    short = _short_stop(program, table)
    for option, value in program.values.items():
        if option in TAKEN or value.lower() in HARMLESS.get(option, ()):
            continue
        if option == "stopwaitsecs" and short is not None:
            continue
        reason = _take_option(draft, table, option, value)
        if reason:
            draft.found("not imported", f"{header} {option} = {value}", reason)
    if short is not None:
        waits = DEFAULT_STOP_TIMEOUT_SECONDS["worker"]
        value = f" = {short}" if "stopwaitsecs" in program.values else ""
        note = f"supervisord killed running tasks after {short} s; procman waits {waits} s"
        draft.found("changed", f"{header} stopwaitsecs{value}", note)


def _short_stop(program: Section, table: str) -> int | None:
    """Return the seconds after which a stop of the worker killed its tasks, if procman's default is longer."""
    seconds = _number(program.values.get("stopwaitsecs", str(SUPERVISORS_STOP_SECONDS)))
    is_short = seconds is not None and seconds < DEFAULT_STOP_TIMEOUT_SECONDS["worker"]
    return seconds if is_short and table.startswith("worker.") else None


def _take_option(draft: Draft, table: str, option: str, value: str) -> str:
    """Return why `option` is not imported; empty if it is."""
    if option in KEYS:
        key, convert = KEYS[option]
        converted = convert(value)
        if converted is not None:
            draft.put(table, key, converted)
            return ""
        return LEFT_OUT.get(option, f"{key} cannot have this value")
    if option in LEFT_OUT:
        return LEFT_OUT[option]
    if option in FREE:
        free: object = int(value) if value.isdecimal() else {"true": True, "false": False}.get(value.lower(), value)
        problem = FREE[option].problem(free, Path("/"))
        if not problem:
            draft.tables.setdefault(f"{table}.supervisor", {})[option] = free
        return problem or ""
    return RESERVED.get(option, "unknown option, which supervisord ignores")


def _number(value: str) -> int | None:
    return int(value) if value.isdecimal() else None


def _start_seconds(value: str) -> int | None:
    number = _number(value)
    return number if number is not None and number >= SAFE_START_SECONDS else None


def _flag(value: str) -> bool | None:
    # supervisor.datatypes.boolean
    return {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}.get(
        value.lower()
    )


def _mib(value: str) -> int | None:
    found = re.fullmatch(r"(\d+)\s*([kmg]b)?", value.lower())
    size = int(found[1]) * {"kb": 2**10, "mb": 2**20, "gb": 2**30}.get(found[2], 1) if found else 0
    return max(1, size // 2**20) if size else None


KEYS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "autostart": ("autostart", _flag),
    "numprocs": ("instances", _number),
    "startsecs": ("start_seconds", _start_seconds),
    "stdout_logfile_backups": ("log_backups", _number),
    "stdout_logfile_maxbytes": ("log_max_mib", _mib),
    "stopwaitsecs": ("stop_timeout_seconds", _number),
    "umask": ("umask", str),
}
"""Options that have a key, with the conversion of their value; None: the value is not imported."""

LEFT_OUT = {
    "startsecs": "an app that fails during its import would count as started",
    "startretries": "procman retries for longer, so that the broker can recover",
    "exitcodes": "procman restarts it whatever its exit status",
    "stdout_logfile_maxbytes": "a log without a limit fills the disk",
    "process_name": "the program keeps its own name",
}
"""Options that are not imported, each with the reason."""


def take_environment(
    draft: Draft, header: str, environment: Mapping[str, str], table: str, directory: Path | None
) -> None:
    """Put the variables of a program into `draft`, and its secrets among those for the environment file (S2)."""
    for name, value in environment.items():
        if name == "DJANGO_SETTINGS_MODULE":
            draft.put("project", "settings", value)
        elif name == "VIRTUAL_ENV":
            draft.put("project", "virtualenv", value)
        elif name == "PYTHONPATH":
            paths = [path for path in value.split(":") if path.startswith("/") and Path(path) != directory]
            if paths:
                draft.put("project", "python_path", paths)
        elif name == "PATH":
            _take_path(draft, table, value)
        elif is_secret(name, value):
            _take_secret(draft, header, name, value)
        elif name not in FROM_PASSWORD_DATABASE:
            _take_variable(draft, header, table, name, value)


def _take_secret(draft: Draft, header: str, name: str, value: str) -> None:
    reason = refusal(name) or ("" if line_of(name, value) else "no environment file can contain its value")
    if reason:
        draft.found("not imported", f"{header} {name}", reason)
    elif draft.secrets.setdefault(name, value) != value:
        draft.warn(f"{header} has a different {name}: a project has only one environment file, and the first is used")


def _take_variable(draft: Draft, header: str, table: str, name: str, value: str) -> None:
    reason = refusal(name)
    if unprintable(value):
        reason = f"its value contains a {unprintable(value)}"
    if reason:
        draft.found("not imported", f"{header} {name}", reason)
    else:
        draft.tables.setdefault(f"{table}.environment", {})[name] = value


def _take_path(draft: Draft, table: str, value: str) -> None:
    places = [Path(place) for place in value.split(":") if place.startswith("/")]
    virtualenvs = [place.parent for place in places if is_virtualenv(place.parent)]
    if virtualenvs:
        draft.put("project", "virtualenv", virtualenvs[0])
    # The bin directory of the virtualenv always comes first.
    virtualenvs += [path for path in [draft.path("virtualenv")] if path]
    others = [str(place) for place in places if place.parent not in virtualenvs]
    if not all(place in SYSTEM_PATH.split(":") for place in others):
        draft.tables.setdefault(f"{table}.environment", {})["PATH"] = ":".join(others)
