"""PM90x: what a stop does to running tasks, and to pool processes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.lint.inputs import Finding, Part, Reader, finding
from procman.model import Kind, Level

LONG_ENOUGH_SECONDS = 300
"""Less is told of; no more than a hint, for only its owner knows how long the tasks take."""

TOO_SHORT_SECONDS = 60

YES = ("true", "yes", "on", "1")

WARM_SIGNALS = ("term", "15", "int", "2")
"""On which a worker finishes its tasks; on INT too, when it comes once."""

STOP_TIMES = {
    Reader.SUPERVISOR: ("stopwaitsecs", 10.0, "stopwaitsecs=600"),
    Reader.SYSTEMD: ("Service.TimeoutStopSec", 90.0, "TimeoutStopSec=630"),
}
"""By reader: the option, what counts where it is missing, and what to write."""


def group_is_signalled(part: Part) -> Iterator[Finding]:
    """A stop signal to the whole group kills the pool processes with the tasks they run."""
    found = part.find("stopasgroup")
    if part.reader is Reader.SUPERVISOR and part.celery is Kind.WORKER and found and part.value("stopasgroup") in YES:
        why = (
            "a stop sends the signal to the pool processes as well: they end at once, and the tasks they run are lost "
            "(WorkerLostError), whatever stopwaitsecs says"
        )
        remedy = "stopasgroup=false, with killasgroup=true for what is left after stopwaitsecs"
        yield finding("PM901", Level.CRITICAL, part, found, "stopasgroup", why, remedy)


def stop_timeout_is_long_enough(part: Part) -> Iterator[Finding]:
    """A stop that waits too little kills what still runs."""
    if part.celery is not Kind.WORKER or part.command is None:
        return
    option, default, remedy = STOP_TIMES[part.reader]
    found = part.find(option) or part.find("Service.TimeoutSec")
    seconds = _seconds(found.value) if found else default
    if seconds is None or seconds >= LONG_ENOUGH_SECONDS:
        return
    said = f"{seconds:g} s" if found else f"{seconds:g} s, as nothing is said"
    why = f"a stop or restart waits {said}: every task that takes longer is killed and lost"
    level = Level.CRITICAL if seconds < TOO_SHORT_SECONDS else Level.WARNING
    yield finding("PM902", level, part, found, option, why, f"{remedy}, or as long as the longest task takes")


def children_are_killed(part: Part) -> Iterator[Finding]:
    """A worker that is killed leaves its pool processes behind."""
    if part.reader is not Reader.SUPERVISOR or part.celery is not Kind.WORKER or part.command is None:
        return
    as_group = part.value("stopasgroup") in YES
    if part.value("killasgroup", "true" if as_group else "false") not in YES:
        why = "after stopwaitsecs the worker alone is killed: its pool processes live on as orphans and go on working"
        yield finding("PM903", Level.WARNING, part, part.find("killasgroup"), "killasgroup", why, "killasgroup=true")


def signal_is_warm(part: Part) -> Iterator[Finding]:
    """Celery finishes its tasks on TERM, and on nothing else."""
    option = "stopsignal" if part.reader is Reader.SUPERVISOR else "Service.KillSignal"
    found = part.find(option)
    if part.celery is None or found is None:
        return
    if found.value.strip().lower().removeprefix("sig") not in WARM_SIGNALS:
        why = f"on {found.value} a worker does not finish its tasks: they are lost or run again"
        name = option.rpartition(".")[2]
        yield finding("PM904", Level.CRITICAL, part, found, option, why, f"{name}=TERM, or leave it out")


def shell_makes_way(part: Part) -> Iterator[Finding]:
    """A shell without exec gets the stop signal, and Celery does not."""
    mode = part.value("Service.KillMode", "control-group")
    reaches_celery = part.reader is Reader.SYSTEMD and mode == "control-group"
    shell = part.started.shell
    if shell is None or shell.uses_exec or part.command is None or reaches_celery:
        return
    if shell.script and not shell.is_read:
        why = f"{shell.script} cannot be read here: without exec in it a stop ends the shell alone"
        remedy = "look into it: its last command is to begin with exec"
        yield finding("PM905", Level.WARNING, part, part.command, part.command.name, why, remedy)
        return
    what = str(shell.script) if shell.script else "the shell of the command"
    why = f"{what} starts Celery without exec: a stop reaches the shell alone, "
    if mode != "mixed":
        why += "Celery goes on as an orphan, and the next start runs a second one beside it"
    else:
        why += "and Celery is killed with the tasks that it runs when the shell has ended"
    remedy = "begin the last command with exec"
    yield finding("PM905", Level.CRITICAL, part, part.command, part.command.name, why, remedy)


def kill_mode_is_mixed(part: Part) -> Iterator[Finding]:
    """systemd's default signals every process of the unit, pool processes too."""
    if part.reader is not Reader.SYSTEMD or part.celery is None or part.command is None:
        return
    mode, found = part.value("Service.KillMode", "control-group"), part.find("Service.KillMode")
    losses = {
        "control-group": "a stop signals the pool processes as well: they end at once, and the tasks they run are lost",
        "process": "after a stop the pool processes stay as orphans, outside of the unit's control",
        "none": "a stop ends nothing: every process stays as an orphan",
    }
    if part.started.multi and "stopwait" in part.value("Service.ExecStop"):
        return
    if mode in losses and (part.celery is Kind.WORKER or mode != "control-group"):
        default = "" if found else " (it is the default)"
        why = f"KillMode={mode}{default}: {losses[mode]}"
        yield finding("PM906", Level.CRITICAL, part, found, "Service.KillMode", why, "KillMode=mixed")


