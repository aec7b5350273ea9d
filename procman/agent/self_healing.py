"""Stop an unhealthy program gracefully from inside while it can still act; its process manager restarts it."""

import _thread
import json
import os
import signal
from time import monotonic, time
from typing import Any, Callable, Dict, List, Mapping, Optional

from . import heartbeat_format, own_events, run_files, strict_json, verdict
from .verdict import Verdict
from .worker_state import WorkerState

HOUR = 3600.0


class SelfHealing:
    """Follow the verdicts on this program, and act when several in a row are the same."""

    def __init__(self, observed: WorkerState, report: Callable[[str], None]) -> None:
        self._observed = observed
        self._report = report
        self._main_thread = _thread.get_ident()
        self._code = ""
        self._failures = 0
        self._next_look = 0.0
        self._asked_at: Optional[float] = None
        self._has_given_up = False
        self._was_healed = False
        self.withholds = False
        """Whether to withhold the watchdog messages from systemd, because the main process does not react."""

    def look(self, heartbeat: Mapping[str, Any], found: Verdict) -> None:
        """Consider one heartbeat and its verdict; at most one failure counts per interval."""
        now = monotonic()
        self._observed.held = is_held(self._observed.settings.hold_file)
        if self._asked_at is not None:
            self._insist(now - self._asked_at)
            return
        if not self._is_remediable(found):
            self._code, self._failures, self._next_look = "", 0, now
            self._note_recovery(heartbeat, found)
            return
        if found.code != self._code:
            self._code, self._failures, self._next_look = found.code, 0, now
        if now >= self._next_look:
            self._failures += 1
            self._next_look = now + self._observed.settings.interval_seconds
        if self._failures >= self._observed.settings.failures:
            self._heal(heartbeat, found, now)

    def _is_remediable(self, found: Verdict) -> bool:
        if not self._observed.settings.heal or self._observed.held or found.level != verdict.CRITICAL:
            return False
        return found.remedy == verdict.WARM

    def _heal(self, heartbeat: Mapping[str, Any], found: Verdict, now: float) -> None:
        settings = self._observed.settings
        recent = self._recent(now)
        if recent is None or len(recent) >= settings.restarts_per_hour:
            self._give_up(heartbeat, found, recent)
            return
        restarts = [*recent, {"boot_id": settings.boot_id, "at": now, "wall": time(), "code": found.code}]
        try:
            self._remember({"format": 1, "restarts": restarts, "open": found.code})
        except OSError as error:
            # Without this record the restarts would never stop.
            self._report(f"{found.code}: {found.reason}; not restarted: cannot write healed.json: {error.strerror}")
            self._next_look = now + settings.interval_seconds
            self._failures = 0
            return
        action = "stops itself gracefully"
        self._report(f"{found.code}: {found.reason}; the program {action} (self-healing)")
        self._record("healing", heartbeat, found, action)
        self._asked_at = now
        # A signal to another thread would not interrupt a blocking call of the main thread.
        signal.pthread_kill(self._main_thread, signal.SIGTERM)

    def _insist(self, waited: float) -> None:
        """Let systemd end a main thread that does not react, which it does once the stop timeout is over."""
        has_heard = self._observed.phase == verdict.STOPPING
        if not has_heard and waited > self._observed.settings.stale_seconds:
            self.withholds = True

    def _give_up(self, heartbeat: Mapping[str, Any], found: Verdict, recent: Optional[List[Any]]) -> None:
        if not self._has_given_up:
            self._has_given_up = True
            limit = self._observed.settings.restarts_per_hour
            why = "cannot read healed.json" if recent is None else f"restarts_per_hour = {limit} is reached"
            self._report(f"{found.code}: {found.reason}; not restarted: {why}")
            self._record("gave-up", heartbeat, found, f"nothing: {why}")

    def _note_recovery(self, heartbeat: Mapping[str, Any], found: Verdict) -> None:
        """Record once that the restarted process works, not merely that its first heartbeats are healthy."""
        settings = self._observed.settings
        waited = heartbeat["written"] - heartbeat["phase_since"] > settings.stall_seconds + settings.stale_seconds
        works = heartbeat["finished"] or heartbeat["tick"] or waited
        if found.code != "PM200" or not works or self._was_healed:
            return
        self._was_healed = True
        try:
            memory = self._memory()
            code = memory.get("open")
            if code:
                memory["open"] = None
                self._remember(memory)
                self._record("healed", {"tasks": []}, found._replace(code=str(code)), "was restarted")
        except (OSError, ValueError):
            return

    # Files -----------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return os.path.join(self._observed.settings.run_directory, name)

    def _memory(self) -> Dict[str, Any]:
        text = run_files.read(self._path("healed.json"), heartbeat_format.MAX_BYTES)
        memory = {} if text is None else strict_json.parse(text)
        if not isinstance(memory, dict):
            raise ValueError("healed.json has the wrong type")
        return memory

    def _recent(self, now: float) -> Optional[List[Any]]:
        """Return the restarts within the last hour of this boot; None if they are unknown."""
        try:
            restarts = self._memory().get("restarts", [])
            boot_id = self._observed.settings.boot_id
            return [each for each in restarts if each["boot_id"] == boot_id and 0 <= now - each["at"] < HOUR]
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _remember(self, memory: Mapping[str, Any]) -> None:
        run_files.replace(self._path("healed.json"), json.dumps(memory))

    def _record(self, what: str, heartbeat: Mapping[str, Any], found: Verdict, action: str) -> None:
        own_events.record(
            self._observed.settings,
            self._report,
            what,
            reason=found.reason,
            code=found.code,
            level=found.level,
            action=action,
            tasks=[task["name"] for task in heartbeat["tasks"]],
            task_ids=[task.get("id") or "" for task in heartbeat["tasks"]],
        )


def is_held(path: Optional[str]) -> bool:
    """Return whether the file at `path` is an administrator's hold; an unreadable one holds as well."""
    if path is None:
        return False
    try:
        text = run_files.read(path, heartbeat_format.MAX_BYTES)
        if text is None:
            return False
        until = strict_json.parse(text).get("until")
        return until is None or not float(until) <= time()
    except (OSError, ValueError, TypeError, AttributeError):
        return True
