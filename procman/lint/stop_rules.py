"""PM90x: the effect of a stop on running tasks and pool processes, and restarts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.lint.inputs import Finding, Part, Reader, finding
from procman.model import Kind, Level

LONG_ENOUGH_SECONDS = 300
"""A shorter timeout is a WARNING: procman does not know how long the tasks take."""

TOO_SHORT_SECONDS = 60

YES = ("true", "yes", "on", "1")

GRACEFUL_SIGNALS = ("term", "15", "int", "2")
"""The signals on which a worker finishes its tasks; INT only if it is sent once."""

STOP_TIMES = {
    Reader.SUPERVISOR: ("stopwaitsecs", 10.0, "stopwaitsecs=600"),
    Reader.SYSTEMD: ("Service.TimeoutStopSec", 90.0, "TimeoutStopSec=630"),
}
"""By reader: the option, its default in seconds, and what to write."""


def group_is_signalled(part: Part) -> Iterator[Finding]:
    """Yield PM901: a stop signal to the whole group ends the pool processes and their running tasks."""
    found = part.find("stopasgroup")
    if part.reader is Reader.SUPERVISOR and part.celery is Kind.WORKER and found and part.value("stopasgroup") in YES:
        why = (
            "a stop also signals the pool processes: they exit at once, and their running tasks are lost "
            "(WorkerLostError), whatever stopwaitsecs is"
        )
        remedy = "stopasgroup=false, with killasgroup=true for the processes that remain after stopwaitsecs"
        yield finding("PM901", Level.CRITICAL, part, found, "stopasgroup", why, remedy)


def stop_timeout_is_long_enough(part: Part) -> Iterator[Finding]:
    """Yield PM902."""
    if part.celery is not Kind.WORKER or part.command is None:
        return
    option, default, remedy = STOP_TIMES[part.reader]
    found = part.find(option) or part.find("Service.TimeoutSec")
    seconds = _seconds(found.value) if found else default
    if seconds is None or seconds >= LONG_ENOUGH_SECONDS:
        return
    waits = f"{seconds:g} s" if found else f"{seconds:g} s by default"
    why = f"a stop or restart waits {waits}, then kills every task that still runs"
    level = Level.CRITICAL if seconds < TOO_SHORT_SECONDS else Level.WARNING
    yield finding("PM902", level, part, found, option, why, f"{remedy}, or as long as the longest task takes")


def children_are_killed(part: Part) -> Iterator[Finding]:
    """Yield PM903."""
    if part.reader is not Reader.SUPERVISOR or part.celery is not Kind.WORKER or part.command is None:
        return
    as_group = part.value("stopasgroup") in YES
    if part.value("killasgroup", "true" if as_group else "false") not in YES:
        why = "after stopwaitsecs only the main process is killed: the pool processes keep running as orphans"
        yield finding("PM903", Level.WARNING, part, part.find("killasgroup"), "killasgroup", why, "killasgroup=true")


def stop_signal_is_graceful(part: Part) -> Iterator[Finding]:
    """Yield PM904: Celery finishes its tasks on TERM, and on a single INT."""
    option = "stopsignal" if part.reader is Reader.SUPERVISOR else "Service.KillSignal"
    found = part.find(option)
    if part.celery is None or found is None:
        return
    if found.value.strip().lower().removeprefix("sig") not in GRACEFUL_SIGNALS:
        why = f"on {found.value} a worker does not finish its tasks: they are lost or run again"
        name = option.rpartition(".")[2]
        yield finding("PM904", Level.CRITICAL, part, found, option, why, f"{name}=TERM, or remove the line")


def stop_signal_reaches_celery(part: Part) -> Iterator[Finding]:
    """Yield PM905: a shell without exec receives the stop signal instead of Celery."""
    mode = part.value("Service.KillMode", "control-group")
    reaches_celery = part.reader is Reader.SYSTEMD and mode == "control-group"
    shell = part.started.shell
    if shell is None or shell.uses_exec or part.command is None or reaches_celery:
        return
    if shell.script and not shell.is_read:
        why = f"{shell.script} cannot be read here: if it does not use exec, a stop ends only the shell"
        remedy = "check that its last command begins with exec"
        yield finding("PM905", Level.WARNING, part, part.command, part.command.name, why, remedy)
        return
    what = str(shell.script) if shell.script else "the shell of the command"
    why = f"{what} starts Celery without exec: a stop signals only the shell, "
    if mode != "mixed":
        why += "Celery keeps running as an orphan, and the next start adds a second one"
    else:
        why += "and once the shell has exited, Celery and its running tasks are killed"
    remedy = "begin the last command with exec"
    yield finding("PM905", Level.CRITICAL, part, part.command, part.command.name, why, remedy)


def kill_mode_is_mixed(part: Part) -> Iterator[Finding]:
    """Yield PM906: systemd's default KillMode signals every process of the unit, including the pool processes."""
    if part.reader is not Reader.SYSTEMD or part.celery is None or part.command is None:
        return
    mode, found = part.value("Service.KillMode", "control-group"), part.find("Service.KillMode")
    losses = {
        "control-group": "a stop also signals the pool processes: they exit at once, and their running tasks are lost",
        "process": "after a forced stop the pool processes keep running as orphans, outside the unit's control",
        "none": "a stop signals no process: all of them keep running as orphans",
    }
    if part.started.multi and "stopwait" in part.value("Service.ExecStop"):
        return
    if mode in losses and (part.celery is Kind.WORKER or mode != "control-group"):
        default = "" if found else " (the default)"
        why = f"KillMode={mode}{default}: {losses[mode]}"
        yield finding("PM906", Level.CRITICAL, part, found, "Service.KillMode", why, "KillMode=mixed")


