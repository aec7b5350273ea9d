"""Read the heartbeat of a process of any procman project on this host, and compare its broker with another's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from procman.agent.heartbeat_format import FILE, MAX_BYTES, read
from procman.host.process import environment_of, user_of
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted

SYSTEM_HOME = Path("/var/lib/procman")
"""Where the projects in system scope have their state, whose heartbeats every user can read."""


def heartbeat_of(pid: int, state: Path) -> Mapping[str, Any]:
    """Return the heartbeat of process `pid`; empty if it has none that can be read.

    `state` is the state directory of one project. The other project's must be beside it or in system scope, unless the
    process runs as the caller: it chooses its environment, and root must not open a path of another user's choice (S3).
    """
    user = user_of(pid)
    if user is None:
        return {}
    found = (_read(each, user) for each in _run_directories(pid, state.parent, is_own=user == os.geteuid()))
    return next((content for content in found if content.get("pid") == pid), {})


def _run_directories(pid: int, home: Path, *, is_own: bool) -> list[Path]:
    """Return where the heartbeat of process `pid` may be: only root and its user can read its environment."""
    variables, homes = environment_of(pid), {home, SYSTEM_HOME}
    if not variables:
        return [each for one in sorted(homes) for each in sorted(one.glob("*/run/*"))]
    named = Path(variables.get("PROCMAN_RUN_DIRECTORY", "."))
    is_known = any(_is_run_directory(named, each) for each in homes) or (is_own and named.is_absolute())
    return [named] if is_known else []


def _read(directory: Path, user: int) -> Mapping[str, Any]:
    try:
        found = read_untrusted(directory / FILE, {user}, MAX_BYTES + 1)
        return read(found.decode("utf-8")) if found else {}
    except (UntrustedFile, OSError, ValueError):
        return {}


def _is_run_directory(directory: Path, home: Path) -> bool:
    # As `Directories.run` returns it, for any project and program.
    is_below = directory.is_relative_to(home) and ".." not in directory.parts
    return is_below and len(directory.relative_to(home).parts) == 3 and directory.parent.name == "run"


def share_broker(one: Sequence[str], other: Sequence[str]) -> bool | None:
    """Return whether two programs use the same broker, by the digests in their heartbeats; None: unknown."""
    return not set(one).isdisjoint(other) if one and other else None
