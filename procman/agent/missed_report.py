"""Describe what a beat missed while it was down, the same in its heartbeat, events and health.

`procman install` installs this file beside the launcher; procman imports the same code.
"""

from typing import Any, Dict, List, Mapping, Optional, Sequence

from .due_times import MOST_COUNTED
from .local_time import local_time
from .missed_outcomes import AGAIN, DEADLINE, EXPIRED, FORGOTTEN, LEFT_OUT, NOT_SENT, SENT
from .verdict import OK, WARNING, format_duration

MOST_SHOWN = 5
MOST_KEPT = 10

DESCRIBED = {
    SENT: "Celery sends it now",
    AGAIN: "Celery sends it now, although it may have been sent then: its last run was not saved before a kill",
    DEADLINE: "not sent: later than beat_cron_starting_deadline",
    FORGOTTEN: "not sent: the schedule file is new, without its last run",
    EXPIRED: "not sent: it has expired",
    LEFT_OUT: "not sent now: its scheduler loads only the crontabs of nearby hours",
}


def fields_of(missed: Sequence[Any], down_since: Optional[float], at: float) -> Dict[str, Any]:
    """Return the fields of a heartbeat about `missed`, of which the first are kept."""
    return {
        "down_since": down_since,
        "missed_at": at,
        "missed_total": len(missed),
        "missed_lost": sum(1 for each in missed if each.outcome in NOT_SENT),
        "missed_entries": [
            {"name": each.name, "times": each.times.total, "last": round(each.times.last), "outcome": each.outcome}
            for each in missed[:MOST_KEPT]
        ],
    }


def level_of(fields: Mapping[str, Any]) -> str:
    """Return WARNING if a run is lost."""
    return WARNING if fields["missed_lost"] else OK


def text_of(fields: Mapping[str, Any], now: float) -> str:
    """Return a phrase whose "it" is beat; the times are those of this host."""
    shown = lines_of(fields, now)[:MOST_SHOWN]
    more = (fields["missed_total"] or 0) - len(shown)
    also = [f"{more} more {'entry was' if more == 1 else 'entries were'} due"] if more > 0 else []
    return f"{_downtime(fields, now)}; {'; '.join(shown + also)}"


def lines_of(fields: Mapping[str, Any], now: float) -> List[str]:
    """Return a line for each entry that is kept."""
    return [_entry(each, now) for each in fields["missed_entries"]]


def _downtime(fields: Mapping[str, Any], now: float) -> str:
    since, at = fields["down_since"], fields["missed_at"]
    if since is None:
        return f"it was down before {local_time(at, now)}"
    return f"it was down for {format_duration(at - since)} until {local_time(at, now)}"


def _entry(each: Mapping[str, Any], now: float) -> str:
    last = local_time(each["last"], now)
    return f"{each['name']} was due {_often(each['times'], last)}: {DESCRIBED[each['outcome']]}"


def _often(times: int, last: str) -> str:
    if times == 1:
        return f"at {last}"
    count = f"more than {MOST_COUNTED} times" if times > MOST_COUNTED else f"{times} times"
    return f"{count}, the last time at {last}"
