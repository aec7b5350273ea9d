"""List the beat schedule of an app. procman puts this text before that of app_script.py."""

import importlib
from typing import Any, Dict, List, Optional

if __name__ == "procman.probes.app_schedule_script":
    # As a probe, this text comes after it.
    from procman.agent.routed_queues import beat_entries


def beat_schedule(app: Any) -> List[Dict[str, Optional[str]]]:
    """Return the entries of the beat schedule, in Celery's words."""
    to_schedule = importlib.import_module("celery.schedules").maybe_schedule
    return [
        {"name": name, "task": str(entry.get("task")), "schedule": str(to_schedule(entry.get("schedule"))).strip("<>")}
        for name, entry in beat_entries(app)
    ]
