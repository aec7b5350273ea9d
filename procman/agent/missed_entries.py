"""Report which entries of beat were due while it was down, and whether Celery sends each now: Celery 4.4 to 5.7.

Celery keeps the time of the last run of each entry, and sends an entry once if it was due since then, however often. It
sends nothing if it has lost that time.
"""

import importlib
import os
from contextlib import suppress
from datetime import datetime
from time import monotonic, time
from typing import Any, Callable, List, NamedTuple, Optional

from . import beat_lock, due_times, heartbeat_format, missed_outcomes, missed_report, own_events, run_files
from .due_times import DueTimes
from .native_threads import start_thread
from .worker_state import EarlierBeat, WorkerState, described, printable

WORTH_SECONDS = 60.0
"""A due time that is sent this much later is not reported, nor is an interval of this length that begins again."""

MOST_ENTRIES = 10000
"""How many entries are looked at; the first tick shares Python's lock with this."""

CLEANUP = "celery.backend_cleanup"
"""Celery's own entry, which loses its last run at every start; the next night it does what it missed."""


class Entry(NamedTuple):
    """An entry of the schedule at the start of beat; a tick replaces the original."""

    name: str
    schedule: Any
    last_run_at: datetime
    """With the time zone that Celery computes in."""
    model: Any = None
    """Of django-celery-beat; None: the scheduler is another one."""
    is_left_out: bool = False
    """Whether the scheduler has not loaded it."""
    may_run: bool = True
    """Whether its model let it run before the first tick, which disables what has expired."""
    expires: Optional[float] = None
    """When its model ends it, in seconds since the epoch."""

    @property
    def last_run(self) -> float:
        """When it last ran, in seconds since the epoch."""
        return self.last_run_at.timestamp()

    @property
    def zoned(self) -> due_times.Zoned:
        """Its schedule in that zone."""
        return due_times.Zoned(self.schedule, self.last_run_at.tzinfo)


class Missed(NamedTuple):
    """An entry that was due while beat was down."""

    name: str
    times: DueTimes
    outcome: str


def earlier_beat(run_directory: str) -> EarlierBeat:
    """Return what the heartbeat in `run_directory` shows, before this process replaces it."""
    try:
        text = run_files.read(os.path.join(run_directory, heartbeat_format.FILE), heartbeat_format.MAX_BYTES)
        found = heartbeat_format.read(text or "")
    except (OSError, ValueError):
        return EarlierBeat()
    ticked = found["ticked"]
    if ticked is None and found["tick"] is not None:
        # An older procman wrote it.
        ticked = found["wall"]
    since_boot = found["wall"] - found["written"]
    return EarlierBeat(ticked, {each["name"]: since_boot + each["due"] for each in found["next_entries"]})


def follow(scheduler: Any, observed: WorkerState, report: Callable[[str], None]) -> None:
    """Report what `scheduler` missed, in a thread, from its entries as they are before the first tick."""
    # RedBeat's entries are in Redis, and only those that it sends now would be seen.
    if beat_lock.is_redbeat(scheduler):
        return
    at, earlier = time(), observed.earlier_beat
    if earlier.ticked is not None and earlier.ticked >= at:
        return  # the clock was set back
    entries = _entries(scheduler, at)

    def look() -> None:
        try:
            # Schedules take their time zone from the current app of the thread, and keep it.
            scheduler.app.set_current()
            _look(scheduler, entries, earlier, at, observed, report)
        except Exception as error:
            observed.missing["missed entries"] = described(error)

    start_thread(look)


def _look(
    scheduler: Any,
    entries: List[Entry],
    earlier: EarlierBeat,
    at: float,
    observed: WorkerState,
    report: Callable[[str], None],
) -> None:
    started = at - (monotonic() - observed.started)
    found = missed_entries(scheduler, entries + _left_out(scheduler, entries, at), earlier, at, started)
    if not found:
        return
    fields = missed_report.fields_of(found, earlier.ticked, at)
    observed.missed_entries = fields
    level, reason = missed_report.level_of(fields), missed_report.text_of(fields, at)
    report(f"PM404: {reason}")
    own_events.record(observed.settings, report, "missed", reason=reason, code="PM404", level=level)


def _entries(scheduler: Any, at: float) -> List[Entry]:
    return [
        _entry(scheduler, entry, getattr(entry, "model", None), at)
        for entry in list(scheduler.schedule.values())[:MOST_ENTRIES]
        if entry.name != CLEANUP
    ]


