"""Find the processes of a worker that overlaps which have outlived their keeper: they finish their tasks, however long
they take, and no process manager knows of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from procman.accounts import user_id
from procman.agent.slots import KEEPER_LOCK, LOCK
from procman.host.file_locks import Holders, holder_of, lock_holders
from procman.host.process import started, stat_fields, users_of
from procman.install.state.manifest import Manifest
from procman.model import SLOTS, InstalledProgram
from procman.monitoring.checks.inputs import KeptWorker
from procman.monitoring.draining import OUTLIVED
from procman.monitoring.kept import PARENT, is_child, is_keeper

INIT = 1
SYSTEMD = b"systemd"


def outlived_by(manifest: Manifest, program: InstalledProgram, keeper: int | None) -> tuple[KeptWorker, ...]:
    """Return the processes of `program` that its process manager no longer knows, the earliest first.

    `keeper` is the main process that it reports. They hold the lock of a slot, as the kernel lists it, and belong to
    the program's user.
    """
    if not program.overlap_max:
        return ()
    holders = lock_holders()
    found = _outlived(manifest, program, keeper, holders) if holders else ()
    return tuple(sorted(found, key=lambda each: each.since))


def _outlived(
    manifest: Manifest, program: InstalledProgram, keeper: int | None, holders: Holders
) -> Iterator[KeptWorker]:
    inodes = {inode for _, _, inode in holders}
    user = _user(manifest, program)
    directories = manifest.directories.runs(program.name, len(SLOTS) - 1)
    for slot, directory in zip(SLOTS, directories, strict=True):
        pid = holder_of(directory / LOCK, holders) if _inode(directory / LOCK) in inodes else None
        if pid is None or pid == keeper or (keeper and is_child(pid, keeper)):
            continue
        if users_of(pid) == {user} and _is_unmanaged(manifest, pid):
            since = time.monotonic() - max(0.0, time.time() - (started(pid) or time.time()))
            yield KeptWorker(slot, pid, OUTLIVED, since, since, directory)


def outlived_keeper(manifest: Manifest, program: InstalledProgram, keeper: int | None) -> int | None:
    """Return the keeper of `program` whose process manager has died, while it holds its lock: only one that is frozen
    holds it for long, and then no other keeper starts a process.
    """
    pid = holder_of(manifest.directories.run(program.name) / KEEPER_LOCK, lock_holders())
    if pid is None or pid == keeper or users_of(pid) != {_user(manifest, program)}:
        return None
    parent = _parent(pid)
    return pid if is_keeper(manifest, pid) and parent is not None and _adopts(parent) else None


def _user(manifest: Manifest, program: InstalledProgram) -> int | None:
    return user_id(program.user) if program.user else manifest.directories.state.stat().st_uid


def _inode(path: Path) -> int | None:
    """Return the inode of a lock; most are free, which this shows at once."""
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def _is_unmanaged(manifest: Manifest, pid: int) -> bool:
    """Return whether the parent of process `pid` has died, or is a keeper whose own parent has."""
    parent = _parent(pid)
    if parent is None or _adopts(parent):
        return parent is not None
    above = _parent(parent) if is_keeper(manifest, parent) else None
    return above is not None and _adopts(above)


def _adopts(pid: int) -> bool:
    # A user's systemd adopts orphans, as process 1 does.
    return pid == INIT or _name(pid) == SYSTEMD


def _parent(pid: int) -> int | None:
    fields = stat_fields(pid)
    return int(fields[PARENT]) if fields else None


def _name(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().strip()
    except OSError:
        return b""
