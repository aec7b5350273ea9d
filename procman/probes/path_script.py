"""Examine files and directories as the programs' user, and answer with one line of JSON.

    VIRTUALENV/bin/python - ignored JSON

JSON is an object: "paths" are the paths to examine; "below" are the directories whose entries are examined too;
"commands" are pairs of a command and the PATH to look it up in; "subcommands" are those of celery to find; "schedule"
is beat's schedule file, or null; "set_aside" renames its files if they cannot be read, so that beat starts a new
schedule. Nothing is deleted, and the schedule is never unpickled, because a pickle runs code.

This needs no package of the project. The answer is the last line of stdout that begins with MARKER.
"""

import dbm
import importlib
import itertools
import json
import os
import pickletools
import pwd
import shutil
import stat
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional, Tuple

if __name__ == "procman.probes.path_script":
    # As a probe, this text comes after it.
    from procman.probes.celery_plugins_script import has_subcommand

FORMAT = 1
MARKER = "procman-probe:"
SUFFIXES = ("", ".db", ".dat", ".dir", ".bak")
"""The suffixes that the kinds of dbm add to a name: GNU's and SQLite's none, ndbm .db, dumb the other three."""

BESIDE = ("-wal", "-shm", "-journal")
"""The suffixes of the files that SQLite keeps beside an open file."""

NEVER_FOR_TASKS = ("lost+found", ".snapshot", ".snapshots", ".zfs")
"""Directories that a file system keeps for itself."""

MOST_ENTRIES = 10000
"""How many entries of a directory are looked at."""

MOST_NAMES = 100
"""How many names of each kind are returned."""

TORN_SECONDS = 0.5
"""How long a beat that is writing at this moment may take to finish."""


def answer(asked: Dict[str, Any]) -> Dict[str, Any]:
    """Return the answer to the object `asked`."""
    schedule = asked.get("schedule")
    aside = []  # type: List[List[str]]
    if schedule and asked.get("set_aside") and look_at_schedule(schedule)["problem"]:
        aside = set_aside(schedule)
    return {
        "format": FORMAT,
        "python": ".".join(map(str, sys.version_info[:3])),
        "paths": {path: look(path) for path in asked.get("paths", ())},
        "below": {path: look_below(path) for path in asked.get("below", ())},
        "commands": [shutil.which(command, path=path) for command, path in asked.get("commands", ())],
        "unknown": [name for name in asked.get("subcommands", ()) if not has_subcommand(name)],
        "schedule": look_at_schedule(schedule) if schedule else None,
        "set_aside": aside,
    }


def look(path: str) -> Dict[str, Any]:
    """Return what this user can see of a path, or of the nearest existing directory above it."""
    try:
        found = os.stat(path)  # type: Optional[os.stat_result]
        problem = ""
    except OSError as error:
        found, problem = None, error.strerror or ""
    above = os.path.dirname(path)
    while above != "/" and not os.path.isdir(above):
        above = os.path.dirname(above)
    return {
        "exists": found is not None,
        "problem": problem,
        "is_directory": bool(found and stat.S_ISDIR(found.st_mode)),
        "owner": _user_name(found.st_uid) if found else "",
        "mode": stat.S_IMODE(found.st_mode) if found else 0,
        "readable": os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)),
        "writable": os.access(path, os.W_OK | (os.X_OK if os.path.isdir(path) else 0)),
        "above_writable": os.access(above, os.W_OK | os.X_OK),
        "free_bytes": _free_bytes(path if found else above),
        "in_memory": _is_in_memory(path if found else above),
    }