def comes_back(part: Part) -> Iterator[Finding]:
    """A worker that ends by itself, with status 0 too, must come back."""
    if part.celery is None or part.command is None:
        return
    if part.reader is Reader.SUPERVISOR:
        option, value, desired = "autorestart", part.value("autorestart", "unexpected"), "true"
    else:
        option, value, desired = "Service.Restart", part.value("Service.Restart", "no"), "always"
    if value == desired or (part.reader is Reader.SUPERVISOR and value in YES):
        return
    name = option.rpartition(".")[2]
    why = f"{name}={value}: Celery ends with status 0 when it is told to over the broker, and then stays down"
    if value in ("no", "false"):
        why = f"{name}={value}: whatever ends it, nothing starts it again"
    yield finding("PM907", Level.WARNING, part, part.find(option), option, why, f"{name}={desired}")


def is_not_given_up(part: Part) -> Iterator[Finding]:
    """A database that is away for a minute must not end a worker for good."""
    if part.celery is None or part.command is None:
        return
    if part.reader is Reader.SUPERVISOR:
        found = part.find("startretries")
        tries = int(found.value) if found and found.value.isdecimal() else 3
        if tries < 100:
            why = (
                f"after {tries} failed starts it is FATAL for good: a database that is away for some seconds is enough"
            )
            yield finding("PM908", Level.WARNING, part, found, "startretries", why, "startretries=1000000")
        return
    misplaced = [each for each in part.settings if each.name == "Service.StartLimitIntervalSec"]
    for each in misplaced:
        name = each.name.rpartition(".")[2]
        why = f"{name} belongs into [Unit]; systemd ignores it in [Service]"
        yield finding("PM908", Level.WARNING, part, each, each.name, why, f"[Unit] {name}={each.value}")
    if part.value("Service.Restart", "no") != "no" and _gives_up(part) and not misplaced:
        why = "after 5 failed starts within 10 s systemd gives up for good, and a broken start takes less than 2 s each"
        at = part.find("Service.RestartSec")
        yield finding(
            "PM908", Level.WARNING, part, at, "Service.RestartSec", why, "RestartSec=5, StartLimitIntervalSec=0"
        )


def _gives_up(part: Part) -> bool:
    pause = part.find("Service.RestartSec")
    seconds = _seconds(pause.value) if pause else 0.1
    # In [Service] systemd still takes the name that it had before version 230.
    names = ("Unit.StartLimitIntervalSec", "Unit.StartLimitInterval", "Service.StartLimitInterval")
    limits = [each for each in map(part.find, names) if each]
    return (seconds or 0) < 2 and not any(each.value.strip() in ("0", "0s", "infinity") for each in limits)


def start_is_watched(part: Part) -> Iterator[Finding]:
    """An app that fails while it is imported must not count as started."""
    if part.reader is not Reader.SUPERVISOR or part.celery is None or part.command is None:
        return
    found = part.find("startsecs")
    seconds = int(found.value) if found and found.value.isdecimal() else 1
    if seconds < 10:
        why = (
            f"it counts as started after {seconds} s, before the app is imported: one that is broken restarts for ever"
        )
        yield finding("PM909", Level.WARNING, part, found, "startsecs", why, "startsecs=10, or longer than the import")


SPANS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "ms": 0.001, "d": 86400.0}


def _seconds(text: str) -> float | None:
    """The seconds of a time span; None for infinity and what is not understood."""
    text = text.strip().lower()
    parts = re.findall(r"([0-9.]+)\s*([a-z]*)", text)
    if not re.fullmatch(r"([0-9.]+\s*[a-z]*\s*)+", text) or any(unit not in SPANS for _, unit in parts):
        return None
    total = sum(float(number) * SPANS[unit] for number, unit in parts)
    return total or None
