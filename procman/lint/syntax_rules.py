"""PM94x: lines that the process manager reads differently from what their author meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from procman.config.supervisor_options import FREE, RESERVED
from procman.host.temporary import is_emptied_at_boot
from procman.lint.inputs import Finding, Part, Reader, finding
from procman.model import Kind, Level
from procman.suggest import nearest

OF_LISTENERS = ("buffer_size", "events", "result_handler", "socket", "socket_backlog", "socket_mode", "socket_owner")

NO_MISTAKE = {"group": "remove the line: a program gets the groups of its user"}
"""Options that supervisord lacks and people expect, with what to do."""

SUPERVISORS_PERCENT = re.compile(r"%(?!\([A-Za-z_]\w*\)[-#0 +]*\d*(?:\.\d+)?[sdfrx])")
SYSTEMDS_PERCENT = re.compile(r"%(?![%aAbBCdDEfgGhHiIjJlLmMnNopPqsStTuUvVwWyY])")
NODE_NAME = re.compile(r"(?:-n\s{0,20}|--hostname[= ])\S{0,300}?(?<!%)%([hn])")


def file_is_read(part: Part) -> Iterator[Finding]:
    """Yield PM940: supervisord does not start with a file that it cannot read."""
    if part.unreadable:
        why = f"supervisord cannot read the file and would not start: {part.unreadable}"
        yield finding("PM940", Level.CRITICAL, part, None, "", why, "correct that line")


def option_is_known(part: Part) -> Iterator[Finding]:
    """Yield PM941."""
    if part.reader is not Reader.SUPERVISOR or not part.name.startswith(
        ("program:", "eventlistener:", "fcgi-program:")
    ):
        return
    known = [*FREE, *RESERVED, *OF_LISTENERS]
    for each in part.settings:
        if each.name not in known:
            close = None if each.name in NO_MISTAKE else nearest(each.name, known)
            remedy = NO_MISTAKE.get(each.name) or (f"did you mean {close}?" if close else "remove the line")
            why = "supervisord does not know this option and silently ignores it"
            yield finding("PM941", Level.WARNING, part, each, each.name, why, remedy)


def percent_is_doubled(part: Part) -> Iterator[Finding]:
    """Yield PM942: a single % begins an expansion or a specifier."""
    if part.reader is Reader.SUPERVISOR:
        for each in part.settings:
            if part.name.startswith("program:") and SUPERVISORS_PERCENT.search(each.value.replace("%%", "")):
                why = "a single % begins an expansion, and this one is invalid: supervisord would not start"
                yield finding("PM942", Level.CRITICAL, part, each, each.name, why, "write %% for every %")
        return
    for each in part.settings:
        if each.name.startswith("Service.") and SYSTEMDS_PERCENT.search(each.value.replace("%%", "")):
            why = "a single % begins a specifier, and systemd does not know this one: it ignores the whole line"
            yield finding("PM942", Level.CRITICAL, part, each, each.name, why, "write %% for every %")
        elif part.command == each and (found := NODE_NAME.search(each.value)):
            what = "the user's home directory" if found[1] == "h" else "the unit's name"
            why = f"systemd replaces %{found[1]} in the node name with {what}; Celery should get %{found[1]} itself"
            yield finding("PM942", Level.WARNING, part, each, each.name, why, f"write %%{found[1]}")


def value_is_whole(part: Part) -> Iterator[Finding]:
    """Yield PM943: supervisord cuts a value at a blank followed by ; or #, even inside quotes."""
    for each in part.settings if part.reader is Reader.SUPERVISOR else ():
        if each.name in ("command", "environment") and _is_cut(each.value):
            why = "a quote is never closed: supervisord cuts a value at a blank followed by ; or #, even inside quotes"
            remedy = "remove the blank before ; or #, or move the value to a start script"
            yield finding("PM943", Level.CRITICAL, part, each, each.name, why, remedy)


def _is_cut(value: str) -> bool:
    try:
        shlex.split(value)
    except ValueError:
        return True
    return False


def name_is_found(part: Part) -> Iterator[Finding]:
    """Yield PM944: supervisorctl finds a program by its name alone only if it is in no group."""
    if part.reader is not Reader.SUPERVISOR:
        return
    if part.is_group and part.celery:
        name = part.name.partition(":")[2]
        why = f"`supervisorctl restart` finds the programs of this group only as {name}:NAME, not as NAME"
        at = part.find("programs")
        yield finding("PM944", Level.WARNING, part, at, "programs", why, f"remove the group, or type {name}:NAME")
    number = part.find("numprocs")
    if part.celery and number and number.value.strip() not in ("", "1"):
        named = "process_num" in part.value("command") or "process_num" in part.value("environment")
        why = "the processes are named NAME:NAME_00 and so on, and `supervisorctl restart NAME` finds none of them"
        level = Level.WARNING
        if not named and part.celery is Kind.WORKER:
            why = "all processes have the same node name: Celery's workers lock each other out of their mailbox"
            level = Level.CRITICAL
        if part.celery is Kind.BEAT:
            why, level = "several beats run, and each sends every periodic task", Level.CRITICAL
        remedy = "write one section for each process, with its own node name (-n NAME@%%h)"
        yield finding("PM944", level, part, number, "numprocs", why, remedy)


def pid_file_is_left_out(part: Part) -> Iterator[Finding]:
    """Yield PM945: a stale pid file can prevent every start, and a detached program is no longer supervised."""
    if part.command is None or part.celery is None or part.started.multi:
        return
    words = part.started.words
    for at, word in enumerate(words):
        value = words[at + 1] if word == "--pidfile" and at + 1 < len(words) else word.partition("=")[2]
        if word.partition("=")[0] == "--pidfile" and value and value != "/dev/null":
            why = "the pid file remains after a crash; if another process gets that pid, the program never starts again"
            yield finding("PM945", Level.WARNING, part, part.command, "--pidfile", why, "--pidfile= (without a value)")
        if word in ("-D", "--detach"):
            why = "the program detaches: the process manager sees it exit and starts another one, again and again"
            yield finding("PM945", Level.CRITICAL, part, part.command, word, why, f"remove {word}")


def beat_is_apart(part: Part) -> Iterator[Finding]:
    """Yield PM946."""
    if part.started.command and part.started.command.with_beat:
        why = "beat inside a worker (-B) stops with it, and with a second worker every periodic task is sent twice"
        remedy = "run celery beat as a program of its own"
        yield finding("PM946", Level.WARNING, part, part.command, "-B", why, remedy)


def schedule_stays(part: Part) -> Iterator[Finding]:
    """Yield PM947."""
    file = part.started.command.schedule_file if part.started.command else None
    if part.celery is Kind.BEAT and file and is_emptied_at_boot(Path(file)):
        why = f"{file} does not survive a reboot: beat then forgets when its tasks last ran"
        yield finding("PM947", Level.WARNING, part, part.command, "-s", why, "-s /var/lib/PROJECT/celerybeat-schedule")


def multi_is_left_out(part: Part) -> Iterator[Finding]:
    """Yield PM948: `celery multi` starts its workers and exits, and they are not supervised."""
    if part.started.multi and part.command:
        why = (
            "celery multi exits with status 0 even if its workers die at once; the process manager supervises at most "
            "one of them, and a crash leaves their pid files behind"
        )
        remedy = "run each worker as a foreground program: celery -A APP worker (systemd: Type=exec, KillMode=mixed)"
        yield finding("PM948", Level.WARNING, part, part.command, part.command.name, why, remedy)