def is_restarted(part: Part) -> Iterator[Finding]:
    """Yield PM907: a program must be restarted whatever its exit status."""
    if part.celery is None or part.command is None:
        return
    if part.reader is Reader.SUPERVISOR:
        option, value, desired = "autorestart", part.value("autorestart", "unexpected"), "true"
    else:
        option, value, desired = "Service.Restart", part.value("Service.Restart", "no"), "always"
    if value == desired or (part.reader is Reader.SUPERVISOR and value in YES):
        return
    name = option.rpartition(".")[2]
    why = f"{name}={value}: after a shutdown through the broker, Celery exits with status 0 and is not restarted"
    if value in ("no", "false"):
        why = f"{name}={value}: the program is never restarted, however it exits"
    yield finding("PM907", Level.WARNING, part, part.find(option), option, why, f"{name}={desired}")


def is_not_given_up(part: Part) -> Iterator[Finding]:
    """Yield PM908: a database that is down for a minute must not stop a worker for good."""
    if part.celery is None or part.command is None:
        return
    if part.reader is Reader.SUPERVISOR:
        found = part.find("startretries")
        tries = int(found.value) if found and found.value.isdecimal() else 3
        if tries < 100:
            why = f"after {tries} failed starts the program stays FATAL; a database that is down for seconds is enough"
            yield finding("PM908", Level.WARNING, part, found, "startretries", why, "startretries=1000000")
        return
    misplaced = [each for each in part.settings if each.name == "Service.StartLimitIntervalSec"]
    for each in misplaced:
        name = each.name.rpartition(".")[2]
        why = f"{name} belongs in [Unit]; systemd ignores it in [Service]"
        yield finding("PM908", Level.WARNING, part, each, each.name, why, f"[Unit] {name}={each.value}")
    if part.value("Service.Restart", "no") != "no" and _gives_up(part) and not misplaced:
        why = "after 5 failed starts within 10 s systemd gives up, and a failing start takes less than 2 s"
        at = part.find("Service.RestartSec")
        yield finding(
            "PM908", Level.WARNING, part, at, "Service.RestartSec", why, "RestartSec=5, StartLimitIntervalSec=0"
        )


def _gives_up(part: Part) -> bool:
    pause = part.find("Service.RestartSec")
    seconds = _seconds(pause.value) if pause else 0.1
    # In [Service] systemd still accepts the name from before version 230.
    names = ("Unit.StartLimitIntervalSec", "Unit.StartLimitInterval", "Service.StartLimitInterval")
    limits = [each for each in map(part.find, names) if each]
    return (seconds or 0) < 2 and not any(each.value.strip() in ("0", "0s", "infinity") for each in limits)


def start_is_watched(part: Part) -> Iterator[Finding]:
    """Yield PM909: an app that fails during its import must not count as started."""
    if part.reader is not Reader.SUPERVISOR or part.celery is None or part.command is None:
        return
    found = part.find("startsecs")
    seconds = int(found.value) if found and found.value.isdecimal() else 1
    if seconds < 10:
        why = f"the program counts as started after {seconds} s, before the app is imported: if that fails, it "
        why += "restarts for ever"
        yield finding("PM909", Level.WARNING, part, found, "startsecs", why, "startsecs=10, or longer than the import")


SPANS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "ms": 0.001, "d": 86400.0}


def _seconds(text: str) -> float | None:
    """Return the seconds of a time span; None for infinity and invalid spans."""
    text = text.strip().lower()
    parts = re.findall(r"([0-9.]+)\s*([a-z]*)", text)
    rest = re.sub(r"[0-9.]+\s*[a-z]*\s*", "", text)
    if rest or any(unit not in SPANS for _, unit in parts):
        return None
    total = sum(float(number) * SPANS[unit] for number, unit in parts)
    return total or None
