"""Where the systemd of the host would cut a stop short: of another unit, of a user's programs, at a reboot."""

from __future__ import annotations

import os
from collections.abc import Iterator

from procman.accounts import user_name
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.systemctl import Systemctl, Unit
from procman.host.unit_names import STOP_MARGIN_SECONDS
from procman.model import Scope


def cut_short(unit: str, longest_seconds: int) -> str | None:
    """Return how the host's systemd would lose tasks when it stops UNIT, with what mends it.

    None: it would not, or there is no such unit.

    LONGEST_SECONDS is how long a stop of all that runs below it may take.
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
        f"{unit} loses running tasks when it stops, also at a reboot: {' and '.join(reasons)}. Write "
        "extend_stop_timeout = true under [supervisor] and install again, or see to it with a drop-in of your own: "
        f"systemctl edit {unit.removesuffix('.service')}"
    )


def cut_by_reboot(longest_seconds: int) -> str | None:
    """Return how a reboot would lose tasks of a program whose stop may take LONGEST_SECONDS, with what mends it.

    None: it would not. Its targets force it when their own time is over (systemd.unit(5), JobTimeoutAction=).
    """
    allowed = systemd_host.time_limit("JobTimeoutUSec", "reboot.target") if systemd_host.BOOTED.is_dir() else None
    if allowed is None or allowed >= longest_seconds:
        return None
    return (
        f"a reboot is forced after {allowed:g} s, and the stop of a program may take {longest_seconds} s. As root: "
        "systemctl edit reboot.target poweroff.target, and write into both, under [Unit]: "
        f"JobTimeoutSec={longest_seconds + STOP_MARGIN_SECONDS + 60}"
    )


def warnings_of_user(longest: int) -> Iterator[str]:
    """Yield what the host does to the systemd of the calling user, whose units may take LONGEST seconds to stop."""
    name = user_name(os.geteuid())
    if not systemd_host.LINGERING.joinpath(name).exists():
        yield f"programs start when {name} logs in and end with the last session: sudo loginctl enable-linger {name}"
    unit = f"user@{os.geteuid()}.service"
    allowed = systemd_host.time_limit("TimeoutStopUSec", unit)
    if allowed is not None and allowed < longest:
        yield (
            f"at shutdown the host kills {unit} after {allowed:g} s, and running tasks with it; as root: "
            f"mkdir -p /etc/systemd/system/{unit}.d && printf '[Service]\\nTimeoutStopSec={longest + 30}\\n' "
            f"> /etc/systemd/system/{unit}.d/procman.conf && systemctl daemon-reload"
        )


def _reasons(unit: Unit, longest_seconds: int) -> list[str]:
    reasons = []
    allowed = systemd_host.seconds(unit.text("TimeoutStopUSec"))
    if allowed is not None and allowed < longest_seconds:
        reasons.append(f"it is killed after {allowed:g} s, and a stop of all its programs may take {longest_seconds} s")
    if unit.text("KillMode") not in ("mixed", "none"):
        what = "leaves the programs behind" if unit.text("KillMode") == "process" else "ends pool processes at once"
        reasons.append(f"KillMode={unit.text('KillMode')} {what}")
    return reasons
