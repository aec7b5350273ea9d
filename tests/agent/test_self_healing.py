"""An unhealthy program that can still act stops itself gracefully: real programs, and the rules that limit it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from procman.agent.self_healing import is_held
from procman.agent.settings import HealthSettings
from procman.agent.worker_state import Measured, WorkerState
from tests.agent.conftest import Start
from tests.agent.heartbeats import CANCEL_WHEN_READY, Followed, Site
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_5_7, CELERY_SPECS, environment_of

OLDEST_AND_NEWEST = [CELERY_SPECS[0], CELERY_SPECS[-1]]


@pytest.fixture
def unless(tmp_path: Path) -> Path:
    """Without this file, the worker stops consuming as soon as it is ready, and a message waits."""
    return tmp_path / "unless"


@pytest.fixture
def site(tmp_path: Path, start: Start, unless: Path, request: pytest.FixtureRequest) -> Site:
    spec = getattr(request, "param", CELERY_5_7)
    environment = environment_of(spec)
    if environment is None:
        pytest.skip(spec.missing)
    site = Site(install_launcher(tmp_path, environment.python), start)
    site.app(CANCEL_WHEN_READY.format(unless=str(unless)))
    return site


def found_and_left_alone(worker: Followed) -> None:
    """Wait until the fault is found, and check that the worker still runs after several times the healing time."""
    worker.wait_for(lambda found: found["verdict"]["code"] == "PM301", "the fault is found")
    time.sleep(2)
    worker.wait_for(lambda found: found["verdict"]["level"] == "CRITICAL", "it still runs")


@pytest.mark.celery
@pytest.mark.parametrize("site", OLDEST_AND_NEWEST, indirect=True, ids=lambda spec: spec.version)
def test_worker_that_does_not_consume_stops_itself_gracefully_and_is_healthy_after_the_restart(
    site: Site, unless: Path
) -> None:
    worker = site.worker()
    assert worker.launched.end() == 0
    assert "Warm shutdown" in worker.launched.text
    assert "PM301: messages have been waiting" in worker.launched.text
    [healing] = worker.events()
    expected = {"program": "catmaid-celery", "what": "healing", "code": "PM301", "level": "CRITICAL", "by": "inside"}
    assert healing.items() >= expected.items()
    assert (healing["tasks"], healing["action"]) == ([], "stops itself gracefully")
    unless.touch()
    again = site.worker()
    again.wait_for(lambda found: found["finished"] == 1 and found["verdict"]["code"] == "PM200", "it works")
    again.wait_for(lambda _: len(again.events()) == 2, "the healing is recorded")
    assert again.events()[1].items() >= {"what": "healed", "code": "PM301", "level": "OK"}.items()
    memory = json.loads((again.run_directory / "healed.json").read_text())
    assert (len(memory["restarts"]), memory["open"]) == (1, None)


@pytest.mark.celery
def test_beat_that_does_not_tick_although_the_broker_answers_stops_itself(site: Site) -> None:
    site.app("""
from celery.beat import PersistentScheduler


class Stuck(PersistentScheduler):
    def tick(self, *arguments, **more):
        time.sleep(999)
