"""Set the key `procman` of `[health]` in a new procman.toml."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from procman.init.draft import Draft
from procman.model import Scope
from procman.monitoring.watcher_command import REMEDY, command_trust_problems


def set_watcher(draft: Draft, scope: Scope) -> None:
    """Put this procman into `draft` as the watcher, unless root must not run it."""
    command = own_command()
    if command is None:
        draft.warn("the programs have no watcher: " + REMEDY)
        return
    problems = command_trust_problems(command) if scope is Scope.SYSTEM else []
    if problems:
        draft.warn(f"the programs have no watcher, because other users can modify {command}: {problems[0]}")
    else:
        draft.put("health", "procman", command)


def own_command() -> Path | None:
    """Return the path of this procman: beside its Python, or as it was called; None if it is not a command."""
    called = Path(sys.argv[0])
    found = [Path(sys.executable).with_name("procman"), called.absolute() if called.name == "procman" else called]
    return next((path for path in found if path.name == "procman" and os.access(path, os.X_OK)), None)
