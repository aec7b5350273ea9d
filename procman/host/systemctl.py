"""Query and control systemd through systemctl: answers become records, failures become errors."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.model import Scope

PROPERTIES = (
    "ActiveEnterTimestampMonotonic",
    "ActiveExitTimestampMonotonic",
    "ActiveState",
    "DropInPaths",
    "ExecMainCode",
    "ExecMainExitTimestampMonotonic",
    "ExecMainStartTimestamp",
    "ExecMainStartTimestampMonotonic",
    "ExecMainStatus",
    "FragmentPath",
    "InactiveExitTimestampMonotonic",
    "Job",
    "KillMode",
    "LoadState",
    "MainPID",
    "MemoryCurrent",
    "NRestarts",
    "NeedDaemonReload",
    "Restart",
    "Result",
    "StateChangeTimestampMonotonic",
    "SubState",
    "TimeoutStopUSec",
    "UnitFileState",
    "Wants",
)

ORDER_TIMEOUT_SECONDS = 90.0
"""Long, because a daemon-reload runs every generator of the host."""

NOT_ALLOWED = r"Access denied|Permission denied|[Aa]uthentication (is )?required|Operation not permitted"
NO_SUCH_UNIT = r"does not exist|not loaded|could not be found"
NO_CONNECTION = r"Failed to connect to|has not been booted|Transport endpoint is not connected"


class NoSuchUnit(ProcmanError):
    """systemd does not know the unit, or no longer knows it."""


@dataclass(frozen=True)
class Unit:
    """The properties of one unit, as systemd prints them."""

    name: str
    properties: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a property; empty if systemd is too old to know it."""
        return self.properties.get(name, "")

    def number(self, name: str) -> int | None:
        """Return a property that is a number; None if it is not set."""
        value = self.text(name)
        return int(value) if value.isdecimal() else None

    def moment(self, name: str) -> float:
        """Return a timestamp in seconds of the monotonic clock; 0 if it never happened."""
        return (self.number(f"{name}TimestampMonotonic") or 0) / 1e6

    def clock(self, name: str) -> float | None:
        """Return a timestamp in seconds since the epoch; None if it never happened or is not readable."""
        # Such as "Thu 2026-11-26 21:54:09 UTC", in the time zone of this process (systemd.time(7)).
        found = re.fullmatch(r"\w+ (\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+) .+", self.text(f"{name}Timestamp"))
        if not found:
            return None
        year, month, day, hour, minute, second = map(int, found.groups())
        return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))

    @property
    def job(self) -> bool:
        """Whether systemd has a job for the unit in its queue."""
        return self.text("Job") not in ("", "0")

    @property
    def is_known(self) -> bool:
        """Whether systemd has read a unit file of this name."""
        return self.text("LoadState") == "loaded"

    @property
    def has_ended(self) -> bool:
        """Whether the unit is not running and systemd will not start it by itself."""
        return self.text("ActiveState") in ("inactive", "failed")

    @property
    def is_importing(self) -> bool:
        """Whether its process is running, but has not yet notified systemd that it is up."""
        return (self.text("ActiveState"), self.text("SubState")) == ("activating", "start") and bool(
            self.number("MainPID")
        )

    @property
    def file_is_gone(self) -> bool:
        """Whether the unit file that systemd has loaded no longer exists."""
        path = self.text("FragmentPath")
        return not path or not Path(path).exists()


class Job(NamedTuple):
    """A queued or running job of a unit."""

    verb: str
    """Such as `restart`."""
    waits_for: tuple[str, ...] = ()
    """The units whose jobs must end first."""


_BEFORE = re.compile(r"waiting for job \d+ \((?P<unit>[^ ()]+)/[a-z-]+\)")


