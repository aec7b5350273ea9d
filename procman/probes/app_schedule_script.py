"""List the beat schedule of an app. procman puts this text before that of app_script.py."""

import importlib
from typing import Any, Dict, Iterable, List, Optional

if __name__ == "procman.probes.app_schedule_script":
    # As a probe, this text comes after it.
    from procman.agent.routed_queues import beat_entries

CRON_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
"""The fields of crontab(5) in its order; Celery's own text has another order in each version."""

UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def beat_schedule(app: Any) -> List[Dict[str, Optional[str]]]:
    """Return the entries of the beat schedule."""
    to_schedule = importlib.import_module("celery.schedules").maybe_schedule
    return [
        {"name": name, "task": str(entry.get("task")), "schedule": described(to_schedule(entry.get("schedule")))}
        for name, entry in beat_entries(app)
    ]


def described(schedule: Any) -> str:
    """Return when an entry is due: `every 5 minutes`, `cron 0 3 * * 1-5`, or else Celery's own text."""
    try:
        if hasattr(schedule, "_orig_minute"):
            return "cron " + " ".join(_cron_field(getattr(schedule, "_orig_" + name)) for name in CRON_FIELDS)
        if type(schedule).__name__ == "schedule":
            return _every(schedule.run_every.total_seconds())
    except (AttributeError, TypeError):
        pass
    return str(schedule).strip("<>")


def _cron_field(value: Any) -> str:
    if isinstance(value, (str, int)):
        return "".join(str(value).split())
    return _joined(value)


def _joined(values: Iterable[Any]) -> str:
    return ",".join(map(str, sorted(values)))


def _every(seconds: float) -> str:
    if seconds < 1 or seconds != int(seconds):
        return "every %g seconds" % seconds
    parts, rest = [], int(seconds)
    for unit, length in UNITS:
        count, rest = divmod(rest, length)
        if count:
            parts.append("%d %s%s" % (count, unit, "s" if count > 1 else ""))
    return "every " + (" ".join(parts) if len(parts) > 1 or not parts[0].startswith("1 ") else parts[0][2:])
