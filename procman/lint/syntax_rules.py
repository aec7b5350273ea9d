"""PM94x: what the reader of the file makes of it, other than its author meant."""

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

SUPERVISORS_PERCENT = re.compile(r"%(?!\([A-Za-z_]\w*\)[-#0 +]*\d*(?:\.\d+)?[sdfrx])")
SYSTEMDS_PERCENT = re.compile(r"%(?![%aAbBCdDEfgGhHiIjJlLmMnNopPqsStTuUvVwWyY])")
NODE_NAME = re.compile(r"(?:-n\s*|--hostname[= ])\S*?(?<!%)%([hn])")


def file_is_read(part: Part) -> Iterator[Finding]:
    """The reader takes the file at all: supervisord does not start with one that it cannot read."""
    if part.unreadable:
        why = f"supervisord cannot read it: {part.unreadable}"
        yield finding("PM940", Level.CRITICAL, part, None, "", why, "mend that line")


def option_is_known(part: Part) -> Iterator[Finding]:
    """supervisord ignores what it does not know."""
    if part.reader is not Reader.SUPERVISOR or not part.name.startswith(
        ("program:", "eventlistener:", "fcgi-program:")
    ):
        return
    known = [*FREE, *RESERVED, *OF_LISTENERS]
    for each in part.settings:
        if each.name not in known:
            close = nearest(each.name, known)
            remedy = f"did you mean {close}?" if close else "remove it"
            why = "supervisord knows no such option and ignores it silently"
            yield finding("PM941", Level.WARNING, part, each, each.name, why, remedy)


def percent_is_doubled(part: Part) -> Iterator[Finding]:
    """A single % begins something that the reader fills in."""
    if part.reader is Reader.SUPERVISOR:
        for each in part.settings:
            if part.name.startswith("program:") and SUPERVISORS_PERCENT.search(each.value.replace("%%", "")):
                why = "a single % stands for something to be filled in: supervisord does not start with this"
                yield finding("PM942", Level.CRITICAL, part, each, each.name, why, "write %% for every %")
        return
    for each in part.settings:
        if each.name.startswith("Service.") and SYSTEMDS_PERCENT.search(each.value.replace("%%", "")):
            why = "a single % begins a specifier that systemd does not know: it drops the whole line"
            yield finding("PM942", Level.CRITICAL, part, each, each.name, why, "write %% for every %")
        elif part.command is each and (found := NODE_NAME.search(each.value)):
            what = "the user's home directory" if found[1] == "h" else "the unit's name"
            why = f"%{found[1]} in the node name is {what} for systemd, not the host's name for Celery"
            yield finding("PM942", Level.WARNING, part, each, each.name, why, f"write %%{found[1]}")


def value_is_whole(part: Part) -> Iterator[Finding]:
    """supervisord cuts a value at a blank followed by ; or #, even inside quotes."""
    for each in part.settings if part.reader is Reader.SUPERVISOR else ():
        if each.name in ("command", "environment") and _is_cut(each.value):
            why = (
                "a quote in it is never closed: supervisord cuts a value at a blank followed by ; or #, even in quotes"
            )
            remedy = "write ; and # without a blank before them, or move the value into a start script"
            yield finding("PM943", Level.CRITICAL, part, each, each.name, why, remedy)


def _is_cut(value: str) -> bool:
    try:
        shlex.split(value)
    except ValueError:
        return True
    return False


def name_is_found(part: Part) -> Iterator[Finding]:
    """supervisorctl finds a program by its name alone only without a group."""
    if part.reader is not Reader.SUPERVISOR:
        return
    if part.name.startswith("group:") and part.celery:
        name = part.name.partition(":")[2]
        why = f"`supervisorctl restart` finds the programs of this group only as {name}:NAME, not by their names"
        at = part.find("programs")
        yield finding("PM944", Level.WARNING, part, at, "programs", why, "remove the group, or write group and name")
    number = part.find("numprocs")
    if part.celery and number and number.value.strip() not in ("", "1"):
        named = "process_num" in part.value("command") or "process_num" in part.value("environment")
        why = "the processes are called NAME:NAME_00 ..., and `supervisorctl restart NAME` finds none of them"
        level = Level.WARNING
        if not named and part.celery is Kind.WORKER:
            why = "all of them have the same node name: Celery's workers shut each other out of their mailbox"
            level = Level.CRITICAL
        if part.celery is Kind.BEAT:
            why, level = "several beats: every periodic task is sent as many times", Level.CRITICAL
        remedy = "one section for each, with a node name of its own (-n NAME@%%h)"
        yield finding("PM944", level, part, number, "numprocs", why, remedy)


def pid_file_is_left_out(part: Part) -> Iterator[Finding]:
    """A pid file that is left behind keeps a program from starting; a program that detaches is lost sight of."""
    if part.command is None or part.celery is None or part.started.multi:
        return
    words = part.started.words
    for at, word in enumerate(words):
        value = words[at + 1] if word == "--pidfile" and at + 1 < len(words) else word.partition("=")[2]
        if word.partition("=")[0] == "--pidfile" and value and value != "/dev/null":
            why = "after a crash the file stays, and when its number belongs to another process it never starts again"
            yield finding(
                "PM945", Level.WARNING, part, part.command, "--pidfile", why, "--pidfile= (and nothing behind)"
            )
        if word in ("-D", "--detach"):
            why = "it detaches: the manager sees its program end, and starts one more, and one more"
            yield finding("PM945", Level.CRITICAL, part, part.command, word, why, "leave it out")


def beat_is_apart(part: Part) -> Iterator[Finding]:
    """A beat inside a worker is a second beat as soon as there are two workers."""
    if part.started.command and part.started.command.with_beat:
        why = "a beat inside a worker (-B) dies and stops with it, and with a second worker every task is sent twice"
        remedy = "a program of its own: celery beat"
        yield finding("PM946", Level.WARNING, part, part.command, "-B", why, remedy)


def schedule_stays(part: Part) -> Iterator[Finding]:
    """A schedule that a boot removes makes beat forget when things last ran."""
    file = part.started.command.schedule_file if part.started.command else None
    if part.celery is Kind.BEAT and file and is_emptied_at_boot(Path(file)):
        why = f"{file} is gone after a boot: beat forgets when things last ran"
        yield finding("PM947", Level.WARNING, part, part.command, "-s", why, "-s /var/lib/PROJECT/celerybeat-schedule")


def multi_is_left_out(part: Part) -> Iterator[Finding]:
    """`celery multi` starts its workers and goes; nobody then knows of them."""
    if part.started.multi and part.command:
        why = (
            "celery multi ends with status 0 even if its workers die at once; the manager watches at best one of them, "
            "and their pid files are left behind by a crash"
        )
        remedy = "one program each, in the foreground: celery -A APP worker (Type=exec, KillMode=mixed under systemd)"
        yield finding("PM948", Level.WARNING, part, part.command, part.command.name, why, remedy)
