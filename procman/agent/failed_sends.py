"""Count the sends of beat that fail: Celery's schedulers log the error and plan the entry's next run all the same."""

from time import monotonic
from typing import Any, Callable, Dict, Mapping, NamedTuple

from .worker_state import WorkerState, described, printable

MOST_ENTRIES = 100
"""How many failing entries are remembered."""

HOUR = 3600.0
LATE_SECONDS = 300.0
"""How late the next send of an entry may be; an entry that is not sent by then was removed from the schedule."""

WRAPPERS = ("SchedulingError", "OperationalError", "EncodeError")
"""The exceptions of Celery and kombu that hide what happened."""


class Failed(NamedTuple):
    """The sends of an entry since the last one that did not fail."""

    sends: int
    since: float
    error: str
    next_due: float


def count(scheduler: Any, observed: WorkerState) -> None:
    """Count the failed sends of `scheduler` from now on; do nothing for one that has no `apply_async`."""
    send = getattr(scheduler, "apply_async", None)
    if send is not None:
        sends = FailedSends()
        scheduler.apply_async = sends.counted(send, observed)
        observed.failed_sends = sends.fields


class FailedSends:
    """The entries whose last send failed."""

    def __init__(self) -> None:
        # Replaced as a whole and never changed: the main thread writes it, and the heartbeat's thread reads it.
        self._failed: Mapping[str, Failed] = {}

    def counted(self, send: Callable[..., Any], observed: WorkerState) -> Callable[..., Any]:
        """Return `send`, which has the entry as its first argument, with its failures counted."""

        def sending(entry: Any, *arguments: Any, **more: Any) -> Any:
            try:
                result = send(entry, *arguments, **more)
            except Exception as error:
                self._guarded(observed, self._note_failure, entry, error)
                raise
            self._guarded(observed, self._note_success, entry)
            return result

        return sending

    def fields(self, now: float) -> Mapping[str, Any]:
        """Return the fields of a heartbeat about the entry that has failed for the longest time; empty if none has."""
        failed = self._current(now)
        if not failed:
            return {}
        name = min(failed, key=lambda each: failed[each].since)
        return {
            "failed_entry": name,
            "failed_sends": failed[name].sends,
            "failed_since": failed[name].since,
            "failed_error": failed[name].error,
            "failed_entries": len(failed),
        }

    def _guarded(self, observed: WorkerState, note: Callable[..., None], *arguments: Any) -> None:
        try:
            note(*arguments)
        except Exception as error:
            observed.missing["sends"] = described(error)

    def _note_failure(self, entry: Any, error: BaseException) -> None:
        name, now = printable(entry.name), monotonic()
        failed = self._current(now)
        before = failed.get(name)
        if before is None and len(failed) >= MOST_ENTRIES:
            return
        sends, since = (before.sends, before.since) if before else (0, now)
        failed[name] = Failed(sends + 1, since, types_of(error), now + _seconds_until_next(entry))
        self._failed = failed

    def _note_success(self, entry: Any) -> None:
        if self._failed:
            name = printable(entry.name)
            self._failed = {other: each for other, each in self._failed.items() if other != name}

    def _current(self, now: float) -> Dict[str, Failed]:
        return {name: each for name, each in self._failed.items() if now <= each.next_due + LATE_SECONDS}


def types_of(error: BaseException) -> str:
    """Return the types of an error and its causes, without Celery's wrapper: `EncodeError: TypeError`.

    Never their messages, which may contain arguments or the broker's URL: every user can read a heartbeat.
    """
    names = [described(error)]
    while names[-1] in WRAPPERS and len(names) <= len(WRAPPERS):
        cause = error.__cause__ or error.__context__
        if cause is None:
            break
        error = cause
        names.append(described(error))
    shown = names[1:] if len(names) > 1 and names[0] == WRAPPERS[0] else names
    return printable(": ".join(dict.fromkeys(shown)))


def _seconds_until_next(entry: Any) -> float:
    """Return in how many seconds the schedule sends `entry` again after now; an hour if that is unknown."""
    try:
        # Unlike is_due, this has no side effect in any schedule of Celery or django-celery-beat.
        seconds = float(entry.schedule.remaining_estimate(entry.default_now()).total_seconds())
    except Exception:
        return HOUR
    # A task that runs once is not sent again.
    return seconds if seconds > 0 else HOUR
