"""Read the history of each program's runs from supervisord's own log; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from procman.backends.run_history import FORCED, Record, What, history_of
from procman.backends.supervisor.client import Info
from procman.model import InstalledProgram, RunHistory

if TYPE_CHECKING:
    # Hardly ever needed: `status` must not wait for this import.
    from procman.install.state.orders import Orders

LATE_SECONDS = 5.0
"""How much later than due, on a busy host, a start can still be supervisord's own."""

RETRY_SECONDS = 5.0
"""Within which supervisord carries out the watcher's order to start a program."""

ZONE_SECONDS = 900
"""Time zones differ by multiples of this."""

_LINE = re.compile(
    r"(?P<at>[0-9]{4}-[0-9-]{5} [0-9:]{8},[0-9]{3}) [A-Z]+ "
    r"(?P<event>supervisord started|spawned:|success:|exited:|stopped:|gave up:|killing) "
    r"(?:'(?P<quoted>[^']+)'|(?P<name>\S+))(?P<rest>.*)"
)
_END = re.compile(r" (?:exited:|killing) '?([^'\s]+)")
_ENDING = re.compile(r"[0-9-]{10} [0-9:]{8},[0-9]{3} INFO waiting for .* to die")
"""supervisord has been ordered to end, and stops its programs."""
_PID = re.compile(r"pid (\d+)")
_HOW = re.compile(r"\((?:exit status (?P<status>\d+)|terminated by (?P<signal>[^;)]+))")


def histories_in(
    log: str,
    programs: Iterable[InstalledProgram],
    infos: Sequence[Info],
    orders: Mapping[str, Orders],
    zone: tzinfo | None = None,
) -> dict[str, RunHistory]:
    """Return the history of each of `programs` of which `log` has an end; if the log is cut, counts are too low.

    A line has the local time of supervisord, in `zone` (default: that of this process). If that is not its zone, the
    start times of `infos` show it. Of a program that is not in `orders`, only orders that the log shows count.
    """
    ended = set(_END.findall(log))
    ours = {
        each.name: _Reader(each.start_seconds, orders.get(each.name), zone) for each in programs if each.name in ended
    }
    if not ours:
        return {}
    for line in map(_LINE.match, log.splitlines()):
        if not line:
            continue
        if line["event"] == "supervisord started":
            for each in ours.values():
                each.restarted_with_supervisord(_seconds(line["at"], zone))
        elif reader := ours.get(line["quoted"] or line["name"]):
            reader.read(line)
    shift = _shift(ours, infos)
    return {name: reader.history(shift) for name, reader in ours.items()}


def running_at_the_end(log: str, zone: tzinfo | None = None) -> dict[str, float]:
    """Return the programs that ran until their supervisord ended, each with the time of its last start.

    The time is right if `zone` (default: that of this process) was the time zone of supervisord.
    """
    found: dict[str, float] = {}
    is_ending = False
    for text in log.splitlines():
        line = _LINE.match(text)
        if not line:
            is_ending = is_ending or bool(_ENDING.match(text))
        elif line["event"] == "supervisord started":
            found, is_ending = {}, False
        elif line["event"] == "spawned:":
            found[line["quoted"] or line["name"]] = _seconds(line["at"], zone)
        elif line["event"] in ("exited:", "stopped:", "gave up:") and not is_ending:
            found.pop(line["quoted"] or line["name"], None)
    return found


@dataclass
class _Reader:
    """Turns the lines about one program into records.

    supervisord logs no order to stop a program in BACKOFF. A start that comes earlier than its next attempt is due, or
    much later, was an order: the pause before each attempt is one second longer than the last (supervisor 4.2, 4.3).
    """

    start_seconds: int
    orders: Orders | None
    zone: tzinfo | None
    records: list[Record] = field(default_factory=list)
    pid: int | None = None
    is_up: bool = False
    is_killed: bool = False
    gave_up: bool = False
    ended: float | None = None
    """When its process ended without an order; None if it runs or was stopped."""
    pause: int | None = None
    """Seconds before the last automatic start; None: unknown."""

    def restarted_with_supervisord(self, at: float) -> None:
        self.records.append(Record(What.ORDERED, at))
        self.ended, self.pause, self.gave_up = None, 0, False

    def read(self, line: re.Match[str]) -> None:
        at = _seconds(line["at"], self.zone)
        match line["event"]:
            case "spawned:":
                self._spawned(at, line["rest"])
            case "success:":
                self._up(at)
            case "exited:":
                self.records.append(Record(What.ENDED, at, _how(line["rest"]), self.pid))
                self.ended = at
            case "killing":
                self.is_killed = True
            case "stopped:":
                if self.is_killed:
                    self.records.append(Record(What.FORCED, at, FORCED, self.pid))
                self.records.append(Record(What.ORDERED, at))
                self.ended, self.pause = None, None
            case "gave up:":
                self.gave_up, self.pause = True, 0

    def _spawned(self, at: float, rest: str) -> None:
        if self.ended is None or not self._is_automatic(at, at - self.ended):
            self.records.append(Record(What.ORDERED, at))
            self.pause = None
        pid = _PID.search(rest)
        self.pid = int(pid[1]) if pid else None
        self.records.append(Record(What.STARTED, at, pid=self.pid))
        self.ended, self.is_up, self.is_killed, self.gave_up = None, False, False, False
        if not self.start_seconds:
            # supervisord logs its success later, if it still runs then.
            self._up(at)

    def _up(self, at: float) -> None:
        self.is_up, self.pause = True, 0
        self.records.append(Record(What.UP, at))

    def _is_automatic(self, at: float, waited: float) -> bool:
        if self.gave_up:
            return self.orders is not None and 0 <= at - self.orders.retried <= RETRY_SECONDS
        if self.is_up:
            return waited <= LATE_SECONDS
        if self.pause is None:
            self.pause = int(waited)
            return True
        self.pause += 1
        return self.pause - 0.1 <= waited <= self.pause + LATE_SECONDS

    def history(self, shift: float) -> RunHistory:
        """Return the history; times in the log are `shift` seconds too early."""
        records = [record._replace(at=record.at + shift) for record in self.records]
        if self.orders and self.orders.ordered:
            records = _with_order(records, self.orders.ordered)
        return history_of(records)


def _with_order(records: Sequence[Record], at: float) -> list[Record]:
    before = [record for record in records if record.at < at]
    return [*before, Record(What.ORDERED, at), *records[len(before) :]]


def _shift(readers: Mapping[str, _Reader], infos: Sequence[Info]) -> float:
    for info in infos:
        reader = readers.get(info["name"])
        if reader and info["pid"] and reader.pid == info["pid"]:
            logged = max(record.at for record in reader.records if record.what is What.STARTED)
            return float(round((info["start"] - logged) / ZONE_SECONDS) * ZONE_SECONDS)
    return 0.0


def _seconds(text: str, zone: tzinfo | None) -> float:
    moment = datetime.fromisoformat(text[:19]).replace(tzinfo=zone)
    return moment.timestamp() + int(text[20:23]) / 1000


def _how(rest: str) -> str:
    found = _HOW.search(rest)
    if not found:
        return "unknown"
    return f"exit status {found['status']}" if found["status"] else f"killed by {found['signal']}"
