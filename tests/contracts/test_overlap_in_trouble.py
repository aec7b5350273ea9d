"""Overlap restarts under a real supervisord, with Redis: what an install does, and what happens if something fails.

The tests are one story, in this order: each begins with what the one before it has left.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.contracts.trials.ground import Ground, Message, ground_of_redis
from tests.product import eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery, pytest.mark.xdist_group("overlap in trouble")]

PROGRAM = "trouble-crop"


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    """A worker that overlaps, running."""
    environment = environment_of(CELERY_REDIS)
    assert environment
    with ground_of_redis(environment) as made:
        configure(made, TRIAL_MORE="0")
        made.product.procman("install", "--wait", "90")
        yield made


def configure(place: Ground, *, more: str = "", most: int = 1, **variables: str) -> None:
    overlap = f"overlap = true\noverlap_max = {most}" if most else ""
    worker = f"""
[worker.crop]
{overlap}
concurrency = 2
stop_timeout_seconds = 8
queues = ["crop"]
{more}
{place.environment("crop", "redis", **variables)}
"""
    place.configure([worker], name="trouble")


def worker(place: Ground) -> int:
    return int(place.product.status()[PROGRAM]["pid"])


def keeper(place: Ground) -> int:
    """Return the process that supervisord reports."""
    return int(place.product.supervisorctl("pid", PROGRAM).stdout)


def draining(place: Ground) -> list[int]:
    return [each["pid"] for each in place.product.status()[PROGRAM]["draining"]]


def send(place: Ground, task_id: str) -> None:
    """Let the worker run a short task."""
    place.send([Message(task_id, "trials.hold", "redis", "crop", (0.01,))])
    eventually(lambda: bool(place.store.runs_of(task_id)), f"{task_id} runs")


def hold(place: Ground, task_id: str) -> None:
    """Let the worker run a task for ten minutes, which is longer than any test."""
    place.send([Message(task_id, "trials.hold", "redis", "crop", (600,))])
    eventually(lambda: bool(place.store.runs_of(task_id)), f"{task_id} runs")


def run_directory(place: Ground) -> Path:
    """Return the program's own run directory, that of its first slot."""
    environment = Path(f"/proc/{keeper(place)}/environ").read_text().split("\0")
    return Path(next(each for each in environment if each.startswith("PROCMAN_RUN_DIRECTORY=")).partition("=")[2])


def problems(place: Ground) -> list[str]:
    """Return the codes of what `procman health` finds about the worker."""
    [found] = json.loads(place.product.procman("health", "--json", PROGRAM, check=False).stdout)["programs"]
    return [each["code"] for each in found["results"] if each["level"] != "OK"]


def test_install_overlaps_for_a_variable_and_restarts_for_the_umask_as_its_preview_shows(place: Ground) -> None:
    configure(place, more='umask = "027"')
    assert json.loads(place.product.procman("diff", "--json").stdout)["programs"]["restarted"] == [PROGRAM]
    before = worker(place)
    configure(place)
    preview = json.loads(place.product.procman("diff", "--json").stdout)["programs"]
    assert (preview["overlapped"], preview["restarted"]) == ([PROGRAM], [])
    assert "1 to restart by an overlap" in place.product.procman("install", "--dry-run").stdout
    assert "restarted by an overlap" in place.product.procman("install").stdout
    after = worker(place)
    assert after != before
    place.product.procman("install")
    assert worker(place) == after


def test_broken_code_stops_the_successor_and_the_worker_stays(place: Ground) -> None:
    before = worker(place)
    app = place.product.code / "trial_app.py"
    text = app.read_text()
    app.write_text("raise RuntimeError('broken on purpose')\n" + text)
    try:
        done = place.product.procman("restart", "--overlap", "--no-check", check=False)
    finally:
        app.write_text(text)
    assert done.returncode == 1
    assert "the overlap restart failed, and the earlier process still consumes" in done.stdout + done.stderr
    assert "broken on purpose" in done.stdout + done.stderr
    assert worker(place) == before


def test_failed_overlap_of_an_install_is_rolled_back_and_the_worker_stays(place: Ground) -> None:
    eventually(lambda: not draining(place), "no process drains")
    configure(place, TRIAL_VISIBILITY="broken on purpose")
    done = place.product.procman("install", "--wait", "60", check=False)
    assert done.returncode == 1
    assert "broken on purpose" in done.stdout + done.stderr
    configure(place)
    assert json.loads(place.product.procman("diff", "--json").stdout)["changed"] is False
    assert place.product.status()[PROGRAM]["health"]["level"] == "OK"


