"""PM403: check that beat can write its schedule, whichever kind of dbm writes it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from procman.agent.verdict import TICKING
from procman.host.permissions import Account, account_of
from procman.model import Kind, Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

SUFFIXES = ("", ".db", ".dat", ".dir", ".bak")
"""Files that each kind of dbm makes of one name: dbm.gnu and dbm.sqlite3 the name itself, ndbm .db, dumb the others."""

IN_A_FILE = "celery.beat:PersistentScheduler"


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether only beat can write its schedule. The schedule is a pickle, which runs code when it is read."""
    for snapshot in running.programs:
        account = account_of(snapshot.program.user) if snapshot.program.kind is Kind.BEAT else None
        if account is None:
            continue
        scheduler = snapshot.says.get("scheduler") or IN_A_FILE
        if scheduler != IN_A_FILE:
            yield Result("PM403", snapshot.program.name, Level.OK, f"its scheduler needs no schedule file: {scheduler}")
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
        return Level.CRITICAL, f"the directory of its schedule is missing: {path.parent}", hint
    except OSError:
        return Level.OK, "this user cannot see its schedule", ""
    if is_read_only:
        detail = f"the directory of its schedule is on a read-only file system: {path.parent}"
        return Level.CRITICAL, detail, f"findmnt -T {path.parent}; dmesg"
    foreign = [file for file, status in found.items() if not account.may_write(status)]
    if foreign:
        listed = " ".join(map(str, foreign))
        # Beat's user may have put a link there, which root must not follow.
        hint = f"chown -h {account.name} {listed}"
        return Level.CRITICAL, f"{account.name} cannot write its schedule: {listed}", hint
    if not account.may_write(directory):
        # dbm.gnu and ndbm write in place.
        needs_directory = not found or any(file.suffix == ".dat" for file in found)
        level = Level.CRITICAL if needs_directory else Level.WARNING
        detail = f"{account.name} cannot write to the directory of its schedule: {path.parent}"
        return level, detail, f"ls -ld {path.parent}"
    return _judge_others(path, snapshot, account, found, directory)


def _judge_others(
    path: Path, snapshot: ProgramSnapshot, account: Account, found: dict[Path, os.stat_result], parent: os.stat_result
) -> tuple[Level, str, str]:
    exposed = [str(file) for file, status in {**found, path.parent: parent}.items() if _is_writable_by_all(status)]
    if exposed:
        listed = " ".join(exposed)
        detail = f"every user can write to {listed}, and so run code as {account.name}"
        return Level.WARNING, detail, f"chmod o-w {listed}"
    if not found and snapshot.is_up and snapshot.says.get("phase") == TICKING:
        detail = f"its schedule file is missing, so it loses the times of the last runs: {path}"
        return Level.WARNING, detail, f"procman restart {snapshot.program.name}"
    return Level.OK, "", ""


def _is_writable_by_all(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX


def _files(path: Path) -> dict[Path, os.stat_result]:
    found = {}
    for suffix in SUFFIXES:
        file = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            found[file] = file.lstat()
    return found
