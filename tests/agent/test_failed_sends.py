"""Sends of beat that fail: real ones, and how long the agent remembers them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from procman.agent.failed_sends import HOUR, LATE_SECONDS, MOST_ENTRIES, FailedSends, count, types_of
from procman.agent.settings import HealthSettings
from procman.agent.worker_state import WorkerState
from tests.agent.conftest import Start
from tests.agent.heartbeats import Followed, Site
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_REDIS, CeleryEnvironment, environment_of
from tests.redis_server import running_redis

SECRET = "not-for-the-heartbeat"

ARGUMENT = f"""
class Unserialisable:
    def __repr__(self):
        return {SECRET!r}


app.conf.beat_schedule["broken"] = {{"task": "mysite.wait_for", "schedule": 0.2, "args": [Unserialisable()]}}
"""

REDIS = """
app.conf.update(broker_url={url!r}, broker_transport_options={{}})
"""


def _started(directory: Path, environment: CeleryEnvironment | None, start: Start, code: str, *words: str) -> Followed:
    assert environment is not None
    site = Site(install_launcher(directory, environment.python), start)
    site.app(code)
    return site.beat(*words, PROCMAN_STALE_SECONDS="1")


def _critical(found: dict[str, Any]) -> bool:
    verdict = found["verdict"]
    return (verdict["level"], verdict["code"], verdict["remedy"]) == ("CRITICAL", "PM402", "")


def test_argument_that_cannot_be_serialised_is_critical_and_not_healed(
    tmp_path: Path, celery_environment: CeleryEnvironment, start: Start
) -> None:
    beat = _started(tmp_path, celery_environment, start, ARGUMENT)
    found = beat.wait_for(lambda found: _critical(found) and found["failed_sends"] > 5, "it is critical")
    assert (found["failed_entry"], found["failed_entries"], found["missing"]) == ("broken", 1, [])
    assert "EncodeError" in found["failed_error"]
    assert found["next_entry"] in ("tick", "broken")
    assert SECRET not in (beat.run_directory / "heartbeat.json").read_text()
    assert beat.events() == []


@pytest.mark.celery
@pytest.mark.parametrize("scheduler", ["celery.beat:PersistentScheduler", "redbeat.RedBeatScheduler"])
def test_redis_without_memory_is_critical_until_it_accepts_messages_again(
    tmp_path: Path, start: Start, scheduler: str
) -> None:
    # RedBeat exits if the Redis of its schedule has no memory.
    (tmp_path / "of-the-schedule").mkdir()
    with running_redis(tmp_path) as redis, running_redis(tmp_path / "of-the-schedule") as schedule:
        code = REDIS.format(url=redis.url()) + f"app.conf.redbeat_redis_url = {schedule.url()!r}\n"
        beat = _started(tmp_path, environment_of(CELERY_REDIS), start, code, "-S", scheduler)
        beat.wait_until_healthy()
        redis.ask("CONFIG", "SET", "maxmemory", 1)
        found = beat.wait_for(_critical, "it is critical")
        assert found["failed_entry"] == "tick"
        assert "OutOfMemoryError" in found["failed_error"]
        redis.ask("CONFIG", "SET", "maxmemory", 0)
        assert beat.wait_until_healthy()["failed_since"] is None
        assert beat.events() == []


# How long a failure is remembered ------------------------------------------------------------------------------------


class Broken(Exception):
    """The error of a send that fails."""


class Schedule:
    """A scheduler, its entries, and whether its sends fail."""

    def __init__(self) -> None:
        self.observed = WorkerState(HealthSettings("catmaid-celery-beat", "beat", "."))
        self.fails = True
        count(self, self.observed)

    def apply_async(self, _: Any, **__: Any) -> None:
        if self.fails:
            raise Broken(SECRET)

    def send(self, name: str, remaining: Callable[[Any], timedelta]) -> None:
        due = SimpleNamespace(remaining_estimate=remaining)
        entry = SimpleNamespace(name=name, schedule=due, default_now=lambda: datetime.now(timezone.utc))
        try:
            self.apply_async(entry, producer=None)
        except Broken:
            assert self.fails

    def fields(self, later: float = 0.0) -> dict[str, Any]:
        return dict(self.observed.failed_sends(monotonic() + later))


def every(seconds: float) -> Callable[[Any], timedelta]:
    return lambda _: timedelta(seconds=seconds)


def unknown(_: Any) -> timedelta:
    raise NotImplementedError


def test_success_of_the_same_entry_ends_a_failure() -> None:
    schedule = Schedule()
    for name in ("hourly", "hourly", "nightly"):
        schedule.send(name, every(60))
    found = schedule.fields()
    assert (found["failed_entry"], found["failed_sends"], found["failed_entries"]) == ("hourly", 2, 2)
    assert found["failed_error"] == "Broken"
    schedule.fails = False
    schedule.send("other", every(60))
    schedule.send("hourly", every(60))
    assert schedule.fields()["failed_entry"] == "nightly"
    schedule.send("nightly", every(60))
    assert schedule.fields() == {}


@pytest.mark.parametrize(
    ("remaining", "seconds"),
    [(every(86400), 86400), (every(5), 5), (every(-9), HOUR), (unknown, HOUR)],
    ids=["nightly", "often", "runs once", "unknown"],
)
def test_entry_that_is_no_longer_sent_is_forgotten(remaining: Callable[[Any], timedelta], seconds: float) -> None:
    schedule = Schedule()
    schedule.send("removed", remaining)
    assert schedule.fields(later=seconds + LATE_SECONDS - 5)["failed_entry"] == "removed"
    assert schedule.fields(later=seconds + LATE_SECONDS + 5) == {}


def test_number_of_remembered_entries_is_bounded() -> None:
    schedule = Schedule()
    for number in range(2 * MOST_ENTRIES):
        schedule.send(f"entry-{number}", every(60))
    assert schedule.fields()["failed_entries"] == MOST_ENTRIES


def test_failure_of_the_count_reaches_no_send() -> None:
    observed = WorkerState(HealthSettings("catmaid-celery-beat", "beat", "."))
    entry_without_a_name = object()

    def send(_: Any) -> None:
        raise Broken

    with pytest.raises(Broken):
        FailedSends().counted(send, observed)(entry_without_a_name)
    assert observed.missing == {"sends": "AttributeError"}


def test_scheduler_without_apply_async_is_left_alone() -> None:
    observed = WorkerState(HealthSettings("catmaid-celery-beat", "beat", "."))
    count(object(), observed)
    assert observed.failed_sends(monotonic()) == {}


def test_types_of_an_error_and_its_causes_are_shown_without_messages() -> None:
    def chain(*names: str) -> BaseException:
        errors: list[BaseException] = [type(name, (Exception,), {})(SECRET) for name in names]
        for error, cause in pairwise(errors):
            error.__context__ = cause
        return errors[0]

    assert types_of(chain("SchedulingError", "OperationalError", "OutOfMemoryError", "OSError")) == (
        "OperationalError: OutOfMemoryError"
    )
    assert types_of(chain("SchedulingError", "Broken")) == "Broken"
    assert types_of(chain("SchedulingError")) == "SchedulingError"
    assert types_of(chain("Broken", "OSError")) == "Broken"
