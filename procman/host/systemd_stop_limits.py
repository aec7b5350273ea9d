"""Find limits of the host's systemd that end a stop early: for another unit, for a user's programs, at a reboot."""

from __future__ import annotations

import os
from collections.abc import Iterator

from procman.accounts import user_name
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.systemctl import Systemctl, Unit
from procman.host.unit_names import STOP_MARGIN_SECONDS
from procman.model import Scope

HANDBACK = "and a worker hands its tasks back only at the end of it"
"""What is lost as well: the next worker gets these tasks late, or never."""


def cut_short(unit: str, longest_seconds: int) -> str | None:
    """Return how the host's systemd would lose tasks when it stops `unit`, with the remedy.

    `longest_seconds` is how long a stop of all programs of the unit may take. Return None if no tasks are lost, or if
    the unit does not exist.
    """
    if not systemd_host.BOOTED.is_dir():
        return None
    try:
        found = Systemctl(Scope.SYSTEM, timeout=5.0).show([unit])[unit]
    except ProcmanError:
        return None
    reasons = list(_reasons(found, longest_seconds)) if found.is_known else []
    if not reasons:
        return None
    return (
        f"{unit} loses running tasks when it stops, including at a reboot: {' and '.join(reasons)}. Set "
        "extend_stop_timeout = true under [supervisor] and install again, or add your own drop-in: "
        f"systemctl edit {unit.removesuffix('.service')}"
    )


def cut_by_reboot(longest_seconds: int) -> str | None:
    """Return how a reboot would lose tasks of a program whose stop may take `longest_seconds`, with the remedy.

    The targets of a reboot force it after their own timeout (systemd.unit(5), JobTimeoutAction=). Return None if no
    tasks are lost.
    """
    allowed = systemd_host.time_limit("JobTimeoutUSec", "reboot.target") if systemd_host.BOOTED.is_dir() else None
    if allowed is None or allowed >= longest_seconds:
        return None
    return (
        f"a reboot is forced after {allowed:g} s, but the stop of a program may take {longest_seconds} s, {HANDBACK}. "
        "As root, run systemctl edit reboot.target poweroff.target, and set in both, under [Unit]: "
        f"JobTimeoutSec={longest_seconds + STOP_MARGIN_SECONDS + 60}"
    )


def warnings_of_user(longest: int) -> Iterator[str]:
    """Yield limits of the calling user's systemd, whose units may take `longest` seconds to stop."""
    name = user_name(os.geteuid())
    if not systemd_host.LINGERING.joinpath(name).exists():
        yield (
            f"programs start when {name} logs in and end with the last session; to run them from boot on: "
            f"sudo loginctl enable-linger {name}"
        )
    unit = f"user@{os.geteuid()}.service"
    allowed = systemd_host.time_limit("TimeoutStopUSec", unit)
    if allowed is not None and allowed < longest:
        yield (
            f"at shutdown, the host kills {unit} and running tasks after {allowed:g} s, but a stop may take "
            f"{longest} s, {HANDBACK}; to extend that, as root: "
            f"mkdir -p /etc/systemd/system/{unit}.d && printf '[Service]\\nTimeoutStopSec={longest + 30}\\n' "
            f"> /etc/systemd/system/{unit}.d/procman.conf && systemctl daemon-reload"
        )


def _reasons(unit: Unit, longest_seconds: int) -> list[str]:
    reasons = []
    allowed = systemd_host.seconds(unit.text("TimeoutStopUSec"))
    if allowed is not None and allowed < longest_seconds:
        reasons.append(
            f"it is killed after {allowed:g} s, but a stop of all its programs may take {longest_seconds} s, {HANDBACK}"
        )
    if unit.text("KillMode") not in ("mixed", "none"):
        what = "leaves programs behind" if unit.text("KillMode") == "process" else "ends pool processes at once"
        reasons.append(f"KillMode={unit.text('KillMode')} {what}")
    return reasons
