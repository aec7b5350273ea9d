"""PM403: whether beat can keep its schedule, whichever kind of dbm writes it."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from procman.accounts import account
from procman.agent.verdict import TICKING
from procman.model import Kind, Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

SUFFIXES = ("", ".db", ".dat", ".dir", ".bak")
"""What the kinds of dbm make of one name: GNU's and SQLite's the name itself, ndbm .db, dumb the other three."""

IN_A_FILE = "celery.beat:PersistentScheduler"


@dataclass(frozen=True)
class Account:
    """Whose rights are judged."""

    name: str
    user: int
    groups: frozenset[int]

    def may_write(self, status: os.stat_result) -> bool:
        """Say whether the mode of a file or directory lets this user write; access control lists are not looked at."""
        if self.user == 0:
            return True
        if status.st_uid == self.user:
            return bool(status.st_mode & stat.S_IWUSR)
        return bool(status.st_mode & (stat.S_IWGRP if status.st_gid in self.groups else stat.S_IWOTH))


def account_of(user: str | None) -> Account | None:
    """Return whose rights a program has; None where there is no such user."""
    entry = account(user)
    if entry is None:
        return None
    groups = {entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem)}
    return Account(entry.pw_name, entry.pw_uid, frozenset(groups))


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether beat can write its schedule, and nobody else: it is a pickle, which runs code when it is read."""
    for snapshot in running.programs:
        account = account_of(snapshot.program.user) if snapshot.program.kind is Kind.BEAT else None
        if account is None:
            continue
        scheduler = snapshot.says.get("scheduler") or IN_A_FILE
        if scheduler != IN_A_FILE:
            yield Result("PM403", snapshot.program.name, Level.OK, f"its scheduler keeps no file: {scheduler}")
            continue
        for path in running.manifest.schedule_files:
            level, detail, hint = _judge(path, snapshot, account)
            yield Result("PM403", snapshot.program.name, level, detail, hint)


def _judge(path: Path, snapshot: ProgramSnapshot, account: Account) -> tuple[Level, str, str]:
    try:
        directory = path.parent.stat()
        found = _files(path)
        is_read_only = bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except FileNotFoundError:
        hint = f"install -d -o {account.name} {path.parent}"
        return Level.CRITICAL, f"{path.parent}, for its schedule, is missing", hint
    except OSError:
        return Level.OK, "not for this user to see", ""
    if is_read_only:
        detail = f"{path.parent}, for its schedule, is on a disk that is mounted read-only"
        return Level.CRITICAL, detail, "findmnt; dmesg"
    foreign = [file for file, status in found.items() if not account.may_write(status)]
    if foreign:
        listed = " ".join(map(str, foreign))
        return Level.CRITICAL, f"{account.name} cannot write its schedule {listed}", f"chown {account.name} {listed}"
    if not account.may_write(directory):
        # GNU's dbm and ndbm write in place.
        needs_directory = not found or any(file.suffix == ".dat" for file in found)
        level = Level.CRITICAL if needs_directory else Level.WARNING
        return level, f"{account.name} cannot write in {path.parent}, where its schedule is", f"ls -ld {path.parent}"
    return _judge_others(path, snapshot, account, found, directory)


def _judge_others(
    path: Path, snapshot: ProgramSnapshot, account: Account, found: dict[Path, os.stat_result], parent: os.stat_result
) -> tuple[Level, str, str]:
    exposed = [str(file) for file, status in {**found, path.parent: parent}.items() if _for_everybody(status)]
    if exposed:
        listed = " ".join(exposed)
        detail = f"everybody can write {listed}, and so run code as {account.name}"
        return Level.WARNING, detail, f"chmod o-w {listed}"
    if not found and snapshot.is_up and snapshot.says.get("phase") == TICKING:
        detail = f"its schedule {path} is gone: it forgets when things last ran"
        return Level.WARNING, detail, f"procman restart {snapshot.program.name}"
    return Level.OK, "", ""


def _for_everybody(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX


def _files(path: Path) -> dict[Path, os.stat_result]:
    found = {}
    for suffix in SUFFIXES:
        file = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            found[file] = file.lstat()
    return found
