"""What is known of the systemd of this host, and of the one that works for the calling user."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from procman.accounts import user_name
from procman.errors import ProcmanError
from procman.model import Scope
from procman.subprocesses import CLEAN_ENVIRONMENT, Completed, capture

BOOTED = Path("/run/systemd/system")
"""There if and only if systemd is process 1 (sd_booted(3))."""

LINGERING = Path("/var/lib/systemd/linger")
"""Holds a file for every user whose systemd runs from boot on (systemd-logind.service(8))."""

NO_SYSTEMD = 'Use backend = "supervisor", where there is no systemd.'


def run(words: Sequence[str], timeout: float = 30, *, unit_path: str | None = None) -> Completed:
    """Run one of systemd's own programs as the caller, in plain English and without colours.

    UNIT_PATH says where it is to look for units. ProcmanError if it is not there, or gives no answer within TIMEOUT.
    """
    path = {} if unit_path is None else {"SYSTEMD_UNIT_PATH": unit_path}
    return capture(words, environment=environment() | path, timeout=timeout)


def environment() -> dict[str, str]:
    """Return what systemd's own programs get: where the calling user's systemd is, plain English, no colours."""
    names = ("HOME", "TZ", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    plain = {"SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat", "SYSTEMD_URLIFY": "0"}
    # sudo and su leave XDG_RUNTIME_DIR out.
    return {**inherited, "XDG_RUNTIME_DIR": str(runtime_directory()), **CLEAN_ENVIRONMENT, **plain}


def of_scope(program: str, scope: Scope) -> list[str]:
    """Return the words that make PROGRAM speak to the systemd of SCOPE."""
    return [program] if scope is Scope.SYSTEM else [program, "--user"]


def version() -> int:
    """Return the version of the systemd that is installed; ProcmanError if there is none."""
    try:
        said = run(["systemctl", "--version"]).checked().stdout
    except ProcmanError as error:
        raise ProcmanError(f"there is no systemd here ({error.message})", hint=NO_SYSTEMD) from None
    found = re.match(r"systemd ([0-9]+)", said)
    if not found:
        raise ProcmanError(f"systemctl --version says {said[:40]!r}", hint=NO_SYSTEMD)
    return int(found[1])


def unreachable(scope: Scope) -> str | None:
    """Return why the systemd of SCOPE cannot be told anything, with the remedy; None if it can."""
    found = trouble(scope)
    return " ".join(found) if found else None


def trouble(scope: Scope) -> tuple[str, str] | None:
    """Return why the systemd of SCOPE cannot be told anything, and the remedy; None if it can."""
    if not BOOTED.is_dir():
        return f"systemd does not run here ({BOOTED} is missing).", NO_SYSTEMD
    if scope is Scope.SYSTEM or runtime_directory().joinpath("systemd").is_dir():
        return None
    missing = f"the systemd of {user_name(os.geteuid())} does not run ({runtime_directory()}/systemd is missing)."
    return missing, f"Have it started with `sudo loginctl enable-linger {user_name(os.geteuid())}`."


def runtime_directory() -> Path:
    """Return where the systemd of the calling user has its sockets."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")


def unit_path(scope: Scope) -> list[Path]:
    """Return the directories in which the systemd of SCOPE looks for units, the first one counting most."""
    lines = run([*of_scope("systemd-analyze", scope), "unit-paths"]).checked().stdout.split("\n")
    return [Path(line) for line in lines if line]


def time_limit(name: str, unit: str) -> float | None:
    """Return the seconds that the property `name` gives a unit of the host; None: without end, or not known."""
    words = ["systemctl", "show", "--value", f"--property={name}", unit]
    try:
        return seconds(run(words).checked().stdout.strip())
    except ProcmanError:
        return None


SPANS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 7 * 86400,
    "month": 2629800,
    "y": 31557600,
}
"""The units of time that systemctl prints (systemd.time(7))."""


def seconds(span: str) -> float | None:
    """Return the seconds of a span as systemctl prints it, such as `1h 30s`; None for infinity and the unknown."""
    parts = re.findall(r"([0-9.]+)([a-z]+)", span)
    if not parts or any(unit not in SPANS for _, unit in parts):
        return None
    return sum(float(number) * SPANS[unit] for number, unit in parts)