def jobs_in(listing: str) -> dict[str, Job]:
    """Return the jobs in the output of `systemctl list-jobs --before --no-legend --plain`, by unit.

    The line of a job, `186 b.service start waiting`, precedes a line for each one that it waits for,
    `└─ waiting for job 133 (a.service/start)`.
    """
    found: dict[str, Job] = {}
    unit = ""
    for line in listing.splitlines():
        words, before = line.split(), _BEFORE.search(line)
        if before and unit:
            found[unit] = found[unit]._replace(waits_for=(*found[unit].waits_for, before["unit"]))
        elif not before and len(words) > 2 and words[0].isdecimal():
            unit = words[1]
            found[unit] = Job(words[2])
    return found


class Systemctl:
    """The systemd of one scope; a query takes at most `timeout` seconds (R10)."""

    def __init__(self, scope: Scope, timeout: float) -> None:
        self._scope = scope
        self._timeout = timeout

    def show(self, units: Sequence[str], properties: Sequence[str] = PROPERTIES) -> dict[str, Unit]:
        """Return each of `units` by name, with its `properties`, in one call."""
        if not units:
            return {}
        answer = self._ask("show", f"--property={','.join(properties)}", "--", *units)
        blocks = [_properties(block) for block in answer.rstrip("\n").split("\n\n")]
        if len(blocks) != len(units):
            raise ProcmanError(f"systemctl show answered for {len(blocks)} of {len(units)} units")
        return {name: Unit(name, block) for name, block in zip(units, blocks, strict=True)}

    def matching(self, pattern: str) -> list[Unit]:
        """Return the loaded units whose names match `pattern`, with their properties."""
        answer = self._ask("show", f"--property=Id,{','.join(PROPERTIES)}", "--", pattern)
        blocks = [_properties(block) for block in answer.rstrip("\n").split("\n\n") if block.strip()]
        return [Unit(block.get("Id", ""), block) for block in blocks]

    def jobs(self) -> dict[str, Job]:
        """Return each queued or running job by unit."""
        return jobs_in(self._ask("list-jobs", "--before", "--no-legend", "--plain"))

    def order(self, verb: str, *words: str) -> None:
        """Run a command of systemctl. Raises ProcmanError with the reason if it fails."""
        self._run(verb, words, ORDER_TIMEOUT_SECONDS)

    def command(self, verb: str, unit: str) -> str:
        """Return the command line for a command of systemctl, for display."""
        return " ".join([*systemd_host.of_scope("systemctl", self._scope), verb, unit])

    def _ask(self, verb: str, *words: str) -> str:
        return self._run(verb, words, self._timeout)

    def _run(self, verb: str, words: Iterable[str], timeout: float) -> str:
        argv = [*systemd_host.of_scope("systemctl", self._scope), "--no-pager", "--no-ask-password", verb, *words]
        done = systemd_host.run(argv, timeout)
        if done.status == 0:
            return done.stdout
        output = done.stderr.strip() or done.stdout.strip()
        if re.search(NO_CONNECTION, output):
            raise ProcmanError(systemd_host.unreachable(self._scope) or f"cannot connect to systemd: {output}")
        if re.search(NO_SUCH_UNIT, output):
            raise NoSuchUnit(f"systemctl {verb}: {output}", hint="Run `procman install`.")
        if re.search(NOT_ALLOWED, output):
            raise ProcmanError(f"systemctl {verb}: no permission", hint="Run the same command with sudo.")
        raise ProcmanError(f"systemctl {verb}: {_reason(output) or f'status {done.status}'}", hint=_remedy(output))


def _properties(block: str) -> dict[str, str]:
    entries = (line.partition("=") for line in block.splitlines())
    return {name: value for name, _, value in entries}


def _reason(output: str) -> str:
    """Return `output` in one line, without the commands that systemctl advises."""
    return " ".join(line for line in output.splitlines() if not line.startswith("See "))


def _remedy(output: str) -> str:
    masked = re.search(r"[Uu]nit (?:file )?(\S+) is masked", output)
    if masked:
        return f"The unit is masked. To allow it again: systemctl unmask {masked[1].rstrip('.')}"
    advised = re.search(r'"(journalctl -xeu [^\s"]+)"', output)
    return f"See `{advised[1] if advised else 'journalctl -xe'}`."
