"""PM404: report what beat missed while it was down, and what of that Celery does not send."""

from __future__ import annotations

import time
from collections.abc import Iterator

from procman.agent.missed_report import level_of, text_of
from procman.model import Level, Result
from procman.monitoring.checks.inputs import ProjectSnapshot

SHOWN_SECONDS = {Level.OK: 3600.0, Level.WARNING: 86400.0}
"""How long it is reported; at most until beat starts again."""


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield what each beat missed before its last start."""
    for snapshot in running.up:
        says, name, now = snapshot.says, snapshot.program.name, time.time()
        if says.get("missed_at") is None:
            continue
        level = Level[level_of(says)]
        if now - says["missed_at"] > SHOWN_SECONDS[level]:
            continue
        hint = (
            f"run what is needed by hand (celery call TASK); procman restart {name} ends this report" if level else ""
        )
        values = {"missed_entries": float(says["missed_total"] or 0), "lost_entries": float(says["missed_lost"] or 0)}
        yield Result("PM404", name, level, text_of(says, now), hint if level else "", values)
