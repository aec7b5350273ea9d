"""PM950: a unit that systemd stops with the broker."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.lint.inputs import Finding, Part, Reader, Setting, finding
from procman.model import Level

STOPS_WITH = ("Requires", "BindsTo", "Requisite", "PartOf")
"""A stop or restart of the other unit stops or restarts this one (systemd.unit(5))."""

BROKER = re.compile(r"(?:redis|valkey|keydb|rabbitmq|kafka|mosquitto)[\w.@-]*\.(?:service|target)")


def broker_may_restart(part: Part) -> Iterator[Finding]:
    """Yield PM950."""
    if part.reader is not Reader.SYSTEMD or part.celery is None:
        return
    for each in part.settings:
        section, _, name = each.name.partition(".")
        brokers = [unit for unit in each.value.split() if BROKER.fullmatch(unit)]
        if section == "Unit" and name in STOPS_WITH and brokers:
            yield _finding(part, each, name, " ".join(brokers))


def _finding(part: Part, at: Setting, name: str, units: str) -> Finding:
    brokers = units.replace(" ", " or ")
    when = "stops or fails" if name == "BindsTo" else "is stopped"
    why = f"systemd stops this program whenever {brokers} {when}, and does not start it again with {brokers}"
    remedy = f"Wants={units} and After={units}: Celery reconnects by itself"
    return finding("PM950", Level.WARNING, part, at, at.name, why, remedy)
