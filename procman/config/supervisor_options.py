"""Check the options of a supervisord program section, because supervisord ignores unknown ones silently."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from procman.config.document import Document, did_you_mean
from procman.config.value_types import FLAG, InvalidValue, Type, integer, matching
from procman.secrets import holds_password

_SIZE_PATTERN = r"[0-9]{1,9}([KkMmGg][Bb])?"
_EXIT_CODES_PATTERN = r"[0-9]{1,3}(,[0-9]{1,3})*"


def _read_number_or(text: Type, highest: int) -> Type:
    def read(value: object, base: Path) -> object:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= highest:
            return value
        if isinstance(value, int):
            raise InvalidValue
        return text.read(value, base)

    return Type(text.expected, {"anyOf": [{"type": "integer", "minimum": 0, "maximum": highest}, text.schema]}, read)


_SIZE = _read_number_or(matching('a number of bytes, or a size such as "1MB"', _SIZE_PATTERN), 10**9 - 1)
_EXIT_CODES = _read_number_or(matching('an exit status, or several such as "0,2"', _EXIT_CODES_PATTERN), 255)

FREE = {
    "exitcodes": _EXIT_CODES,
    "priority": integer(0, 999_999),
    "serverurl": matching(
        '"AUTO", or where supervisord listens, such as "unix:///run/supervisor.sock"', r"AUTO|(unix|http)://[^\s]+"
    ),
    "startretries": integer(0),
    "stderr_capture_maxbytes": _SIZE,
    "stderr_events_enabled": FLAG,
    "stderr_syslog": FLAG,
    "stdout_capture_maxbytes": _SIZE,
    "stdout_events_enabled": FLAG,
    "stdout_syslog": FLAG,
}
"""Options that procman.toml may set; they are passed on unchanged."""

RESERVED = {
    "autorestart": "a worker that exits must be restarted, whatever its exit status",
    "autostart": "use the key autostart",
    "command": "procman writes it",
    "directory": "use the key directory in [project]",
    "environment": "the start script sets the environment: use [environment]",
    "killasgroup": "without it, a killed worker leaves its pool processes behind",
    "numprocs": "it renames the program: use the key instances",
    "numprocs_start": "use the key instances",
    "process_name": "it renames the program",
    "redirect_stderr": "Celery logs to stderr, and procman keeps a single log file",
    "startsecs": "use the key start_seconds",
    "stderr_logfile": "root opens the log, so it must be in a directory that belongs to root",
    "stderr_logfile_backups": "use the key log_backups",
    "stderr_logfile_maxbytes": "use the key log_max_mib",
    "stdout_logfile": "root opens the log, so it must be in a directory that belongs to root",
    "stdout_logfile_backups": "use the key log_backups",
    "stdout_logfile_maxbytes": "use the key log_max_mib",
    "stopasgroup": "a stop signal to the pool processes kills the tasks that they run",
    "stopsignal": "procman relies on TERM, on which Celery finishes its running tasks",
    "stopwaitsecs": "use the key stop_timeout_seconds",
    "umask": "use the key umask",
    "user": "use the key user in [project]",
}
"""Options that procman needs for its promises or that have their own key, each with the reason or the alternative."""

FREE_OF_COMMANDS = FREE | {"stopasgroup": FLAG}
"""The same for a command, which may be a script that passes no signal on."""

_OF_COMMANDS = {
    "autorestart": "a program that exits must be restarted, whatever its exit status",
    "directory": "use the key directory",
    "environment": "the start script sets the environment: use [command.NAME.environment]",
    "killasgroup": "without it, a killed program leaves its child processes behind",
    "redirect_stderr": "use the key stderr",
    "stderr_logfile": "use the key stderr",
    "stdout_logfile": "use the key stdout",
    "stopsignal": "use the key stop_signal",
    "user": "use the key user",
}

RESERVED_OF_COMMANDS = {name: why for name, why in (RESERVED | _OF_COMMANDS).items() if name not in FREE_OF_COMMANDS}
"""The options that a command cannot set: Celery is no reason for them."""


def read_options(document: Document, value: object, where: str, *, is_command: bool = False) -> dict[str, str]:
    """Return the options of the table `where` as supervisord reads them, and note problems in `document`."""
    return document.read_entries(
        value,
        where,
        _problem_of_command if is_command else _problem,
        lambda given: str(given).lower() if isinstance(given, bool) else str(given),
    )


def _problem_of_command(name: str, value: object) -> str | None:
    return _problem(name, value, FREE_OF_COMMANDS, RESERVED_OF_COMMANDS)


def _problem(
    name: str, value: object, free: Mapping[str, Type] = FREE, reserved: Mapping[str, str] = RESERVED
) -> str | None:
    if name in reserved:
        return f"cannot be set: {reserved[name]}"
    if name not in free:
        return f"unknown option, which supervisord would ignore silently{did_you_mean(name, free)}"
    if isinstance(value, str) and holds_password(value):
        return "it contains a password, and other users can read the files that procman writes"
    return free[name].problem(value, Path("/"))
