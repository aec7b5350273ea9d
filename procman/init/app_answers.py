"""Put the answers of the app into the draft."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from procman.config.read_programs import DEFAULT_STOP_TIMEOUT_SECONDS
from procman.host.local_units import units_in_use
from procman.init.draft import Draft
from procman.init.scan_host import runs_systemd
from procman.model import Scope
from procman.probes.app import AppFacts
from procman.project import Program

BEAT_WITH_FILE = "PersistentScheduler"
SPARE_SECONDS = 20
"""The time a worker may need to exit after its last task."""


def take_facts(draft: Draft, facts: AppFacts, scope: Scope, root: Path) -> None:
    """Put the app's answers into `draft`; `root` is the root directory of the host, for the units of its services."""
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    draft.found("versions", f"Python {facts.python}, {versions}")
    for what, problem in facts.problems.items():
        draft.warn(f"cannot read the app's {what}: {problem}")
    _take_settings(draft, facts)
    _take_broker(draft, facts)
    if scope is Scope.SYSTEM and runs_systemd(root):
        _take_services(draft, facts, root)
    _take_queues(draft, facts)
    _take_times(draft, facts)
    _take_beat(draft, facts)


def _take_settings(draft: Draft, facts: AppFacts) -> None:
    named = draft.text("project", "settings")
    if facts.settings and not draft.is_import:
        draft.put("project", "settings", facts.settings)
    if named and facts.settings and facts.settings != named:
        draft.warn(f"the app uses the settings {facts.settings} and ignores DJANGO_SETTINGS_MODULE ({named})")
    _take_places(draft, facts)


def _take_places(draft: Draft, facts: AppFacts) -> None:
    """Put the directories that the app names into `writable_paths`; a missing one would fail every check."""
    named = [(name, str(value)) for name, value in facts.django.items()]
    named += [("the broker's transport", place) for place in facts.broker_directories]
    named = [(name, place) for name, place in named if place.startswith("/") and "***" not in place]
    places = dict.fromkeys(place for _, place in named)
    highest = [place for place in places if not any(_is_below(place, other) for other in places)]
    # Path.exists() raises an error in an inaccessible directory.
    there = [place for place in highest if os.path.exists(place)]  # noqa: PTH110
    if there:
        draft.put("project", "writable_paths", there)
        draft.found("writable paths", ", ".join(there))
    for missing in [place for place in highest if place not in there]:
        names = ", ".join(name for name, place in named if place == missing)
        draft.warn(
            f"{missing} ({names}) does not exist, so it is not in writable_paths: if tasks write to it, create it "
            "and add it there (under systemd, the sandbox makes other directories read-only)"
        )


def _is_below(place: str, other: str) -> bool:
    return Path(place) != Path(other) and Path(place).is_relative_to(other)


def _take_broker(draft: Draft, facts: AppFacts) -> None:
    if facts.missing_module:
        draft.warn(
            f"the virtualenv lacks the Python package {facts.missing_module}: pip install 'celery[{facts.transport}]'"
        )
    if facts.broker_urls:
        draft.found("broker", "; ".join(facts.broker_urls))


def _take_services(draft: Draft, facts: AppFacts, root: Path) -> None:
    """Put the units of the services on this host into `after`, so that a reboot stops them after the programs."""
    named = {unit: ", ".join(uses) for unit, uses in units_in_use(facts.services, root).items()}
    for unit, what in named.items():
        draft.found("unit", unit, what)
    if named:
        reasons = "; ".join(f"{unit}: {what}" for unit, what in named.items())
        remark = f"The app uses them on this host ({reasons}): stopped first, they would fail the running tasks."
        known = draft.tables["project"].pop("after", [])
        assert isinstance(known, list)
        draft.put("project", "after", list(dict.fromkeys([*known, *named])), remark)


def _take_queues(draft: Draft, facts: AppFacts) -> None:
    queues = sorted({*facts.queues, *facts.routed_queues})
    workers = [table for table in draft.tables if re.fullmatch(r"worker\.[^.]+", table)]
    draft.found("queues", ", ".join(queues))
    if len(workers) != 1 or draft.is_import:
        consumed = {queue for table in workers for queue in _queues(draft, table, facts)}
        for queue in queues:
            if queue not in consumed:
                draft.warn(f"no worker consumes queue {queue}")
    elif len(queues) > 1:
        only_routed = sorted(set(facts.routed_queues) - set(facts.queues))
        remark = (
            f"The app routes tasks to {', '.join(only_routed)}, which no worker consumes by default."
            if only_routed
            else ""
        )
        draft.put(workers[0], "queues", queues, remark)


def _queues(draft: Draft, table: str, facts: AppFacts) -> list[str]:
    queues = draft.get(table, "queues")
    return [str(queue) for queue in queues] if isinstance(queues, list) else list(facts.queues)


def _take_times(draft: Draft, facts: AppFacts) -> None:
    start = math.ceil(2 * facts.import_seconds)
    limit = facts.options.get("task_time_limit")
    stop = math.ceil(limit) + SPARE_SECONDS if isinstance(limit, int | float) else 0
    for table in [each for each in draft.tables if re.fullmatch(r"worker\.[^.]+|beat", each)]:
        if start > Program.start_seconds:
            draft.put(table, "start_seconds", start, f"Importing the app took {facts.import_seconds:.1f} s.")
        if table != "beat" and stop > DEFAULT_STOP_TIMEOUT_SECONDS["worker"]:
            draft.put(table, "stop_timeout_seconds", stop, f"Tasks may take {limit:g} s (task_time_limit).")


def _take_beat(draft: Draft, facts: AppFacts) -> None:
    keeps_file = facts.beat_scheduler.endswith(BEAT_WITH_FILE)
    for entry in facts.beat_schedule:
        draft.found("periodic task", entry.name, entry.schedule)
    if facts.beat_schedule and facts.timezone:
        draft.found("time zone", facts.timezone, "of the periodic tasks")
    has_schedule = bool(facts.beat_schedule or (facts.beat_scheduler and not keeps_file))
    if draft.is_import and has_schedule and "beat" not in draft.tables:
        draft.warn("the app has periodic tasks, and no beat was imported: add [beat] unless a beat runs elsewhere")
    elif has_schedule:
        draft.tables.setdefault("beat", {})
    if "beat" in draft.tables and facts.beat_scheduler and not keeps_file:
        draft.put(
            "beat", "scheduler", facts.beat_scheduler, "It keeps the schedule itself, so there is no schedule file."
        )
        draft.found("scheduler", facts.beat_scheduler)
    if "beat" in draft.tables and not facts.beat_schedule and keeps_file:
        draft.warn("the app has no periodic tasks, so [beat] has nothing to do")
