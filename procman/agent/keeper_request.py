"""Order an overlap restart from a running keeper, and wait for its end; systemd runs this as ExecReload=.

    VIRTUALENV/bin/python -I -S -B keeper_request.py

The exit status is 0 if the successor consumes, else 1, with the reason on stderr. MAINPID is the keeper.
"""

import json
import os
import signal
import sys
from time import monotonic, sleep
from typing import Any, Dict

STATE = "keeper.json"
"""As in slots.py; no other file is needed here."""
MOST_BYTES = 65536
BEGUN, DONE = "begun", "done"
PATIENCE_SECONDS = 600.0
"""systemd ends this earlier (TimeoutStartSec=)."""
PAUSE_SECONDS = 0.1
PROBE, PROBE_BYTES = "probe.reload", 4096
"""Not the file of the keeper, which may write its own at the same time."""


def read_state(directory: str, pid: int) -> Dict[str, Any]:
    """Return what the keeper `pid` last wrote about its overlaps; empty if it has written nothing."""
    try:
        with open(os.path.join(directory, STATE), "rb") as file:
            state = json.loads(file.read(MOST_BYTES).decode("utf-8"))
        return dict(state["overlap"]) if state["pid"] == pid else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def write_problem(directory: str) -> str:
    """Return why the keeper could not report the end of an overlap, nor its successor its health; empty if they can."""
    path = os.path.join(directory, PROBE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b" " * PROBE_BYTES)
        finally:
            os.close(descriptor)
            os.unlink(path)
    except OSError as error:
        return "not ordered: cannot write to {}: {}".format(directory, error.strerror)
    return ""


def request(directory: str, pid: int) -> str:
    """Order an overlap and wait for its end; return why it failed, or nothing."""
    problem = write_problem(directory)
    if problem:
        return problem
    before = read_state(directory, pid)
    if not before:
        return "process {} is not a keeper that has started; restart the program instead".format(pid)
    os.kill(pid, signal.SIGHUP)
    deadline = monotonic() + PATIENCE_SECONDS
    while monotonic() < deadline:
        state = read_state(directory, pid)
        if state.get("number", 0) > before["number"] and state["outcome"] != BEGUN:
            return "" if state["outcome"] == DONE else "{}: {}".format(state["outcome"], state["reason"])
        if not _exists(pid):
            return "the keeper has exited"
        sleep(PAUSE_SECONDS)
    return "no answer within {:g} s".format(PATIENCE_SECONDS)


def _exists(pid: int) -> bool:
    """Return whether a process exists; in the sandbox, /proc may not show the keeper (ProtectProc=, PrivateUsers=)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def main() -> int:
    """Order an overlap of MAINPID; return the exit status."""
    # A stop of the unit in the middle ends this first; dying of the signal would make that stop a failure of the unit.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        problem = request(os.environ["PROCMAN_RUN_DIRECTORY"], int(os.environ["MAINPID"]))
    except (OSError, LookupError, ValueError) as error:
        problem = repr(error)
    if problem:
        print("overlap restart {}".format(problem), file=sys.stderr, flush=True)
    return int(bool(problem))


if __name__ == "__main__":
    sys.exit(main())