def test_overlap_of_a_frozen_keeper_fails_while_its_worker_consumes(place: Ground) -> None:
    eventually(lambda: not draining(place), "no process drains")
    hold(place, "held")
    frozen, before = keeper(place), worker(place)
    os.kill(frozen, signal.SIGSTOP)
    try:
        done = place.product.procman("restart", "--overlap", "--no-check", check=False)
        send(place, "beside the frozen keeper")
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert done.returncode == 1
    assert "its keeper has not answered" in done.stdout + done.stderr
    assert f"(process {frozen} is suspended by a signal); the order is pending" in done.stdout + done.stderr
    assert f"kill -CONT {frozen}" in done.stdout + done.stderr
    # It carries out the order when it can.
    eventually(lambda: draining(place) == [before], "the earlier process drains")


def test_further_overlap_is_refused_and_a_killed_worker_is_back_beside_what_drains(place: Ground) -> None:
    [drains], before = draining(place), worker(place)
    done = place.product.procman("restart", "--overlap", "--no-check", check=False)
    assert done.returncode == 1
    assert "was not restarted: 1 earlier process is draining (slot " in done.stdout + done.stderr
    assert place.product.status()[PROGRAM]["overlap_failed"]["outcome"] == "refused"
    assert "its last overlap restart was refused at " in place.product.procman("status").stdout
    configure(place, TRIAL_MORE="1")
    for command in ("install", "rollback"):
        refused = place.product.procman(command, check=False)
        assert refused.returncode == 1
        assert "its change needs an overlap restart, and process" in refused.stderr
        assert "nothing was changed" in refused.stderr.lower()
    shown = place.product.procman("diff")
    assert "TRIAL_MORE" in shown.stdout
    assert f"cannot be done now: {PROGRAM}: its change needs an overlap restart, and process" in shown.stderr
    [obstacle] = json.loads(place.product.procman("diff", "--json").stdout)["obstacles"]
    assert obstacle.startswith(f"{PROGRAM}: its change needs an overlap restart")
    dry = place.product.procman("install", "--dry-run", check=False)
    assert dry.returncode == 1
    assert "TRIAL_MORE" in dry.stdout
    configure(place)
    assert worker(place) == before
    assert problems(place) == []
    os.kill(before, signal.SIGKILL)
    eventually(lambda: place.product.status()[PROGRAM]["state"] == "BACKOFF", "it has ended")
    eventually(lambda: place.product.status()[PROGRAM]["state"] == "RUNNING", "it is back")
    assert draining(place) == [drains]
    assert [event["reason"] for event in place.events("ended")] == ["killed by SIGKILL (cause unknown)"]


def test_plan_of_a_restart_lists_what_drains_and_is_cut(place: Ground) -> None:
    [drains] = draining(place)
    for change in ({"more": 'umask = "027"'}, {"most": 0}):
        configure(place, **change)
        [cut] = json.loads(place.product.procman("diff", "--json").stdout)["cut"]
        assert (cut["program"], cut["pid"], [task["id"] for task in cut["tasks"]]) == (PROGRAM, drains, ["held"])
    printed = place.product.procman("install", "--dry-run").stdout
    assert f"{PROGRAM}: process {drains} has been draining for " in printed
    assert "trials.hold held" in printed
    assert "cut after 8 s" in printed
    configure(place)
    assert json.loads(place.product.procman("diff", "--json").stdout)["cut"] == []


def test_stop_draining_stops_only_what_drains(place: Ground) -> None:
    before = worker(place)
    printed = place.product.procman("stop", "--draining", "crop").stdout
    assert f"{PROGRAM}: stopped 1 earlier process" in printed
    assert "held" in printed
    assert draining(place) == []
    assert worker(place) == before


def test_killed_keeper_and_supervisord_leave_what_drains_and_the_next_worker_starts_beside_it(place: Ground) -> None:
    place.send([Message("orphaned", "trials.hold_until_told", "redis", "crop")])
    eventually(lambda: bool(place.store.runs_of("orphaned")), "the task runs")
    os.kill(keeper(place), signal.SIGKILL)
    send(place, "after the keeper")
    eventually(lambda: "PM109" in problems(place), "the earlier process is reported")
    os.kill(place.product.supervisord_pid(), signal.SIGKILL)
    place.product.procman("start")
    send(place, "after supervisord")
    place.store.tell()
    eventually(lambda: place.store.has_ended("orphaned"), "the task has ended")
    assert len(place.store.runs_of("orphaned")) == 1