def _entry(scheduler: Any, entry: Any, model: Any, at: float) -> Entry:
    last_run = due_times.aware(entry.last_run_at)
    # As in the is_due() of its entries.
    in_zone = last_run if model is None else last_run.astimezone(scheduler.app.timezone)
    return Entry(
        printable(entry.name),
        entry.schedule,
        in_zone,
        model,
        is_left_out=entry is model,
        may_run=_may_run(model, at),
        expires=_expiry(model),
    )


def _left_out(scheduler: Any, entries: List[Entry], at: float) -> List[Entry]:
    """Return the enabled entries that a scheduler of django-celery-beat 2.8 has not loaded: those of other hours."""
    if not hasattr(scheduler, "enabled_models_qs"):
        return []
    database = importlib.import_module("django.db")
    try:
        known = {entry.model.name for entry in entries}
        models = [model for model in scheduler.Model.objects.enabled() if model.name not in known and model.last_run_at]
        return [_entry(scheduler, model, model, at) for model in models[:MOST_ENTRIES] if model.name != CLEANUP]
    finally:
        # Django opens a connection for each thread.
        database.connections.close_all()


def missed_entries(
    scheduler: Any, entries: List[Entry], earlier: EarlierBeat, at: float, started: float
) -> List[Missed]:
    """Return the entries that were due before `at` and after the `earlier` beat, those that are not sent
    first, then those that are seldom due."""
    forgot = _has_forgotten(entries, earlier, started)
    found = []
    for entry in entries:
        missed = None
        # Celery itself logs a schedule that cannot be calculated, or ends.
        with suppress(Exception):
            missed = _judged(scheduler, entry, earlier, at, is_new=entry.last_run >= started, forgot=forgot)
        if missed:
            found.append(missed)
    return sorted(found, key=lambda each: (each.outcome not in missed_outcomes.NOT_SENT, each.times.total))


def _has_forgotten(entries: List[Entry], earlier: EarlierBeat, started: float) -> bool:
    """Return whether the scheduler has lost the last runs: an entry that the earlier beat had is new, as all are."""
    is_new = all(entry.last_run >= started for entry in entries)
    return is_new and any(entry.name in earlier.due for entry in entries)


def _judged(
    scheduler: Any, entry: Entry, earlier: EarlierBeat, at: float, *, is_new: bool, forgot: bool
) -> Optional[Missed]:
    if not entry.may_run:
        return None
    every, since = due_times.interval_of(entry.schedule), earlier.ticked
    if is_new:
        if since is None or not forgot:
            return None
        # The time of the last run follows from when the entry was due next.
        due = earlier.due.get(entry.name, since + (every or 0.0))
        times = due_times.between(entry.zoned, since if every is None else due - every, since, at)
        outcome = missed_outcomes.FORGOTTEN
    else:
        until = at if entry.expires is None else min(at, entry.expires)
        times = due_times.between(entry.zoned, entry.last_run, max(entry.last_run, since or 0.0), until)
        outcome = _outcome(scheduler, entry, expired=until < at)
    if times is None:
        return None if is_new else _sent_again(entry, every, since, outcome)
    is_soon = at - times.first < WORTH_SECONDS or (is_new and every is not None and every <= WORTH_SECONDS)
    if is_soon and (every is not None or outcome == missed_outcomes.SENT):
        return None
    return Missed(entry.name, times, outcome) if outcome else None


def _sent_again(entry: Entry, every: Optional[float], since: Optional[float], outcome: str) -> Optional[Missed]:
    """Return an entry that Celery sends because its last run was not saved: beat was killed within three minutes."""
    if since is None or every is not None or outcome != missed_outcomes.SENT:
        return None
    times = due_times.between(entry.zoned, entry.last_run, entry.last_run, since)
    return Missed(entry.name, times, missed_outcomes.AGAIN) if times else None


def _outcome(scheduler: Any, entry: Entry, *, expired: bool) -> str:
    if expired:
        return missed_outcomes.EXPIRED
    if entry.is_left_out:
        return missed_outcomes.LEFT_OUT
    if entry.schedule.is_due(entry.last_run_at)[0]:
        return missed_outcomes.SENT
    has_deadline = getattr(scheduler.app.conf, "beat_cron_starting_deadline", None) is not None
    return missed_outcomes.DEADLINE if has_deadline else ""


def _may_run(model: Any, at: float) -> bool:
    """Return whether an entry of django-celery-beat is enabled, has started and does not run only once."""
    if model is None:
        return True
    start = getattr(model, "start_time", None)
    has_started = start is None or due_times.aware(start).timestamp() <= at
    is_over = getattr(model, "one_off", False) and model.total_run_count > 0
    return bool(getattr(model, "enabled", True)) and has_started and not is_over


def _expiry(model: Any) -> Optional[float]:
    expires = getattr(model, "expires", None)
    return None if expires is None else float(due_times.aware(expires).timestamp())
