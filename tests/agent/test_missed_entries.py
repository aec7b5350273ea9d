"""What real beats of each Celery report after they were down, compared with what they then send."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from procman.agent.settings import HealthSettings, read_settings
from procman.agent.worker_state import WorkerState
from tests.agent.conftest import Start
from tests.agent.heartbeats import Followed, Site
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_REDIS, CeleryEnvironment, environment_of
from tests.redis_server import running_redis

pytestmark = pytest.mark.celery

HOURS = 3600.0

SCHEDULE = """
from celery.schedules import crontab

app.conf.beat_schedule = {{
    "nightly": {{"task": "mysite.touch", "schedule": crontab(minute={minute}, hour={hour})}},
    "minutely": {{"task": "mysite.touch", "schedule": crontab()}},
    "hourly": {{"task": "mysite.touch", "schedule": 3600.0}},
    "later": {{"task": "mysite.touch", "schedule": 86400.0}},
    "pace": {{"task": "mysite.touch", "schedule": 0.5}},
}}
app.conf.beat_max_loop_interval = 0.5
"""
"""`nightly` is due two hours before the test; `pace` shows that the first ticks are over."""

WRITE = """
import json, sys
from datetime import datetime
from celery.beat import PersistentScheduler
from mysite import app

scheduler = PersistentScheduler(app=app, schedule_filename=sys.argv[1])
for name, last_run in json.loads(sys.argv[2]).items():
    scheduler.schedule[name].last_run_at = datetime.fromtimestamp(last_run, app.timezone)