""")
    beat = site.beat("-S", "mysite:Stuck")
    assert beat.launched.end() == 0
    assert beat.events()[0]["code"] == "PM401"


@pytest.mark.celery
def test_held_worker_is_not_healed_until_it_is_released(site: Site, tmp_path: Path) -> None:
    hold = tmp_path / "hold.json"
    hold.write_text('{"format": 1, "until": null}')
    worker = site.worker(PROCMAN_HOLD_FILE=str(hold))
    found_and_left_alone(worker)
    assert worker.heartbeat()["held"] is True
    hold.unlink()
    assert worker.launched.end() == 0


@pytest.mark.celery
@pytest.mark.parametrize("setting", [{"PROCMAN_HEAL": "0"}, {"PROCMAN_RESTARTS_PER_HOUR": "1"}], ids=str)
def test_worker_is_not_restarted_if_healing_is_off_or_the_limit_is_reached(site: Site, setting: dict[str, str]) -> None:
    if "PROCMAN_RESTARTS_PER_HOUR" in setting:
        assert site.worker(**setting).launched.end() == 0
    worker = site.worker(**setting)
    found_and_left_alone(worker)
    given_up = [event["what"] for event in worker.events()]
    assert given_up == (["healing", "gave-up"] if "PROCMAN_RESTARTS_PER_HOUR" in setting else [])
    assert worker.launched.end(signal.SIGTERM) == 0


@pytest.mark.celery
def test_worker_is_not_restarted_if_the_restart_cannot_be_recorded(site: Site) -> None:
    (site.installation.run_directory / "healed.json.new").mkdir()
    worker = site.worker()
    found_and_left_alone(worker)
    assert "not restarted: cannot write healed.json" in worker.launched.text


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (None, False),
        ('{"until": null}', True),
        ("{}", True),
        ('{"until": 1}', False),
        ('{"until": 9e12}', True),
        ("", True),
        ("[]", True),
        ('{"until": "tomorrow"}', True),
        ("\ud800", True),
    ],
)
def test_hold_is_in_force_until_it_expires_and_if_it_is_unreadable(
    text: str | None, held: bool, tmp_path: Path
) -> None:
    path = tmp_path / "hold.json"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert is_held(str(path)) is held


def test_hold_that_is_a_directory_is_in_force() -> None:
    assert is_held("/")
    assert not is_held(None)


# Progress -------------------------------------------------------------------------------------------------------------

BUSY = Measured(slots=2, busy=2, reserved=4, received=(1,))
IDLE = Measured(slots=2, busy=0, reserved=0, received=(1,))
STUCK = IDLE._replace(reserved=2)
WAITING = [{"name": "celery", "messages": 5, "consumers": 1, "since": None}]


def observed(*seen: tuple[float, Measured], messages: bool = True) -> WorkerState:
    followed = WorkerState(HealthSettings("catmaid-celery", "worker", "/nowhere"))
    followed.phase = "consuming"
    followed.queues = WAITING if messages else []
    for now, measured in seen:
        followed.follow(now, measured)
    return followed


def test_worker_is_idle_with_messages_since_its_last_progress() -> None:
    assert observed((1, IDLE), (2, IDLE), (3, IDLE)).idle_since == 1
    assert observed((1, IDLE), (2, IDLE._replace(received=(2,))), (3, IDLE._replace(received=(2,)))).idle_since == 2


@pytest.mark.parametrize("other", [BUSY, STUCK, IDLE._replace(busy=None), IDLE._replace(slots=None)])
def test_worker_with_busy_unknown_or_reserved_slots_is_not_idle_with_messages(other: Measured) -> None:
    assert observed((1, IDLE), (2, other)).idle_since is None


def test_worker_without_messages_or_connection_is_not_idle_with_messages() -> None:
    assert observed((1, IDLE), messages=False).idle_since is None
    followed = observed((1, IDLE))
    followed.phase = "disconnected"
    followed.follow(2, IDLE)
    assert followed.idle_since is None


def test_queue_with_another_single_active_consumer_does_not_count_as_waiting() -> None:
    followed = observed()
    followed.passive_queues = frozenset({"celery"})
    followed.follow(1, IDLE)
    assert followed.idle_since is None


def test_worker_whose_tasks_wait_for_their_eta_is_excused() -> None:
    assert observed((1, IDLE), (9, IDLE._replace(excused=True))).idle_since == 9
    assert observed((1, STUCK), (9, STUCK._replace(excused=True))).progress == 9


def test_worker_is_full_since_its_tasks_first_filled_it() -> None:
    full = IDLE._replace(excused=True)
    assert observed((1, IDLE), (2, full), (9, full)).full_since == 2
    assert observed((1, full), (2, IDLE)).full_since is None
    followed = observed((1, full))
    followed.phase = "disconnected"
    followed.follow(2, full)
    assert followed.full_since is None


def test_progress_stops_only_if_messages_wait_and_a_slot_is_free() -> None:
    assert observed((1, STUCK), (2, STUCK), (3, STUCK)).progress == 1
    assert observed((1, BUSY), (2, BUSY)).progress == 2
    assert observed((1, IDLE), (2, IDLE), messages=False).progress == 2
    assert observed((1, STUCK), (2, STUCK._replace(received=(2,)))).progress == 2


def test_revoked_task_is_progress() -> None:
    followed = observed((1, STUCK))
    followed.move(sender=None, request=None)
    followed.follow(2, STUCK)
    followed.follow(3, STUCK)
    assert followed.progress == 2


# Files ---------------------------------------------------------------------------------------------------------------

FULL_DISK = """
import resource, sys
from procman.agent import run_files
path = sys.argv[1]
run_files.replace(path, "small")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    run_files.replace(path, "x" * 5000)
except OSError as error:
    print(error.strerror)
"""


def test_old_file_remains_if_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert path.read_text() == "small"
    assert list(tmp_path.iterdir()) == [path]