def test_report_that_cannot_be_used_prevents_an_overlap_and_cuts_nothing(place: Ground) -> None:
    before = worker(place)
    report = run_directory(place) / "keeper.json"
    report.unlink()
    report.mkdir()
    try:
        done = place.product.procman("restart", "--overlap", "--no-check", check=False)
        configure(place, TRIAL_MORE="1")
        refused = place.product.procman("install", check=False)
    finally:
        report.rmdir()
        configure(place)
    assert (done.returncode, refused.returncode) == (1, 1)
    why = f"its keeper, process {keeper(place)}, cannot be given an order: {report} is not a regular file"
    assert f"was not restarted: {why}" in done.stderr
    assert why in refused.stderr
    assert "nothing was changed" in refused.stderr.lower()
    eventually(lambda: worker(place) == before, "the worker is the same")


def test_keeper_that_is_killed_during_an_overlap_fails_it_at_once(place: Ground) -> None:
    app = place.product.code / "trial_app.py"
    text = app.read_text()
    app.write_text("import time; time.sleep(600)\n" + text)
    report, killed = run_directory(place) / "keeper.json", keeper(place)
    with ThreadPoolExecutor() as pool:
        order = pool.submit(place.product.procman, "restart", "--overlap", "--no-check", check=False)
        try:
            eventually(lambda: '"begun"' in report.read_text(), "the overlap has begun")
        finally:
            app.write_text(text)
        os.kill(killed, signal.SIGKILL)
        done = order.result()
    assert done.returncode == 1
    assert f"its keeper, process {killed}, has ended meanwhile" in done.stderr
    assert "still consumes" not in done.stderr
    send(place, "after the keeper that was killed during an overlap")


def test_stop_draining_stops_a_process_that_has_outlived_its_keeper(place: Ground) -> None:
    hold(place, "outliving")
    outliving = worker(place)
    os.kill(keeper(place), signal.SIGKILL)
    send(place, "beside what has outlived its keeper")
    [found] = [each for each in place.product.status()[PROGRAM]["draining"] if each["pid"] == outliving]
    assert (found["state"], [task["id"] for task in found["tasks"]]) == ("outlived", ["outliving"])
    printed = place.product.procman("stop", "--draining", "crop").stdout
    assert f"{PROGRAM}: stopped 1 earlier process" in printed
    assert "outliving" in printed
    assert draining(place) == []
    send(place, "after what has outlived its keeper")


def test_install_rollback_and_uninstall_in_the_middle_of_an_overlap(place: Ground) -> None:
    configure(place, most=2, TRIAL_MORE="1")
    place.product.procman("install")
    eventually(lambda: not draining(place), "the process without a task has ended")
    hold(place, "interrupted")
    place.product.supervisorctl("signal", "HUP", PROGRAM)
    eventually(lambda: bool(draining(place)), "the earlier process drains")
    own = place.events("overlapped")
    assert own[-1]["by"] == "inside"
    configure(place, most=2, TRIAL_MORE="2")
    assert "restarted by an overlap" in place.product.procman("install").stdout
    assert "restarted by an overlap" in place.product.procman("rollback").stdout
    # Those of an install and a rollback are theirs.
    assert place.events("overlapped") == own
    assert place.product.status()[PROGRAM]["overlap_failed"] is None

    def of_drainers() -> list[str]:
        return [task["id"] for each in place.product.status()[PROGRAM]["draining"] for task in each["tasks"]]

    eventually(lambda: of_drainers() == ["interrupted"], lambda: f"the task is the only one: {of_drainers()}")
    killed = keeper(place)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: keeper(place) not in (0, killed), "another keeper runs")
    eventually(lambda: len(draining(place)) == 1, "the process without a task has ended")
    hold(place, "after the kill")
    place.product.supervisorctl("signal", "HUP", PROGRAM)
    both = ["interrupted", "after the kill"]
    eventually(lambda: sorted(of_drainers()) == sorted(both), lambda: f"both drain: {of_drainers()}")
    uninstalled = place.product.procman("uninstall")
    assert "trials.hold interrupted" in uninstalled.stderr
    assert "has outlived its keeper, and has been draining for" in uninstalled.stderr
    assert place.product.processes() == []
