"""The slots of a worker that overlaps: one for each process of it that may run at the same time.

Each slot has a run directory of its own, with the lock that the launcher holds there, the heartbeat and the record of
tasks. The first is the program's own; the others are beside it, like those of programs called `crop-b` and `crop-c`.
"""

import fcntl
import os
from typing import List

from . import run_files

SLOTS = "abcdef"
"""Their names, in the order in which they are used."""
LOCK = "lock"
KEEPER_LOCK = "keeper.lock"
"""The file in the program's run directory whose lock the keeper holds that may start processes."""
DRAINING = "draining"
"""The file in a slot's run directory by which a worker knows that TERM asks it to drain, however long that takes."""
STOP = "stop"
"""The file there by which `procman stop` sets a time limit for a worker that has outlived its keeper."""
KEEPER = "keeper.py"
KEEPER_PID = "PROCMAN_KEEPER_PID"
"""The variable that a keeper sets for its workers."""
PROBE, PROBE_BYTES = "probe", 4096
"""A file as large as a heartbeat, which is written to find out whether one could be."""
STATE = "keeper.json"
"""The file in the program's run directory in which the keeper describes its processes."""


def names(most_draining: int) -> List[str]:
    """Return the slots of a worker of which so many processes may drain at the same time."""
    return list(SLOTS[: most_draining + 1])


def directory_of(run_directory: str, slot: str) -> str:
    """Return the run directory of a slot."""
    return run_directory if slot == SLOTS[0] else "{}-{}".format(run_directory, slot)


def node_name(name: str, slot: str) -> str:
    """Return the node name in a slot: `crop-b@%h` for `crop@%h` in slot b."""
    own, at, host = name.partition("@")
    return name if slot == SLOTS[0] else "{}-{}{}{}".format(own, slot, at, host)


def is_to_drain(run_directory: str) -> bool:
    """Return whether TERM asks the worker with this run directory to drain.

    So does the death of its keeper: no SIGKILL follows, and another keeper uses the free slots. `procman stop` kills it
    at the stop timeout.
    """
    keeper = os.environ.get(KEEPER_PID)
    if not keeper or os.path.lexists(os.path.join(run_directory, STOP)):
        # The mark is one that an earlier keeper has left: without a keeper, SIGKILL does follow.
        return False
    return os.path.lexists(os.path.join(run_directory, DRAINING)) or str(os.getppid()) != keeper


def is_free(directory: str) -> bool:
    """Return whether no process holds the lock in the run directory `directory`.

    The caller must not hold it: it would lose it here. Raises OSError if it could not take it, whoever holds it: the
    directory is missing, for example, or on a read-only file system.
    """
    try:
        return can_lock(os.path.join(directory, LOCK))
    except FileNotFoundError:
        os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return True


def can_lock(path: str) -> bool:
    """Return whether no other process holds the lock of the file at `path`; raises OSError if it cannot be opened."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def require_writable(directory: str) -> None:
    """Raise OSError if no heartbeat can be written to the run directory `directory`: it may be full, or read-only."""
    path = os.path.join(directory, PROBE)
    run_files.replace(path, " " * PROBE_BYTES)
    os.unlink(path)