scheduler.close()
"""

ALL = ("nightly", "minutely", "hourly", "later", "pace")


@dataclass
class Down:
    """A beat that was down, before its next start."""

    site: Site
    schedule: Path
    broker: Path
    now: float

    def last_ran(self, **hours: float) -> None:
        """Write a schedule file in which each entry ran so many hours ago."""
        last_runs = {name: self.now - each * HOURS for name, each in hours.items()}
        self.run(WRITE, str(self.schedule), json.dumps(last_runs))

    def run(self, *words: str) -> None:
        """Run code in the project."""
        self.broker.mkdir(exist_ok=True)
        subprocess.run(
            [str(self.site.installation.python), "-c", *words],
            cwd=self.site.installation.project,
            env={"BROKER_DIRECTORY": str(self.broker), "PATH": "/usr/bin:/bin"},
            check=True,
            timeout=120,
        )

    def stopped(self, hours: float, *next_due: str) -> None:
        """Write the heartbeat of a beat that stopped ticking so many hours ago, with some entries due soon."""
        state = WorkerState(HealthSettings("catmaid-celery-beat", "beat", ".", boot_id=read_settings({}).boot_id))
        state.tick, state.tick_due = time.monotonic(), time.monotonic() - hours * HOURS
        state.next_entries = [{"name": name, "due": state.tick_due + 60} for name in next_due]
        heartbeat = {**state.heartbeat(time.monotonic()), "verdict": None}
        (self.site.installation.run_directory / "heartbeat.json").write_text(json.dumps(heartbeat))

    def start(self, *words: str, **more: str) -> Followed:
        return self.site.beat(*words, **more)


@pytest.fixture
def down(tmp_path: Path, celery_environment: CeleryEnvironment, start: Start) -> Down:
    return _down(tmp_path, celery_environment, start)


def _down(directory: Path, environment: CeleryEnvironment, start: Start, more: str = "") -> Down:
    # Not in the last seconds of a minute, so that nothing is due between a test's clock and beat's.
    time.sleep(max(0.0, 61 - time.time() % 60 - 0.5) if time.time() % 60 > 50 else 0.0)
    now = time.time()
    due = datetime.fromtimestamp(now, timezone.utc) - timedelta(hours=2)
    site = Site(install_launcher(directory, environment.python), start)
    site.app(SCHEDULE.format(minute=due.minute, hour=due.hour) + more)
    return Down(site, directory / "schedule", directory / "broker", now)


def _reported(beat: Followed) -> dict[str, Any]:
    found = beat.wait_for(lambda found: found["missed_at"] is not None, "it reports what it missed")
    assert found["missing"] == []
    return found


def _outcomes(found: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {each["name"]: (each["outcome"], each["times"]) for each in found["missed_entries"]}


def _sent(beat: Followed) -> set[str]:
    """Return the entries that it sends at first; whatever is due has been sent before `pace` a second time."""
    beat.launched.wait_for("Sending due task pace", times=3)
    return set(re.findall(r"Sending due task (\S+) ", beat.launched.text))


def test_every_missed_entry_is_reported_and_sent_once(down: Down) -> None:
    down.last_ran(nightly=23, minutely=4, hourly=3.5, later=4, pace=0)
    down.stopped(3)
    beat = down.start()
    found = _reported(beat)
    assert _outcomes(found) == {"nightly": ("sent", 1), "hourly": ("sent", 3), "minutely": ("sent", 21)}
    assert (found["missed_total"], found["missed_lost"]) == (3, 0)
    assert found["missed_at"] - found["down_since"] == pytest.approx(3 * HOURS, abs=30)
    last = {each["name"]: each["last"] for each in found["missed_entries"]}
    assert last["nightly"] == pytest.approx(down.now // 60 * 60 - 2 * HOURS, abs=1)
    assert last["minutely"] == pytest.approx(found["missed_at"] // 60 * 60, abs=1)
    assert last["hourly"] == pytest.approx(down.now - 0.5 * HOURS, abs=1)
    assert _sent(beat) == {"nightly", "hourly", "minutely", "pace"}
    [event] = beat.events()
    text = event["reason"]
    assert (event["what"], event["code"], event["level"]) == ("missed", "PM404", "OK")
    assert re.search(
        r"it was down for 3h\w* until .* UTC; nightly was due at .*: Celery sends it now;", event["reason"]
    )
    assert "minutely was due more than 20 times, the last time at" in text
    assert f"PM404: {text}" in beat.launched.text


def test_minutes_of_a_crontab_are_counted(down: Down) -> None:
    down.last_ran(nightly=1, minutely=0.05, hourly=0.1, later=0.1, pace=0)
    down.stopped(0.05)
    assert _outcomes(_reported(down.start())) == {"minutely": ("sent", 3)}


def test_restart_that_misses_nothing_reports_nothing(down: Down) -> None:
    down.last_ran(nightly=1, minutely=0.001, hourly=0.1, later=0.1, pace=0.002)
    down.stopped(0.002)
    beat = down.start()
    assert "pace" in _sent(beat)
    found = beat.wait_for(lambda found: found["tick"] is not None, "it has ticked")
    assert (found["missed_at"], found["missed_entries"], beat.events()) == (None, [], [])
    assert found["ticked"] == pytest.approx(time.time(), abs=3)


def test_lost_schedule_file_sends_nothing_of_what_was_due(down: Down) -> None:
    down.stopped(3, "hourly")
    beat = down.start()
    found = _reported(beat)
    # The heartbeat shows when hourly was due; without it, later could have been due at any time.
    assert _outcomes(found) == {
        "nightly": ("forgotten", 1),
        "hourly": ("forgotten", 3),
        "minutely": ("forgotten", 21),
    }
    assert found["missed_lost"] == 3
    assert _sent(beat) <= {"pace", "minutely"}
    assert beat.launched.text.count("Sending due task minutely") <= 1
    [event] = beat.events()
    assert event["level"] == "WARNING"
    assert "not sent: the schedule file is new" in event["reason"]


def test_beat_that_was_never_started_here_missed_nothing(down: Down) -> None:
    beat = down.start()
    assert _sent(beat) <= {"pace", "minutely"}
    assert beat.heartbeat()["missed_at"] is None


def test_schedule_file_without_a_heartbeat_tells_what_was_due(down: Down) -> None:
    down.last_ran(nightly=23, minutely=0, hourly=1.5, later=4, pace=0)
    beat = down.start()
    found = _reported(beat)
    assert _outcomes(found) == {"nightly": ("sent", 1), "hourly": ("sent", 1)}
    assert found["down_since"] is None
    assert {"nightly", "hourly"} <= _sent(beat)


def test_killed_beat_reports_what_it_sends_again(down: Down) -> None:
    # The file is from before the last run of nightly, as it is when beat is killed within three minutes.
    down.last_ran(nightly=23, minutely=0.01, hourly=0.5, later=4, pace=0)
    down.stopped(1)
    beat = down.start()
    assert _outcomes(_reported(beat))["nightly"] == ("again", 1)
    assert "nightly" in _sent(beat)


def test_beat_killed_while_it_ticks_is_followed_by_one_that_counts_from_then(down: Down) -> None:
    down.last_ran(nightly=1, minutely=0, hourly=0.1, later=0.1, pace=0)
    first = down.start()
    first.wait_until_healthy()
    ticked = first.wait_for(lambda found: found["ticked"] is not None, "it has ticked")["ticked"]
    first.launched.end(signal.SIGKILL)
    second = down.start()
    found = second.wait_for(lambda found: found["ticked"] > ticked, "it has ticked as well")
    assert found["missed_at"] is None


ZONE = """
app.conf.timezone = "Asia/Kathmandu"
app.conf.beat_schedule["nightly"]["schedule"] = crontab(minute={minute}, hour={hour})
"""
KATHMANDU = timezone(timedelta(hours=5, minutes=45))


def test_crontab_is_of_the_time_zone_of_the_app(
    tmp_path: Path, celery_environment: CeleryEnvironment, start: Start
) -> None:
    due = datetime.now(KATHMANDU) - timedelta(hours=2)
    down = _down(tmp_path, celery_environment, start, ZONE.format(minute=due.minute, hour=due.hour))
    down.last_ran(nightly=23, minutely=0, hourly=0.5, later=4, pace=0)
    down.stopped(3)
    beat = down.start()
    [found] = _reported(beat)["missed_entries"]
    assert (found["name"], found["times"], found["outcome"]) == ("nightly", 1, "sent")
    assert found["last"] == pytest.approx(due.timestamp() // 60 * 60, abs=1)
    assert "nightly" in _sent(beat)


DEADLINE = """
app.conf.beat_cron_starting_deadline = 600
"""


def test_crontab_beyond_the_deadline_is_reported_as_lost(tmp_path: Path, start: Start) -> None:
    environment = environment_of(CELERY_REDIS)
    assert environment is not None
    down = _down(tmp_path, environment, start, DEADLINE)
    down.last_ran(nightly=23, minutely=0.1, hourly=3.5, later=4, pace=0)
    down.stopped(3)
    beat = down.start()
    found = _reported(beat)
    assert _outcomes(found) == {"nightly": ("deadline", 1), "hourly": ("sent", 3), "minutely": ("sent", 6)}
    assert found["missed_lost"] == 1
    assert _sent(beat) == {"hourly", "minutely", "pace"}


DJANGO = """
import django
from django.conf import settings

