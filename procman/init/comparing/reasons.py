"""Why a program of procman differs from the existing program that it replaces; no reason means that it should not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

from procman.celery_cli.canonical import long_name
from procman.celery_cli.parse import VARIABLES
from procman.celery_cli.write import FORBIDDEN
from procman.config.read_environment import refusal
from procman.host.temporary import is_emptied_at_boot
from procman.init.comparing.behaviour import LIMITS, Behaviour
from procman.init.importing.existing import Existing
from procman.model import BackendName, Kind
from procman.project import Worker
from procman.sources import INIT_D, PROCFILE, SUPERVISOR, SYSTEMD
from procman.subprocesses import SYSTEM_PATH

_MANAGERS = {SUPERVISOR: "supervisord", SYSTEMD: "systemd", INIT_D: "its init script", PROCFILE: "honcho"}


class Pair(NamedTuple):
    """A program before and after."""

    existing: Existing
    kind: Kind
    old: Behaviour
    new: Behaviour
    backend: BackendName
    set_by_files: AbstractSet[str]
    """The variables that the existing program does not inherit."""
    own_settings: str | None = None
    """The module that the app names itself, if DJANGO_SETTINGS_MODULE is not set."""

    @property
    def manager(self) -> str:
        """What runs the existing program, for a sentence."""
        scheme = self.existing.source.scheme if self.existing.source else ""
        return _MANAGERS.get(scheme, "what runs it")


Reason = Callable[[Pair, str | None, str | None], str]
"""Returns why the first value became the second; empty: no reason is known."""


# The fields ----------------------------------------------------------------------------------------------------------


def _directory(pair: Pair, old: str | None, _: str | None) -> str:
    return "" if old else f"its files set none, so it was that of {pair.manager}; procman starts it in the project's"


def _user(_: Pair, old: str | None, __: str | None) -> str:
    if old is None:
        return "its files name no user, and procman does not run Celery as root"
    return "procman does not run Celery as root" if old == "root" else ""


def _restarts(_: Pair, old: str | None, __: str | None) -> str:
    if old is None:
        return "what runs the old program decides that; procman starts it again whenever it exits"
    after = {"never": "it stayed down after it exited", "on-failure": "it stayed down after an exit with status 0"}
    return f"{after[old]}, as at a remote shutdown; procman starts it again" if old in after else ""


def _signal(_: Pair, old: str | None, __: str | None) -> str:
    if old == "INT":
        return "Celery finishes its running tasks on either"
    return f"{old} does not let running tasks finish" if old else "TERM stops Celery gracefully"


def _timeout(pair: Pair, old: str | None, new: str | None) -> str:
    before, after = (int(each.split()[0]) if each else None for each in (old, new))
    if before is None or after is None:
        return "its files set no timeout; procman kills a program that takes longer to stop"
    if pair.kind is Kind.BEAT:
        return "beat ends at once: it has no tasks to wait for"
    return f"{pair.manager} killed running tasks after {before} s" if before < after else ""


def _reaches(pair: Pair, old: str | None, _: str | None) -> str:
    if pair.kind is Kind.BEAT and old == "group":
        return "beat needs it only in its main process"
    return {
        "group": "the signal reached the pool processes too, and ended their tasks",
        "shell": "the signal reached only the shell, and Celery kept running",
        None: "only the main process may get it, so that the pool processes finish their tasks",
    }.get(old, "")


def _sandbox(_: Pair, __: str | None, ___: str | None) -> str:
    return 'tasks may write only to writable_paths: add those that are missing, or set sandbox = "off" under [systemd]'


_OF_FIELDS: Mapping[str, Reason] = {
    "directory": _directory,
    "user": _user,
    "virtualenv": lambda _, old, __: "" if old else "the imported files name none",
    "restarts": _restarts,
    "stop signal": _signal,
    "stop timeout": _timeout,
    "stop reaches": _reaches,
    "sandbox": _sandbox,
}


def reason_of_field(pair: Pair, name: str, old: str | None, new: str | None) -> str:
    """Return why a field of `Behaviour` differs, whose name has blanks; empty if that is not known."""
    known = _OF_FIELDS.get(name)
    return known(pair, old, new) if known else ""


# The options of Celery -----------------------------------------------------------------------------------------------

_ADDED = {
    "--loglevel": "procman's default, which logs every task; Celery's is warning",
    "--hostname": "each program gets a node name of its own, so that no two have the same",
    "--schedule": "procman keeps it in the project's data directory: copy the old file there to keep its times",
}
"""Options that procman sets for a program that had none."""


def reason_of_option(pair: Pair, name: str, old: str | None, new: str | None) -> str:
    """Return why an option of Celery, by its long name, differs; empty if that is not known."""
    if old is None:
        return "" if name == "--loglevel" and new != Worker.loglevel else _ADDED.get(name, "")
    if name == "--hostname" and new and int(str(pair.existing.values.get("instances", 1))) > 1:
        return "procman numbers the instances before the @"
    if name == "--schedule" and is_emptied_at_boot(Path(pair.old.directory or "/") / old):
        return "a boot empties its directory, and the times of the last runs would be lost"
    if new:
        return ""
    variable = _VARIABLES_OF_OPTIONS.get(name)
    if variable:
        return f"moved to {variable}, because every user can read it" if _moved(pair, variable, old) else ""
    return _DROPPED.get(name, "")


_VARIABLES_OF_OPTIONS = {long_name(name, Kind.WORKER): variable for name, variable in VARIABLES.items()}

_DROPPED = {
    **{long_name(name, Kind.WORKER): why for name, why in FORBIDDEN.items()},
    **dict.fromkeys(("--no-color", "--quiet"), "the log is not a terminal"),
}
"""Options that procman does not take over, each with the reason."""


def _moved(pair: Pair, variable: str, value: str) -> bool:
    return pair.new.environment.get(variable) == value


def reason_of_limit(pair: Pair, name: str, _: str | None, new: str | None) -> str:
    """Return that the other process manager has no such limit or option; empty if it has."""
    lost = (
        pair.existing.systemd_directives if pair.backend is BackendName.SUPERVISOR else pair.existing.supervisor_options
    )
    is_limit = name in LIMITS and pair.backend is BackendName.SUPERVISOR
    return f"only {pair.manager} has it" if new is None and (name in lost or is_limit) else ""


# The variables -------------------------------------------------------------------------------------------------------


_GAMES = ("/usr/local/games", "/usr/games")
"""What a login of Debian adds to PATH."""


def _path(pair: Pair, old: str | None, new: str | None) -> str:
    own = f"{pair.new.virtualenv}/bin"
    first, *others = _entries(new)
    before = [entry for entry in _entries(old) if entry != own]
    known = {*_entries(SYSTEM_PATH), *_GAMES}
    if first != own or not (others == before or set(before) <= known >= set(others)):
        return ""
    return "the virtualenv's bin comes first, as its activate script does"


def _python_path(pair: Pair, old: str | None, new: str | None) -> str:
    first, *others = _entries(new)
    before = [entry for entry in _entries(old) if _absolute(pair, entry) != first]
    return "the project's directory comes first" if [_absolute(pair, each) for each in before] == others else ""


def _absolute(pair: Pair, entry: str) -> str:
    return str(Path(pair.old.directory or "/") / entry)


def _entries(value: str | None) -> list[str]:
    return [entry.rstrip("/") or "/" for entry in (value or "").split(":") if entry]


def _virtualenv(pair: Pair, _: str | None, new: str | None) -> str:
    return "as the virtualenv's activate script does" if new == pair.new.virtualenv else ""


def _settings(pair: Pair, old: str | None, new: str | None) -> str:
    return "the app's own default" if old is None and new == pair.own_settings else ""


def _added(why: str) -> Reason:
    return lambda _, old, __: why if old is None else ""


def _passed_on(name: str, why: str) -> Reason:
    """Return the reason for a variable that the existing program only inherited, if it had it at all."""
    return lambda pair, _, __: why if name not in pair.set_by_files else ""


def _dropped(why: str) -> Reason:
    return lambda _, __, new: why if new is None else ""


_OF_VARIABLES: Mapping[str, Reason] = {
    "PATH": _path,
    "PYTHONPATH": _python_path,
    "VIRTUAL_ENV": _virtualenv,
    "LANG": _passed_on("LANG", "procman sets it, so that text is UTF-8"),
    "PYTHONUNBUFFERED": _added("procman sets it, so that the log is complete"),
    "DJANGO_SETTINGS_MODULE": _settings,
    "PYTHONHOME": _dropped("the virtualenv's activate script unsets it"),
    **{name: _passed_on(name, "procman sets it for the program's user") for name in ("HOME", "USER", "LOGNAME")},
}


_OF_COMMAND_LINES = re.compile(r"CELERYD_[A-Z_]+|CELERYBEAT_[A-Z_]+|CELERY_(BIN|APP|CREATE_DIRS|CREATE_RUNDIR)")
"""Variables of Celery's own examples for systemd and init.d, which become words of the command line."""

