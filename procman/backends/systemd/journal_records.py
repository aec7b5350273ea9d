"""Read the history of each unit's runs from what systemd itself logs to the journal (systemd.journal-fields(7))."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from procman.agent.process_end import EXIT_STATUS, KILLED, killed_by
from procman.backends.logs import LogRequest
from procman.backends.run_history import FORCED, Record, What, history_of
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.journal import journalctl
from procman.model import RunHistory, Scope

STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
STARTED = "39f53479d3a045ac8e11786248231fbf"
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
EXITED = "98e322203f7a4ed290d09fe03c09fe15"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"
RESTARTS = "5eb03494b6584870a536b337290809b3"
OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"
MESSAGES = (STARTING, STARTED, STOPPING, STOPPED, EXITED, FAILED, SUCCEEDED, RESTARTS, OUT_OF_MEMORY)
"""The ids of these messages (sd-messages.h), which no version of systemd changes."""

FIELDS = ("MESSAGE_ID", "UNIT", "USER_UNIT", "EXIT_CODE", "EXIT_STATUS", "UNIT_RESULT")

MOST_MESSAGES = 2000

SECONDS = 3.0

NOTICED_SECONDS = 10.0
"""Within which systemd notices what the kernel killed."""

SAME_SECONDS = 0.5
"""Within which systemd logs that a unit has ended and that its stop is done."""

WATCHDOG = "killed by systemd's watchdog: it hung"


def histories(units: Sequence[str], scope: Scope, since: float) -> dict[str, RunHistory]:
    """Return the history of those of `units` that the journal mentions `since` then; none if it cannot be read."""
    if not units:
        return {}
    try:
        return histories_in(systemd_host.run(query(units, scope, since), SECONDS).stdout.splitlines(), units)
    except ProcmanError:
        return {}


def query(units: Sequence[str], scope: Scope, since: float) -> list[str]:
    """Return the command line that prints what systemd has logged about `units`."""
    # Any user may log a message with these fields, but none can choose the pid that journald adds.
    name, *author = ("UNIT", "_PID=1") if scope is Scope.SYSTEM else ("USER_UNIT",)
    matches = [*author, *(f"MESSAGE_ID={each}" for each in MESSAGES), *(f"{name}={unit}" for unit in units)]
    fields = f"--output-fields={','.join(FIELDS)}"
    return journalctl([], scope, LogRequest(MOST_MESSAGES, since), "--quiet", "--output=json", fields, *matches)


def histories_in(lines: Iterable[str], units: Sequence[str]) -> dict[str, RunHistory]:
    """Return the history of those of `units` that the `lines` of the journal, as JSON, mention."""
    readers: dict[str, _Reader] = {}
    for message in _messages(lines):
        unit = message.get("UNIT") or message.get("USER_UNIT")
        if unit in units:
            readers.setdefault(str(unit), _Reader()).read(message)
    return {unit: history_of(reader.records) for unit, reader in readers.items()}


def _messages(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


@dataclass
class _Reader:
    """Turns the messages about one unit into records.

    A start without "Scheduled restart job" before it was ordered, also out of the pause before an automatic restart,
    where systemd keeps its own counter (systemd 252).
    """

    records: list[Record] = field(default_factory=list)
    is_started: bool = False
    is_stopping: bool = False
    is_automatic: bool = False
    out_of_memory: float = 0.0
    """When systemd last noticed that the kernel killed a process of the unit."""
    result: str = ""
    """The unit's result at the last end."""
    how: str = ""
    """How the main process ended, until the unit's result follows."""

    def read(self, message: Mapping[str, Any]) -> None:
        at, kind = int(message["__REALTIME_TIMESTAMP"]) / 1e6, message.get("MESSAGE_ID")
        if kind == RESTARTS:
            self.is_automatic = True
        elif kind in (STARTING, STARTED):
            self._start(at, is_up=kind == STARTED)
        elif kind == STOPPING:
            self.is_stopping = True
        elif kind == STOPPED and not self.is_automatic:
            self._stopped(at)
        elif kind == EXITED:
            self.how = _how(str(message.get("EXIT_CODE")), str(message.get("EXIT_STATUS")))
        elif kind == OUT_OF_MEMORY:
            self.out_of_memory = at
        elif kind in (FAILED, SUCCEEDED):
            self._end(at, str(message.get("UNIT_RESULT", "")))

    def _start(self, at: float, *, is_up: bool) -> None:
        if not self.is_started:
            if not self.is_automatic:
                self.records.append(Record(What.ORDERED, at))
            self.records.append(Record(What.STARTED, at))
        self.is_started, self.is_stopping, self.is_automatic = True, False, False
        if is_up:
            self.records.append(Record(What.UP, at))

    def _end(self, at: float, result: str) -> None:
        by_kernel = result == "oom-kill" or (self.how == KILLED and at - self.out_of_memory < NOTICED_SECONDS)
        how = WATCHDOG if result == "watchdog" else self.how or "exit status 0"
        if not self.is_stopping:
            self.records.append(Record(What.ENDED, at, how, by_kernel=by_kernel))
        elif result == "timeout":
            self.records.append(Record(What.FORCED, at, FORCED))
        self.is_started, self.how, self.result = False, "", result

    def _stopped(self, at: float) -> None:
        # systemd does not announce a stop of a unit that is starting or reloading: then this stop was the end's cause.
        if self.records and self.records[-1].what is What.ENDED and at - self.records[-1].at < SAME_SECONDS:
            end = self.records.pop()
            if self.result == "timeout":
                self.records.append(Record(What.FORCED, end.at, FORCED))
        self.records.append(Record(What.ORDERED, at))
        self.is_started, self.is_stopping = False, False


def _how(code: str, status: str) -> str:
    if code == "exited":
        return f"{EXIT_STATUS}{status}"
    return killed_by(int(status)) if status.isdecimal() else "unknown"
