"""Overlap restarts with whole commands under a real supervisord, with Redis.

tests/host/test_overlap_deploys.py: with RabbitMQ, and under systemd.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.contracts.trials.ground import Ground, Message, ground_of_redis
from tests.contracts.trials.overlap_verdict import verdict
from tests.product import eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery, pytest.mark.xdist_group("overlap")]

PROGRAM = "trials-redis"
DEPLOYS = 3
LONG_SECONDS = 30
SHORT_TASKS = 100
STOP_SECONDS = 8
"""Less than the long task takes."""


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    environment = environment_of(CELERY_REDIS)
    assert environment
    with ground_of_redis(environment) as made:
        yield made


def configure(place: Ground, *, more: str = "", most: int = 2, overlap: bool = True, **variables: str) -> None:
    keys = f"overlap = true\noverlap_max = {most}\n" if overlap else ""
    place.configure(
        [
            f"""
[worker.redis]
{keys}concurrency = 2
stop_timeout_seconds = {STOP_SECONDS}
queues = ["redis"]
{more}
{place.environment("redis", "redis", TRIAL_MORE=str(most), **variables)}
"""
        ]
    )


def draining(place: Ground) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.product.status()[PROGRAM]["draining"]
    return found


def worker(place: Ground) -> int:
    return int(place.product.status()[PROGRAM]["pid"])


def hold(place: Ground, task_id: str) -> None:
    """Let the worker run a task that lasts until the test ends it."""
    (place.store.data / "told").unlink(missing_ok=True)
    place.send([Message(task_id, "trials.hold_until_told", "redis", "redis")])
    eventually(lambda: bool(place.store.runs_of(task_id)), f"{task_id} runs")


@pytest.fixture(scope="module")
def deployed(place: Ground) -> dict[str, Any]:
    """Carry out three overlap deploys, while a task of half a minute runs and short ones arrive."""
    configure(place, most=3)  # the second process may still be ending when the third deploy begins
    place.product.procman("install", "--wait", "90")
    hold(place, "long")
    began, printed = time.monotonic(), []
    short = [Message(f"short-{number}", "trials.hold", "redis", "redis", (0.01,)) for number in range(SHORT_TASKS)]
    with place.trickle(short, LONG_SECONDS / SHORT_TASKS) as trickle:
        for _ in range(DEPLOYS):
            printed.append(place.product.procman("restart", "--overlap", "--no-check").stdout)
            assert not place.store.has_ended("long")
        status = place.product.status()
        text = place.product.procman("status").stdout
        assert trickle.wait(120) == 0
    ids = [each.id for each in short]
    eventually(lambda: all(map(place.store.has_ended, ids)), "the short tasks have run")
    time.sleep(max(0.0, began + LONG_SECONDS - time.monotonic()))
    place.store.tell()
    eventually(lambda: not draining(place), "the long task has ended")
    return {"printed": printed, "status": status, "text": text, "verdict": verdict(place.store, "redis", ids)}


def test_restart_returns_while_the_long_task_runs(deployed: dict[str, Any]) -> None:
    assert deployed["printed"] == [f"{PROGRAM}: restarted by an overlap\n"] * DEPLOYS


@pytest.mark.usefixtures("deployed")
def test_long_task_survives_three_deploys_and_runs_once(place: Ground) -> None:
    assert [run.has_ended for run in place.store.runs_of("long")] == [True]


def test_each_short_task_runs_exactly_once(deployed: dict[str, Any]) -> None:
    assert deployed["verdict"].not_once == []


def test_no_short_task_waits_for_a_consumer(deployed: dict[str, Any]) -> None:
    assert deployed["verdict"].overlaps == DEPLOYS
    assert (deployed["verdict"].gaps, deployed["verdict"].waited_in_vain) == ([], [])


def test_status_shows_what_drains_and_its_tasks(deployed: dict[str, Any]) -> None:
    program = deployed["status"][PROGRAM]
    busy = [each for each in program["draining"] if each["busy"]]
    assert [task["id"] for each in busy for task in each["tasks"]] == ["long"]
    assert program["health"]["level"] == "OK"
    assert f"process {busy[0]['pid']} has been draining for" in deployed["text"]
    assert "long (" in deployed["text"]


@pytest.mark.usefixtures("deployed")
def test_overlaps_are_events_of_the_program(place: Ground) -> None:
    assert Counter(event["program"] for event in place.events("overlapped")) == {PROGRAM: DEPLOYS}


@pytest.mark.usefixtures("deployed")
def test_install_of_a_changed_variable_overlaps_and_is_shown_before(place: Ground) -> None:
    before = worker(place)
    configure(place, most=1)
    preview = json.loads(place.product.procman("diff", "--json").stdout)
    assert preview["programs"]["overlapped"] == [PROGRAM]
    assert preview["programs"]["restarted"] == []
    assert "1 to restart by an overlap" in place.product.procman("install", "--dry-run").stdout
    assert "restarted by an overlap" in place.product.procman("install").stdout
    after = worker(place)
    assert after != before
    assert place.product.procman("install").returncode == 0
    assert worker(place) == after


@pytest.mark.usefixtures("deployed")
def test_install_of_a_longer_umask_restarts(place: Ground) -> None:
    configure(place, most=1, more='umask = "027"')
    preview = json.loads(place.product.procman("diff", "--json").stdout)
    assert preview["programs"]["restarted"] == [PROGRAM]
    configure(place, most=1)


@pytest.mark.usefixtures("deployed")
def test_broken_code_stops_the_successor_and_the_worker_stays(place: Ground) -> None:
    before = worker(place)
    app = place.product.code / "trial_app.py"
    text = app.read_text()
    app.write_text("raise RuntimeError('broken on purpose')\n" + text)
    try:
        done = place.product.procman("restart", "--overlap", "--no-check", "redis", check=False)
    finally:
        app.write_text(text)
    assert done.returncode == 1
    assert "the overlap restart failed, and the earlier process still consumes" in done.stdout + done.stderr
    assert "broken on purpose" in done.stdout + done.stderr
    assert worker(place) == before


@pytest.mark.usefixtures("deployed")
def test_failed_overlap_of_an_install_is_rolled_back_and_the_worker_stays(place: Ground) -> None:
    configure(place, most=1)
    place.product.procman("install")
    eventually(lambda: not draining(place), "no process drains")
    configure(place, most=1, TRIAL_VISIBILITY="broken on purpose")
    done = place.product.procman("install", "--wait", "60", check=False)
    assert done.returncode == 1
    assert "broken on purpose" in done.stdout + done.stderr
    configure(place, most=1)
    assert json.loads(place.product.procman("diff", "--json").stdout)["changed"] is False
    assert place.product.status()[PROGRAM]["health"]["level"] == "OK"


@pytest.mark.usefixtures("deployed")
def test_signal_of_supervisorctl_overlaps_and_stop_draining_stops_only_what_drains(place: Ground) -> None:
    hold(place, "signalled")
    place.product.supervisorctl("signal", "HUP", PROGRAM)
    eventually(lambda: len(draining(place)) == 1, "one process drains")
    current = worker(place)
    done = place.product.procman("restart", "--overlap", "--no-check", "redis", check=False)
    assert done.returncode == 1
    assert "was not restarted: 1 earlier process is draining (slot " in done.stdout + done.stderr
    assert worker(place) == current
    configure(place, most=1, TRIAL_MORE_STILL="1")
    refused = place.product.procman("install", check=False)
    assert refused.returncode == 1
    assert "its change needs an overlap restart, and process" in refused.stderr
    assert "nothing was changed" in refused.stderr.lower()
    configure(place, most=1)
    printed = place.product.procman("stop", "--draining", "redis").stdout
    assert "trials-redis: stopped 1 draining" in printed
    assert "signalled" in printed
    assert draining(place) == []
    assert worker(place) == current


@pytest.mark.usefixtures("deployed")
def test_program_without_overlap_is_refused_by_name(place: Ground) -> None:
    configure(place, overlap=False)
    place.product.procman("install")
    done = place.product.procman("restart", "--overlap", "redis", check=False)
    assert done.returncode == 1
    assert "trials-redis cannot overlap" in done.stderr


@pytest.mark.usefixtures("deployed")
def test_killed_supervisord_leaves_the_drainers_and_the_next_one_starts_beside_them(place: Ground) -> None:
    configure(place)
    place.product.procman("install")
    hold(place, "orphaned")
    os.kill(place.product.supervisord_pid(), signal.SIGKILL)
    place.product.procman("start")
    place.send([Message("after", "trials.hold", "redis", "redis", (0.01,))])
    eventually(lambda: bool(place.store.runs_of("after")), "the next worker consumes")
    place.store.tell()
    eventually(lambda: place.store.has_ended("orphaned"), "the task has ended")
    assert len(place.store.runs_of("orphaned")) == 1


@pytest.mark.usefixtures("deployed")
def test_rollback_and_uninstall_in_the_middle_of_an_overlap(place: Ground) -> None:
    for number in "12":
        configure(place, TRIAL_STILL_MORE=number)
        place.product.procman("install")
    hold(place, "interrupted")
    place.product.procman("restart", "--overlap", "--no-check")
    assert "restarted by an overlap" in place.product.procman("rollback").stdout

    def of_drainers() -> list[str]:
        return [task["id"] for each in draining(place) for task in each["tasks"]]

    eventually(lambda: of_drainers() == ["interrupted"], lambda: f"the task is the only one: {of_drainers()}")
    place.product.procman("uninstall")
    assert place.product.processes() == []