settings.configure(
    USE_TZ=True,
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r}}}}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django_celery_beat"],
    MIGRATION_MODULES=dict.fromkeys(["contenttypes", "django_celery_beat"]),
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()
app.conf.beat_schedule = {{}}
"""
FILL = """
import mysite
from datetime import datetime, timedelta, timezone
from django.core.management import call_command
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

call_command("migrate", run_syncdb=True, verbosity=0)
now = datetime.now(timezone.utc)
hour = timedelta(hours=1)
hourly = IntervalSchedule.objects.create(every=1, period="hours")
second = IntervalSchedule.objects.create(every=1, period="seconds")


def daily(hours):
    due = now - hours * hour
    return CrontabSchedule.objects.create(minute=due.minute, hour=due.hour)


def add(name, last_run, **more):
    PeriodicTask.objects.create(name=name, task="mysite.touch", last_run_at=now - last_run * hour, **more)


add("near", 25, crontab=daily(1))
# At any hour, it loads the entries of the fourth: Celery's own are due then.
add("far", 31, crontab=daily(7 if (now - 6 * hour).hour == 4 else 6))
add("hourly", 8.5, interval=hourly)
add("expired", 8.5, interval=hourly, expires=now - 4 * hour)
add("disabled", 8.5, interval=hourly, enabled=False)
add("once", 8.5, interval=hourly, one_off=True, total_run_count=1)
add("later", 0.5, interval=hourly)
add("pace", 0, interval=second)
"""


def _with_redis_packages(tmp_path: Path, start: Start, more: str) -> Down:
    environment = environment_of(CELERY_REDIS)
    assert environment is not None
    return _down(tmp_path, environment, start, more)


def test_schedule_in_the_database_of_django_is_reported_as_its_scheduler_sends_it(tmp_path: Path, start: Start) -> None:
    down = _with_redis_packages(tmp_path, start, DJANGO.format(database=str(tmp_path / "db")))
    down.run(FILL)
    down.stopped(8)
    beat = down.start("-S", "django_celery_beat.schedulers:DatabaseScheduler")
    found = _reported(beat)
    assert _outcomes(found) == {
        "near": ("sent", 1),
        "far": ("left-out", 1),
        "hourly": ("sent", 8),
        "expired": ("expired", 4),
    }
    assert (found["missed_total"], found["missed_lost"]) == (4, 2)
    assert _sent(beat) == {"near", "hourly", "pace"}


REDBEAT = """
app.conf.redbeat_redis_url = {url!r}
app.conf.redbeat_lock_timeout = 10
"""
IN_REDIS = """
from datetime import datetime, timedelta, timezone
from celery.schedules import schedule
from mysite import app
from redbeat import RedBeatSchedulerEntry

ago = datetime.now(timezone.utc) - timedelta(hours=3.5)
for name in ("hourly", "created"):
    entry = RedBeatSchedulerEntry(name, "mysite.touch", schedule(3600, app=app), app=app)
    entry.last_run_at = ago
    entry.save()
    entry.reschedule(ago)
"""
"""One entry of `beat_schedule`, and one that is only in Redis."""


def test_redbeat_sends_what_was_due_without_a_report(tmp_path: Path, start: Start) -> None:
    with running_redis(tmp_path) as redis:
        down = _with_redis_packages(tmp_path, start, REDBEAT.format(url=redis.url()))
        down.run(IN_REDIS)
        down.stopped(3)
        beat = down.start("-S", "redbeat.RedBeatScheduler")
        assert _sent(beat) == {"created", "hourly", "pace"}
        found = beat.wait_for(lambda found: found["tick"] is not None, "it has ticked")
        assert (found["missed_at"], found["missing"], beat.events()) == (None, [], [])
