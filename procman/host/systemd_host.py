"""Query the systemd of this host and that of the calling user."""

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
"""Exists if and only if systemd is process 1 (sd_booted(3))."""

LINGERING = Path("/var/lib/systemd/linger")
"""Contains a file for every user whose systemd starts at boot (systemd-logind.service(8))."""

NO_SYSTEMD = 'Without systemd, use backend = "supervisor".'


def run(words: Sequence[str], timeout: float = 30, *, unit_path: str | None = None) -> Completed:
    """Run one of systemd's programs as the caller, with untranslated output and without colours.

    `unit_path` replaces its search path for units. Raises ProcmanError if the program does not exist, or does not end
    within `timeout` seconds.
    """
    path = {} if unit_path is None else {"SYSTEMD_UNIT_PATH": unit_path}
    return capture(words, environment=environment() | path, timeout=timeout)


def environment() -> dict[str, str]:
    """Return the environment for systemd's programs: the calling user's directories, no translation, no colours."""
    names = ("HOME", "TZ", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    plain = {"SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat", "SYSTEMD_URLIFY": "0"}
    # sudo and su do not set XDG_RUNTIME_DIR.
    return {**inherited, "XDG_RUNTIME_DIR": str(runtime_directory()), **CLEAN_ENVIRONMENT, **plain}


def of_scope(program: str, scope: Scope) -> list[str]:
    """Return the first words of a command line of `program` for the systemd of `scope`."""
    return [program] if scope is Scope.SYSTEM else [program, "--user"]


def version() -> int:
    """Return the version of the installed systemd. Raises ProcmanError if there is none."""
    try:
        output = run(["systemctl", "--version"]).checked().stdout
    except ProcmanError as error:
        raise ProcmanError(f"systemd is not installed ({error.message})", hint=NO_SYSTEMD) from None
    found = re.match(r"systemd ([0-9]+)", output)
    if not found:
        raise ProcmanError(f"systemctl --version printed {output[:40]!r}", hint=NO_SYSTEMD)
    return int(found[1])


def unreachable(scope: Scope) -> str | None:
    """Return why the systemd of `scope` cannot be used, with the remedy; None if it can."""
    found = trouble(scope)
    return " ".join(found) if found else None


def trouble(scope: Scope) -> tuple[str, str] | None:
    """Return why the systemd of `scope` cannot be used, and the remedy; None if it can."""
    if not BOOTED.is_dir():
        return f"systemd is not running here ({BOOTED} does not exist).", NO_SYSTEMD
    if scope is Scope.SYSTEM or runtime_directory().joinpath("systemd").is_dir():
        return None
    missing = f"the systemd of {user_name(os.geteuid())} is not running ({runtime_directory()}/systemd does not exist)."
    return missing, f"To start it: `sudo loginctl enable-linger {user_name(os.geteuid())}`."


def runtime_directory() -> Path:
    """Return the directory with the sockets of the calling user's systemd."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")


def unit_path(scope: Scope) -> list[Path]:
    """Return the search path for units of the systemd of `scope`, highest priority first."""
    lines = run([*of_scope("systemd-analyze", scope), "unit-paths"]).checked().stdout.split("\n")
    return [Path(line) for line in lines if line]


def time_limit(name: str, unit: str) -> float | None:
    """Return the property `name` of a unit of the host in seconds; None if it is infinite or unknown."""
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
    """Return a time span as printed by systemctl, such as `1h 30s`, in seconds; None if it is infinite or unknown."""
    parts = re.findall(r"([0-9.]+)([a-z]+)", span)
    if not parts or any(unit not in SPANS for _, unit in parts):
        return None
    return sum(float(number) * SPANS[unit] for number, unit in parts)
