"""Look at files and directories with the eyes of the user that the programs run as, and answer with a line of JSON.

    VIRTUALENV/bin/python - ignored JSON

JSON is an object: "paths" are looked at; "commands" are pairs of a command and the PATH to look it up in; "schedule" is
beat's schedule file, or null; "set_aside" renames its files if it cannot be read, so that beat begins a new one.
Nothing is ever deleted, and nothing of the schedule is unpickled: a pickle runs code.

It needs no package of the project. The answer is the last line of stdout that begins with MARKER.
"""

import dbm
import importlib
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

FORMAT = 1
MARKER = "procman-probe:"
SUFFIXES = ("", ".db", ".dat", ".dir", ".bak")
"""What the kinds of dbm make of one name: GNU's and SQLite's the name itself, ndbm .db, dumb the other three."""

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside its file while it is open."""

TORN_SECONDS = 0.5
"""A beat that writes at this moment is given so long to finish."""


def answer(asked: Dict[str, Any]) -> Dict[str, Any]:
    """Return what was asked for."""
    schedule = asked.get("schedule")
    aside = []  # type: List[List[str]]
    if schedule and asked.get("set_aside") and look_at_schedule(schedule)["problem"]:
        aside = set_aside(schedule)
    return {
        "format": FORMAT,
        "python": ".".join(map(str, sys.version_info[:3])),
        "paths": {path: look(path) for path in asked.get("paths", ())},
        "commands": [shutil.which(command, path=path) for command, path in asked.get("commands", ())],
        "schedule": look_at_schedule(schedule) if schedule else None,
        "set_aside": aside,
    }


def look(path: str) -> Dict[str, Any]:
    """Return what this user can tell of a path, and of the nearest directory that exists where it does not."""
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
    """Say whether the path is on a file system that is gone after a boot."""
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
    """Return the files that exist of the schedule called `path`."""
    return [path + suffix for suffix in SUFFIXES + BESIDE if os.path.lexists(path + suffix)]


def look_at_schedule(path: str) -> Dict[str, Any]:
    """Return whose the files of the schedule are, and whether beat can read them.

    Where it "opens" in spite of its problem, beat finds out only while it reads the entries, which ends older Celerys.
    """
    files = schedule_files(path)
    problem, opens = schedule_problem(path)
    if problem:
        # Copied while beat wrote to it? Then the next copy is whole.
        time.sleep(TORN_SECONDS)
        problem, opens = schedule_problem(path)
    return {"files": {file: look(file) for file in files}, "problem": problem, "opens": opens}


def schedule_problem(path: str) -> Tuple[Optional[str], bool]:
    """Return why the schedule cannot be read, None if it can, is not there yet, or is not for this user to read; and
    whether it can be opened.

    It is read from a copy: opened in its place it could be locked by beat, or be made anew.
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
        return "it is no file of a schedule", False
    try:
        store = importlib.import_module(kind).open(path, "r")
        names = list(store.keys())
    except ImportError:
        return "it was written by %s, which this Python does not have" % kind, False
    except Exception as error:
        return "%s: %s" % (type(error).__name__, str(error)[:200]), False
    try:
        for name in names:
            # Unlike loads() it runs nothing.
            list(pickletools.genops(store[name]))
    except Exception as error:
        return "%s: %s" % (type(error).__name__, str(error)[:200]), True
    finally:
        store.close()
    return None, True


def set_aside(path: str) -> List[List[str]]:
    """Rename every file of the schedule to a name that is free; return pairs of the old and the new name."""
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
