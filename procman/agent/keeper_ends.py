"""How the processes of a keeper have ended, as far as no order ended them: only the keeper learns it."""

import json
import os
from time import time
from typing import Any, Dict, List

from . import run_files
from .keeper_worker import CONSUMING, DRAINING, STARTING, STOPPING, Worker
from .process_end import EXIT_STATUS, killed_by

KEPT = 20
MOST_BYTES = 65536


class Ends:
    """The last ones, also those that earlier keepers have noted in the state at `path`."""

    def __init__(self, path: str) -> None:
        self.noted = _noted(path)

    def note(self, worker: Worker, status: int, *, is_successor: bool, is_last: bool) -> None:
        """Note that `worker` has ended with `status`, as of os.waitpid, unless an order ended it.

        `is_last`: no other process is left, and so the keeper ends too.
        """
        if not _is_unexpected(worker, status, is_successor=is_successor):
            return
        end = {
            "pid": worker.pid,
            "started": worker.started_wall,
            "at": time(),
            "how": described(status),
            "is_forced": worker.state == STOPPING,
            "keeper": os.getpid(),
            "is_last": is_last,
        }
        self.noted = [*self.noted, end][-KEPT:]


def described(status: int) -> str:
    """Return in words how a process ended, whose status is as of os.waitpid."""
    if os.WIFSIGNALED(status):
        return killed_by(os.WTERMSIG(status))
    return "{}{}".format(EXIT_STATUS, os.WEXITSTATUS(status))


def _is_unexpected(worker: Worker, status: int, *, is_successor: bool) -> bool:
    if worker.state == STOPPING:
        return worker.is_killed
    if is_successor:
        # If it exits, the overlap has failed, which is reported as that.
        return os.WIFSIGNALED(status)
    return worker.state in (STARTING, CONSUMING) or (worker.state == DRAINING and status != 0)


def _noted(path: str) -> List[Dict[str, Any]]:
    try:
        found = json.loads(run_files.read(path, MOST_BYTES) or "{}")
        return [dict(each) for each in found.get("ends", ())][-KEPT:]
    except (OSError, ValueError, TypeError, AttributeError):
        return []
