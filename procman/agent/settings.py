"""Read the PROCMAN_ variables for heartbeat and healing; an invalid one is reported and replaced by its default."""

import os
import time

from . import run_files, strict_json
from .light_typing import Any, List, Mapping, NamedTuple, Optional

# Saved before gevent or eventlet can replace it in the module.
_write = os.write

BOOT_ID = "/proc/sys/kernel/random/boot_id"
MANIFEST_BYTES = 8 * 1024**2


class HealthSettings(NamedTuple):
    """The keys of `[health]` and of the program itself; times in seconds."""

    program: str
    kind: str
    run_directory: str
    heartbeat_seconds: float = 5
    stale_seconds: float = 30
    stall_seconds: float = 300
    interval_seconds: float = 30
    failures: int = 3
    heal: bool = True
    restarts_per_hour: int = 3
    code_seconds: float = 60
    """How often the files of the loaded modules are compared."""
    stop_timeout_seconds: float = 600
    """How long after SIGTERM the process manager kills the worker."""
    handback_seconds: float = 10
    """How long before that it hands messages back; 0: never (`handback_delay`)."""
    hold_file: Optional[str] = None
    boot_id: Optional[str] = None
    problems: List[str] = []
    """A message for each invalid variable."""


LEAST = {
    "heartbeat_seconds": 0.05,
    "stale_seconds": 0.1,
    "stall_seconds": 0.1,
    "interval_seconds": 0.05,
    "failures": 1,
    "restarts_per_hour": 0,
    "code_seconds": 0.05,
    "stop_timeout_seconds": 0.1,
    "handback_seconds": 0.0,
}
"""The smallest value of each number; if it is an integer, the value is an integer too."""


def read_settings(environment: Mapping[str, str]) -> HealthSettings:
    """Read the variables that the start script or unit sets; each is optional."""
    problems: List[str] = []
    heal = environment.get("PROCMAN_HEAL") or "1"
    if heal not in ("0", "1"):
        # Not healing is the safer guess.
        problems.append(f"PROCMAN_HEAL is {heal!r}, but must be 0 or 1; healing is off")
    return HealthSettings(
        program=environment.get("PROCMAN_PROGRAM") or "program",
        kind=environment.get("PROCMAN_KIND") or "worker",
        run_directory=environment.get("PROCMAN_RUN_DIRECTORY") or ".",
        **{name: _number(environment, name, least, problems) for name, least in LEAST.items()},
        heal=heal == "1",
        hold_file=environment.get("PROCMAN_HOLD_FILE") or None,
        boot_id=_boot_id(),
        problems=problems,
    )


def handback_delay(settings: HealthSettings) -> Optional[float]:
    """Return how many seconds after SIGTERM a busy worker hands back what it holds; None: never.

    At least half of the stop timeout belongs to the running tasks. Ask when the stop begins: an install since the start
    may have raised the timeout.
    """
    if not settings.handback_seconds:
        return None
    limit = stop_limit(settings)
    return limit - min(settings.handback_seconds, limit / 2)


def stop_limit(settings: HealthSettings) -> float:
    """Return how many seconds after SIGTERM the process manager kills the worker, as it is installed now."""
    return max(settings.stop_timeout_seconds, _installed_stop_timeout(settings))


def _installed_stop_timeout(settings: HealthSettings) -> float:
    """Return the stop timeout in the manifest that is installed now, beside the directory of holds; 0 if unknown."""
    try:
        state = os.path.dirname(os.path.dirname(settings.hold_file or ""))
        text = run_files.read(os.path.join(state, "current", "manifest.json"), MANIFEST_BYTES)
        programs = strict_json.parse(text or "{}")["programs"]
        found = [each["stop_timeout_seconds"] for each in programs if each["name"] == settings.program]
        return float(found[0])
    except (OSError, ValueError, LookupError, TypeError):
        return 0.0


def _number(environment: Mapping[str, str], field: str, least: float, problems: List[str]) -> Any:
    name, default = f"PROCMAN_{field.upper()}", HealthSettings._field_defaults[field]
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= 1e7:
        problems.append(f"{name} is {text[:40]!r}, but must be a number of at least {least:g}; using {default}")
        return default
    return type(least)(value)


def _boot_id() -> Optional[str]:
    try:
        with open(BOOT_ID, encoding="utf-8") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return None


def report(program: str, message: str) -> None:
    """Write a line to the program's log without Celery's logging or any lock that a fork could inherit."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {program}: {message}\n"
    try:
        _write(2, line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass
