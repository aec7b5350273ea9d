"""Record what a program did, or what befell it, in its own event log, which procman merges with its own."""

import json
import os
from time import time
from typing import Any, Callable, Mapping, Optional, Sequence

from . import run_files
from .settings import HealthSettings

FILE = "events.jsonl"
"""The name of the file in the program's run directory."""
MOST_BYTES = 256 * 1024
"""At this size the file is renamed; one renamed file is kept."""


def record(
    settings: HealthSettings,
    report: Callable[[str], None],
    what: str,
    *,
    reason: str,
    code: str = "",
    level: str = "",
    action: str = "",
    tasks: Sequence[str] = (),
    task_ids: Sequence[str] = (),
    more: Optional[Mapping[str, Any]] = None,
) -> None:
    """Append an event; if that fails, `report` the failure. `tasks` are names, and `task_ids` theirs in this order."""
    event = {
        "format": 1,
        "at": time(),
        "program": settings.program,
        "what": what,
        "code": code,
        "level": level,
        "reason": reason,
        "action": action,
        "tasks": list(tasks),
        "task_ids": list(task_ids),
        "by": "inside",
        **(more or {}),
    }
    try:
        run_files.append(os.path.join(settings.run_directory, FILE), json.dumps(event) + "\n", MOST_BYTES)
    except OSError as error:
        report(f"cannot record the event: {error.strerror}")