_OF_MANAGERS = re.compile(
    r"(SUPERVISOR|HONCHO|NOTIFY|LISTEN|WATCHDOG|MEMORY_PRESSURE)_.+|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID"
    r"|(RUNTIME|STATE|CACHE|LOGS|CONFIGURATION)_DIRECTORY"
)
_OF_LOGINS = re.compile(r"XDG_(SESSION_[A-Z]+|RUNTIME_DIR|SEAT|VTNR)|DBUS_SESSION_BUS_ADDRESS")
"""Variables of pam_systemd(8), which `su` and `runuser` of an init script begin a session with."""
_OF_SHELLS = {"_", "COLUMNS", "LINES", "MAIL", "OLDPWD", "PS1", "PWD", "SHELL", "SHLVL", "TERM", "VIRTUAL_ENV_PROMPT"}


def reason_of_variable(pair: Pair, name: str, old: str | None, new: str | None) -> str:
    """Return why a variable differs; empty if that is not known."""
    known = _OF_VARIABLES.get(name)
    if known:
        return known(pair, old, new)
    if old is None:
        options = {option for option, variable in _VARIABLES_OF_OPTIONS.items() if variable == name}
        moved = any(pair.old.options.get(option) == new for option in options)
        return "moved from the command line, which every user can read" if moved else ""
    if new is not None:
        return ""
    if _OF_COMMAND_LINES.fullmatch(name):
        return "only the old command line used it"
    inherited = "" if name in pair.set_by_files else _of_inherited(pair, name, old)
    return inherited or refusal(name) or ""


def _of_inherited(pair: Pair, name: str, value: str) -> str:
    """Return the reason for a variable that the files do not set, and that the new program does not inherit."""
    is_honchos = name == "PORT" and pair.existing.source is not None and pair.existing.source.scheme == PROCFILE
    if is_honchos or _OF_MANAGERS.fullmatch(name):
        return "what runs the program sets its own"
    if name in _OF_SHELLS:
        return "a shell had set it"
    if _OF_LOGINS.fullmatch(name):
        return "a login session had set it, as `su` begins one"
    if name == "LC_CTYPE" and value == pair.new.environment.get("LANG"):
        return "LANG has the same effect"
    # It has loaded the app, and starts its nodes with the option --executable.
    is_of_multi = name == "TZ" and "--executable" in pair.old.options
    return "Django sets it when it is loaded, as in the new program" if is_of_multi else ""