def look_below(path: str) -> Dict[str, Any]:
    """Return the number of directories directly below `path`, those that this user cannot write to, and its files.

    In a shared directory such as /tmp (sticky bit) every user has directories of its own, so none is judged; nor is
    the target of a link, which may be read-only on purpose.
    """
    count, closed, files = 0, [], []  # type: Tuple[int, List[Tuple[str, str]], List[str]]
    try:
        is_shared = os.stat(path).st_mode & stat.S_ISVTX
        with os.scandir(path) as entries:
            for entry in () if is_shared else itertools.islice(entries, MOST_ENTRIES):
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                    files.append(_shown(entry.name))
                elif stat.S_ISDIR(found.st_mode) and entry.name not in NEVER_FOR_TASKS:
                    count += 1
                    if not os.access(entry.path, os.W_OK | os.X_OK):
                        closed.append((_shown(entry.name), _user_name(found.st_uid)))
    except OSError:
        pass  # `look` reports a path that cannot be read
    return {"directories": count, "unwritable": sorted(closed)[:MOST_NAMES], "files": sorted(files)[:MOST_NAMES]}


def _shown(name: str) -> str:
    # A name need not be UTF-8, which the answer has to be.
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _free_bytes(path: str) -> Optional[int]:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize if found.f_blocks else None


def _is_in_memory(path: str) -> bool:
    """Return whether the path is on a file system that does not survive a reboot."""
    path, best, kind = os.path.realpath(path), "", ""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            entries = [line.split(" ") for line in mounts]
    except OSError:
        return False
    for entry in entries:
        place = entry[1].encode("ascii", "replace").decode("unicode_escape")
        if (path + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
            best, kind = place, entry[2]
    return kind in ("tmpfs", "ramfs")


# Beat's schedule -----------------------------------------------------------------------------------------------------


def schedule_files(path: str) -> List[str]:
    """Return the existing files of the schedule `path`."""
    return [path + suffix for suffix in SUFFIXES + BESIDE if os.path.lexists(path + suffix)]


def look_at_schedule(path: str) -> Dict[str, Any]:
    """Return the owner and mode of each file of the schedule, and whether beat can read them.

    If it "opens" in spite of a problem, beat fails only while it reads the entries, and an older Celery exits.
    """
    files = schedule_files(path)
    problem, opens = schedule_problem(path)
    if problem:
        # If it was copied while beat was writing, the next copy is complete.
        time.sleep(TORN_SECONDS)
        problem, opens = schedule_problem(path)
    return {"files": {file: look(file) for file in files}, "problem": problem, "opens": opens}


def schedule_problem(path: str) -> Tuple[Optional[str], bool]:
    """Return why the schedule cannot be read, and whether it can be opened.

    The problem is None if it can be read, does not exist yet, or this user may not read it. A copy is read: the
    original could be locked by beat, and opening it could create it again.
    """
    files = [file for file in schedule_files(path) if os.path.isfile(file)]
    if not files or not all(os.access(file, os.R_OK) for file in files):
        return None, False
    with tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, os.path.basename(path))
        try:
            for file in files:
                shutil.copyfile(file, copy + file[len(path) :])
        except OSError as error:
            return (None if isinstance(error, FileNotFoundError) else str(error.strerror or error)), False
        return _read(copy)


def _read(path: str) -> Tuple[Optional[str], bool]:
    kind = dbm.whichdb(path)
    if not kind:
        return "not a schedule file", False
    try:
        store = importlib.import_module(kind).open(path, "r")
        names = list(store.keys())
    except ImportError:
        return "written by %s, which this Python does not have" % kind, False
    except Exception as error:
        return "%s: %s" % (type(error).__name__, str(error)[:200]), False
    try:
        for name in names:
            # Unlike loads(), this runs no code.
            list(pickletools.genops(store[name]))
    except Exception as error:
        return "%s: %s" % (type(error).__name__, str(error)[:200]), True
    finally:
        store.close()
    return None, True


def set_aside(path: str) -> List[List[str]]:
    """Rename every file of the schedule to a free name; return pairs of the old and the new name."""
    files = schedule_files(path)
    number = 1
    while any(os.path.lexists("%s.corrupt-%d%s" % (path, number, file[len(path) :])) for file in files):
        number += 1
    renamed = []
    for file in files:
        target = "%s.corrupt-%d%s" % (path, number, file[len(path) :])
        os.rename(file, target)
        renamed.append([file, target])
    return renamed


def main() -> None:
    found = answer(json.loads(sys.argv[2]))
    sys.stdout.write("\n%s%s\n" % (MARKER, json.dumps(found)))


if __name__ == "__main__":
    main()
