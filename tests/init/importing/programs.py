"""Existing programs as a reader returns them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from procman.celery_cli.parse import read_command
from procman.init.importing.existing import Existing
from procman.sources import SUPERVISOR, Source

FILE = Path("/etc/supervisor/conf.d/old.conf")
WORKER = "/srv/env/bin/celery -A shop worker"
BEAT = "/srv/env/bin/celery -A shop beat"


def existing(name: str, line: str = WORKER, **changes: Any) -> Existing:
    """Return a program of supervisord called `name` that runs `line`, on line 1 of FILE."""
    words = tuple(shlex.split(line))
    command = read_command(words)
    values: dict[str, Any] = {
        "file": FILE,
        "line": 1,
        "directory": Path("/srv/shop"),
        "user": "www-data",
        "environment": dict(command.environment) if command else {},
        "source": Source(SUPERVISOR, str(FILE), name),
    }
    values |= changes
    return Existing(f"[program:{name}]", name, words=words, command=command, **values)
