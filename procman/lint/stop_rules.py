"""PM90x: the effect of a stop on running tasks and pool processes, and restarts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.host.unit_words import span_seconds
from procman.lint.inputs import YES, Finding, Part, Reader, finding
from procman.model import Kind, Level

LONG_ENOUGH_SECONDS = 300
"""A shorter timeout is a WARNING: procman does not know how long the tasks take."""

TOO_SHORT_SECONDS = 60

IGNORED_BY_POOL = ("int", "2")
"""The pool processes ignore INT (celery.concurrency.prefork, measured with 5.7): only the main process acts on it."""

GRACEFUL_SIGNALS = ("term", "15", *IGNORED_BY_POOL)
"""The signals on which a worker finishes its tasks; INT only if it is sent once."""

STOP_TIMES = {
    Reader.SUPERVISOR: ("stopwaitsecs", 10.0, "stopwaitsecs=600"),
    Reader.SYSTEMD: ("Service.TimeoutStopSec", 90.0, "TimeoutStopSec=630"),
}
"""By reader: the option, its default in seconds, and what to write."""


def group_is_signalled(part: Part) -> Iterator[Finding]:
    """Yield PM901: a stop signal to the whole group ends the pool processes and their running tasks."""
    found = part.find("stopasgroup")
    if part.reader is Reader.SUPERVISOR and found and _signals_group(part) and _ends_pool(part):
        why = (
            "a stop also signals the pool processes: they exit at once, and their running tasks are lost "
            "(WorkerLostError), whatever stopwaitsecs is"
        )
        remedy = "stopasgroup=false, with killasgroup=true for the processes that remain after stopwaitsecs"
        yield finding("PM901", Level.CRITICAL, part, found, "stopasgroup", why, remedy)


def _signals_group(part: Part) -> bool:
    if part.reader is Reader.SUPERVISOR:
        return part.value("stopasgroup") in YES
    return part.value("Service.KillMode", "control-group") == "control-group"


def _ends_pool(part: Part) -> bool:
    """Return whether the stop signal ends a process that runs tasks, if it reaches that."""
    return part.has_pool_processes and _stop_signal(part) not in IGNORED_BY_POOL


def _stop_signal(part: Part) -> str:
    option = "stopsignal" if part.reader is Reader.SUPERVISOR else "Service.KillSignal"
    return part.value(option, "term").removeprefix("sig")


def _is_stopped_at_once(part: Part) -> bool:
    """Return whether the stop is over as soon as a shell in front of Celery has exited, whatever Celery does then."""
    shell = part.started.shell
    if shell is None or shell.uses_exec or not shell.is_read:
        return False
    if part.reader is Reader.SYSTEMD:
        return part.value("Service.KillMode") in ("mixed", "process")
    # On INT a shell waits for the program that it runs, which has got the signal too (bash 5.2 and dash 0.5.12).
    return not _signals_group(part) or _stop_signal(part) not in IGNORED_BY_POOL


def stop_timeout_is_long_enough(part: Part) -> Iterator[Finding]:
    """Yield PM902."""
    if part.celery is not Kind.WORKER or part.command is None or _is_stopped_at_once(part):
        return
    if part.started.killed_by and _stop_signal(part) == "term":
        yield _kills(part)
        return
    option, default, remedy = STOP_TIMES[part.reader]
    # Of TimeoutStopSec= and TimeoutSec=, which sets it too, the last one counts.
    found = next((each for each in reversed(part.settings) if each.name in (option, "Service.TimeoutSec")), None)
    seconds = _stop_seconds(part, found.value) if found else default
    if seconds is None or seconds >= LONG_ENOUGH_SECONDS:
        return
    waits = f"{seconds:g} s" if found else f"{seconds:g} s by default"
    why = f"a stop or restart waits {waits}, then kills every task that still runs"
    level = Level.CRITICAL if seconds < TOO_SHORT_SECONDS else Level.WARNING
    yield finding("PM902", level, part, found, option, why, f"{remedy}, or as long as the longest task takes")


def _stop_seconds(part: Part, text: str) -> float | None:
    """Return how long a stop waits; None: without a limit, or unknown. 0 is no limit for systemd only."""
    if part.reader is Reader.SYSTEMD:
        return span_seconds(text) or None
    number = _number(text)
    return None if number is None else max(number, 0)


def _kills(part: Part) -> Finding:
    # su and runuser of util-linux pass TERM on, wait 2 seconds, and send KILL (su-common.c; measured with 2.38).
    why = (
        f"{part.started.killed_by} kills Celery 2 s after it got the stop signal, whatever the stop timeout is: every "
        "task that takes longer is lost"
    )
    user = "user=NAME" if part.reader is Reader.SUPERVISOR else "User=NAME"
    command = part.command.name if part.command else ""
    return finding("PM902", Level.CRITICAL, part, part.command, command, why, f"{user}, or setpriv(1), in its place")


def children_are_killed(part: Part) -> Iterator[Finding]:
    """Yield PM903."""
    if part.reader is not Reader.SUPERVISOR or not part.has_pool_processes or part.command is None:
        return
    if _is_stopped_at_once(part):
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
    """Yield PM905: a shell without exec receives the stop signal instead of Celery, or exits before it."""
    shell, command = part.started.shell, part.command
    if shell is None or command is None or shell.uses_exec:
        return
    if not shell.is_read:
        if not _signals_group(part):
            why = f"{shell.script} cannot be read here: if it does not use exec, a stop ends only the shell"
            remedy = "check that its last command begins with exec"
            yield finding("PM905", Level.WARNING, part, command, command.name, why, remedy)
        return
    if not _is_stopped_at_once(part):
        return
    what = str(shell.script) if shell.script else "the shell of the command"
    remedy = "begin the last command with exec"
    if shell.traps:
        why = (
            f"{what} runs Celery as its child and handles the stop signal itself (trap): unless it passes the signal "
            "on and waits for Celery, this one and the next run side by side, or its tasks are killed"
        )
        yield finding("PM905", Level.WARNING, part, command, command.name, why, f"{remedy}, and remove the trap")
        return
    why = f"{what} starts Celery without exec: {_consequence(part)}"
    option, _, timeout = STOP_TIMES[part.reader]
    also = "" if part.find(option) else f"; then also {timeout}, or as long as the longest task takes"
    yield finding("PM905", Level.CRITICAL, part, command, command.name, why, f"{remedy}{also}")


def _consequence(part: Part) -> str:
    only = "a stop signals only the shell"
    if part.value("Service.KillMode") == "mixed":
        return f"{only}, and once that is gone, Celery and its running tasks are killed"
    if _signals_group(part):
        return "a stop ends the shell at once, and the next start adds a second Celery while the first still stops"
    # A shell acts on INT only once its child has exited (measured with bash 5.2 and dash 0.5.12).
    if _stop_signal(part) in IGNORED_BY_POOL and part.value("killasgroup") in YES:
        return f"{only}, which waits for Celery: after stopwaitsecs both are killed, with all running tasks"
    return f"{only}, Celery keeps running as an orphan, and the next start adds a second one"


def kill_mode_is_mixed(part: Part) -> Iterator[Finding]:
    """Yield PM906: systemd's default KillMode signals every process of the unit, including the pool processes."""
    if part.reader is not Reader.SYSTEMD or part.celery is None or part.command is None:
        return
    mode, found = part.value("Service.KillMode", "control-group"), part.find("Service.KillMode")
    does_harm = {"control-group": _ends_pool(part), "process": part.has_pool_processes, "none": True}
    losses = {
        "control-group": "a stop also signals the pool processes: they exit at once, and their running tasks are lost",
        "process": "after a forced stop the pool processes keep running as orphans, outside the unit's control",
        "none": "a stop signals no process: all of them keep running as orphans",
    }
    if part.started.multi and "stopwait" in part.value("Service.ExecStop"):
        return
    if does_harm.get(mode):
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
        tries = _number(found.value) if found else 3
        if tries is not None and tries < 100:
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
    seconds = span_seconds(pause.value) if pause else 0.1
    # In [Service] systemd still accepts the name from before version 230.
    names = ("Unit.StartLimitIntervalSec", "Unit.StartLimitInterval", "Service.StartLimitInterval")
    limits = [each for each in map(part.find, names) if each]
    return (seconds or 0) < 2 and not any(each.value.strip() in ("0", "0s", "infinity") for each in limits)


def start_is_watched(part: Part) -> Iterator[Finding]:
    """Yield PM909: an app that fails during its import must not count as started."""
    if part.reader is not Reader.SUPERVISOR or part.celery is None or part.command is None:
        return
    found = part.find("startsecs")
    seconds = _number(found.value) if found else 1
    if seconds is not None and seconds < 10:
        why = f"the program counts as started after {seconds} s, before the app is imported: if that fails, it "
        why += "restarts for ever"
        yield finding("PM909", Level.WARNING, part, found, "startsecs", why, "startsecs=10, or longer than the import")


def _number(text: str) -> int | None:
    """Return a whole number as supervisord reads it; None for a variable, for example."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()) else None
