"""Convert the options of a program section of supervisord to keys of procman.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from procman.config.read_programs import DEFAULT_STOP_TIMEOUT_SECONDS
from procman.config.supervisor_options import FREE, RESERVED
from procman.init.importing.existing import Stop
from procman.init.importing.keys import key_problem, number_of, signal_name
from procman.model import Kind
from procman.secrets import masked

SUPERVISORS_STOP_SECONDS = 10
"""The default of supervisord's `stopwaitsecs`."""

SAFE_START_SECONDS = 10

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")
"""supervisor.datatypes.boolean."""

READ_ELSEWHERE = ("command", "directory", "user", "environment", "numprocs_start")
LOGS = ("redirect_stderr", "stdout_logfile", "stderr_logfile", "stderr_logfile_maxbytes", "stderr_logfile_backups")
HARMLESS = {
    "autorestart": TRUE,
    "killasgroup": TRUE,
    "numprocs": ("1",),
    "redirect_stderr": TRUE,
    "stderr_logfile_maxbytes": ("0",),
    "stopasgroup": FALSE,
    "process_name": ("%(program_name)s",),
}
"""Values that match what procman does."""

SIGNALS = {
    "INT": "procman sends TERM, on which Celery finishes its running tasks too",
    "QUIT": "QUIT ends Celery without its running tasks, from 5.5 on after worker_soft_shutdown_timeout; procman "
    "relies on TERM, on which Celery finishes them, and a worker hands back what takes too long (handback_seconds)",
    "KILL": "KILL loses the running tasks; procman relies on TERM, on which Celery finishes them",
}
"""What another stop signal did to Celery (measured with 5.7), and what procman does."""

LEFT_OUT = {
    "startsecs": "an app that fails during its import would count as started",
    "startretries": "procman retries for longer, so that the broker can recover",
    "exitcodes": "procman restarts it whatever its exit status",
    "stdout_logfile_maxbytes": "a log without a limit fills the disk",
    "process_name": "the program keeps its own name",
}
"""Options that are not imported, each with the reason."""


@dataclass(frozen=True)
class Left:
    """An option that is not imported, or with another value."""

    option: str
    what: str
    consequence: str
    changed: bool = False


@dataclass(frozen=True)
class Imported:
    """What the options of one program become."""

    values: Mapping[str, object]
    supervisor_options: Mapping[str, object]
    stop: Stop
    left: tuple[Left, ...]


def imported(options: Mapping[str, str], kind: Kind) -> Imported:
    """Return what the expanded `options` of a program of this `kind` become."""
    values: dict[str, object] = {}
    free: dict[str, object] = {}
    stop = stop_of(options)
    left = list(_stop_left(options, stop, kind))
    ready = {*READ_ELSEWHERE, *(each.option for each in left)}
    for option, value in options.items():
        if option in ready or option in LOGS or value.lower() in HARMLESS.get(option, ()):
            continue
        if option == "numprocs" and kind is Kind.BEAT:
            reason = "a second beat would send every task twice"
        else:
            reason = _take(option, value, values, free)
        if reason:
            left.append(Left(option, masked(f"{option} = {value}"), reason))
    return Imported(values, free, stop, tuple(left))


def logs_of(options: Mapping[str, str]) -> list[str]:
    """Return the options about logs that procman decides itself, by name."""
    return [name for name in LOGS if name in options and options[name].lower() not in HARMLESS.get(name, ())]


def stop_of(options: Mapping[str, str]) -> Stop:
    """Return how supervisord stops a program with these expanded `options`, its defaults included."""
    seconds = number_of(options.get("stopwaitsecs", ""))
    return Stop(
        signal_name(options.get("stopsignal", "TERM")),
        SUPERVISORS_STOP_SECONDS if seconds is None else seconds,
        "group" if _flag(options.get("stopasgroup", "")) else "main",
        _restarts(options.get("autorestart", "unexpected")),
    )


def _restarts(autorestart: str) -> str:
    if autorestart.lower() == "unexpected":
        return "on-failure"
    return "never" if _flag(autorestart) is False else "always"


def _stop_left(options: Mapping[str, str], stop: Stop, kind: Kind) -> Iterator[Left]:
    name = stop.signal or ""
    if name != "TERM":
        reason = SIGNALS.get(name, RESERVED["stopsignal"])
        yield Left("stopsignal", f"stopsignal = {options['stopsignal']}", reason, changed=True)
    if stop.reaches == "group":
        # Measured: the pool processes ignore INT, and end at once on TERM.
        harmless = "procman sends the stop signal to the main process only; the pool processes ignored INT anyway"
        reason = harmless if name == "INT" else RESERVED["stopasgroup"]
        yield Left("stopasgroup", f"stopasgroup = {options['stopasgroup']}", reason, changed=name == "INT")
    waits = DEFAULT_STOP_TIMEOUT_SECONDS["worker"]
    given = options.get("stopwaitsecs")
    if kind is Kind.WORKER and (given is None or given.isdecimal()) and (stop.seconds or 0) < waits:
        note = f"supervisord killed running tasks after {stop.seconds} s; procman waits {waits} s"
        yield Left("stopwaitsecs", "stopwaitsecs" + (f" = {given}" if given else ""), note, changed=True)


def _take(option: str, value: str, values: dict[str, object], free: dict[str, object]) -> str:
    """Put the option into `values` or `free`; return why it is not imported, empty if it is."""
    if option == "stopsignal":
        return ""
    if option in KEYS:
        key, convert = KEYS[option]
        converted = convert(value)
        if converted is None or key_problem(key, converted):
            return LEFT_OUT.get(option, f"{key} cannot have this value")
        values[key] = converted
        return ""
    if option in LEFT_OUT:
        return LEFT_OUT[option]
    if option in FREE:
        number = number_of(value)
        given: object = {"true": True, "false": False}.get(value.lower(), value) if number is None else number
        problem = FREE[option].problem(given, Path("/"))
        if not problem:
            free[option] = given
        return problem or ""
    return RESERVED.get(option, "unknown option, which supervisord ignores")


def _start_seconds(value: str) -> int | None:
    number = number_of(value)
    return number if number is not None and number >= SAFE_START_SECONDS else None


def _flag(value: str) -> bool | None:
    return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}.get(value.lower())


def _mib(value: str) -> int | None:
    found = re.fullmatch(r"([0-9]{1,18})\s*([kmg]b)?", value.lower())
    size = int(found[1]) * {"kb": 2**10, "mb": 2**20, "gb": 2**30}.get(found[2], 1) if found else 0
    return max(1, size // 2**20) if size else None


KEYS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "autostart": ("autostart", _flag),
    "numprocs": ("instances", number_of),
    "startsecs": ("start_seconds", _start_seconds),
    "stdout_logfile_backups": ("log_backups", number_of),
    "stdout_logfile_maxbytes": ("log_max_mib", _mib),
    "stopwaitsecs": ("stop_timeout_seconds", number_of),
    "umask": ("umask", str),
}
"""Options that have a key, with the conversion of their value; None: the value is not imported."""
