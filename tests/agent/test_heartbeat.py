"""The heartbeats of real workers and beats, on every supported Celery and in every supported pool."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from procman.agent import worker_hooks
from tests.agent.conftest import Start
from tests.agent.heartbeats import SEND_WHEN_READY, Site
from tests.agent.launching import install_launcher, wait_until
from tests.celery_environments import CELERY_5_7, CELERY_GREEN, CELERY_SPECS, CeleryEnvironment, environment_of

pytestmark = pytest.mark.celery


@pytest.fixture
def site(tmp_path: Path, celery_environment: CeleryEnvironment, start: Start) -> Site:
    """Return a project on each version of Celery."""
    return _site(tmp_path, celery_environment, start)


@pytest.fixture
def newest(tmp_path: Path, start: Start) -> Site:
    """Return a project on the newest Celery, for tests that do not depend on its version."""
    environment = environment_of(CELERY_5_7)
    assert environment is not None
    return _site(tmp_path, environment, start)


def _site(directory: Path, environment: CeleryEnvironment, start: Start) -> Site:
    site = Site(install_launcher(directory, environment.python), start)
    site.app()
    return site


WAIT_LATE = """
@app.task(name="mysite.wait_late", acks_late=True)
def wait_late(path):
    wait_for(path)
"""


def threads(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("Threads:")[2].split()[0])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_worker_reports_its_tasks_and_queues(site: Site, celery_environment: CeleryEnvironment, tmp_path: Path) -> None:
    may_end = str(tmp_path / "may-end")
    site.app(SEND_WHEN_READY.format(tasks=[("mysite.wait_for", [may_end]), ("mysite.touch", []), ("mysite.touch", [])]))
    worker = site.worker()
    found = worker.wait_for(lambda found: found["finished"] == 2 and found["busy"] == 1, "two tasks are done")
    assert found["verdict"]["code"] == "PM200"
    assert (found["kind"], found["phase"], found["pool"], found["slots"]) == ("worker", "consuming", "prefork", 2)
    assert (found["reserved"], found["missing"], found["held"]) == (0, [], False)
    [task] = found["tasks"]
    assert task["name"] == "mysite.wait_for"
    assert task["id"] in worker.launched.text
    assert found["started"] < task["since"] < found["written"]
    # The running task counts too.
    assert found["longest_task"] == "mysite.wait_for"
    assert found["longest_task_seconds"] >= found["written"] - task["since"]
    assert found["longest_late_task"] is None
    assert found["versions"]["celery"] == celery_environment.spec.version
    assert found["node_name"].startswith("celery@")
    assert [len(digest) for digest in found["brokers"]] == [16]
    assert found["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    idle = [{"name": "celery", "messages": 0, "consumers": None, "since": None}]
    worker.wait_for(lambda found: found["queues"] == idle, "the broker was polled")
    worker.launched.process.send_signal(signal.SIGTERM)
    worker.wait_for(lambda found: found["phase"] == "stopping", "it stops")
    Path(may_end).touch()
    assert worker.launched.end() == 0
    assert sorted(each.name for each in site.installation.launcher.parent.iterdir() if each.is_dir()) == []


def test_pool_processes_have_neither_threads_nor_a_heartbeat(site: Site) -> None:
    worker = site.worker()
    worker.wait_until_healthy()
    wait_until(lambda: len(children(worker.pid)) == 2, lambda: "two children")
    assert threads(worker.pid) > 2
    assert {threads(child) for child in children(worker.pid)} == {1}
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED, lambda: "it is stopped")
        written = worker.heartbeat()["written"]
        time.sleep(1)  # five heartbeats long
        assert worker.heartbeat()["written"] == written
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def test_beat_reports_its_last_tick_and_next_entry(site: Site) -> None:
    beat = site.beat()
    first = beat.wait_for(lambda found: found["tick"], "a tick")
    assert (first["kind"], first["phase"], first["missing"]) == ("beat", "ticking", [])
    assert first["scheduler"] == "celery.beat:PersistentScheduler"
    assert first["next_entry"] == "tick"
    assert abs(first["next_due"] - first["tick_due"]) < 1
    assert first["next_entries"][0] == {"name": "tick", "due": first["next_due"]}
    beat.wait_for(lambda found: found["tick"] > first["tick"], "another tick")
    assert beat.heartbeat()["verdict"]["code"] == "PM200"
    assert beat.launched.end(signal.SIGTERM) == 0


def test_embedded_beat_does_not_change_the_workers_heartbeat(newest: Site, tmp_path: Path) -> None:
    worker = newest.worker("-B", "-s", str(tmp_path / "schedule"))
    worker.launched.wait_for("Sending due task tick")
    found = worker.wait_until_healthy()
    assert (found["kind"], found["tick"], found["missing"]) == ("worker", None, [])


def test_heartbeat_starts_before_the_app_is_imported(newest: Site, tmp_path: Path) -> None:
    may_start = str(tmp_path / "may-start")
    newest.app(f"while not os.path.exists({may_start!r}): time.sleep(0.05)\n")
    worker = newest.worker()
    first = worker.wait_for(lambda found: found["phase"] == "importing", "it imports")
    later = worker.wait_for(lambda found: found["written"] > first["written"] + 1, "a later heartbeat")
    assert (later["phase"], later["verdict"]["remedy"]) == ("importing", "")
    Path(may_start).touch()
    worker.wait_until_healthy()


def test_hup_starts_a_new_heartbeat_in_the_same_process(newest: Site) -> None:
    worker = newest.worker()
    before = worker.wait_until_healthy()
    worker.launched.process.send_signal(signal.SIGHUP)
    worker.wait_for(lambda found: found["started"] > before["started"], "it starts again")
    worker.wait_until_healthy()


@pytest.mark.parametrize("pool", ["solo", "threads", "gevent", "eventlet"])
def test_pool_that_can_block_the_main_process_is_unknown_and_not_healed(
    pool: str, tmp_path: Path, start: Start
) -> None:
    environment = environment_of(CELERY_GREEN)
    assert environment is not None
    site, may_end = _site(tmp_path, environment, start), str(tmp_path / "may-end")
    site.app(SEND_WHEN_READY.format(tasks=[("mysite.block", [may_end])]))
    # The solo pool has calls instead of an event loop, and two seconds or more between them are normal.
    worker = site.worker("-P", pool, "-c", "1", PROCMAN_STALE_SECONDS="5" if pool == "solo" else "2")
    found = worker.wait_for(lambda found: found["busy"] == 1, "the task runs")
    assert (found["pool"], found["slots"], found["missing"]) == (pool, 1, [])
    [recorded] = worker.recorded_tasks()
    assert (recorded.name, recorded.pool_pid) == ("mysite.block", None)
    if pool == "threads":
        later = worker.wait_for(lambda later: later["written"] > found["written"] + 3, "a later heartbeat")
        assert later["verdict"]["level"] == "OK"
    else:
        later = worker.wait_for(lambda later: later["verdict"]["code"] == "PM202", "its loop is stuck")
        assert (later["verdict"]["level"], later["verdict"]["remedy"]) == ("UNKNOWN", "")
    Path(may_end).touch()
    done = worker.wait_for(lambda found: found["finished"] == 1 and found["queues_asked"], "the task is done")
    assert done["queues"][0]["name"] == "celery"
    assert worker.recorded_tasks() == ()
    assert worker.launched.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("pool", "tasks"), [("threads", ["mysite.wait_for", "mysite.wait_late"]), ("solo", ["mysite.wait_late"])]
)
def test_record_of_a_killed_worker_names_its_tasks_in_each_pool(
    pool: str, tasks: list[str], newest: Site, tmp_path: Path
) -> None:
    may_end = str(tmp_path / "may-end")
    newest.app(WAIT_LATE + SEND_WHEN_READY.format(tasks=[(name, [may_end]) for name in tasks]))
    worker = newest.worker("-P", pool, "-c", str(len(tasks)))
    worker.wait_for(lambda found: found["busy"] == len(tasks), "the tasks run")
    worker.launched.end(signal.SIGKILL)
    recorded = worker.recorded_tasks()
    assert sorted(task.name for task in recorded) == tasks
    assert all(task.acks_late == (task.name == "mysite.wait_late") for task in recorded)
    assert all(task.id in worker.launched.text for task in recorded)


def test_project_modules_do_not_hide_those_of_the_agent(newest: Site) -> None:
    for name in ("heartbeat", "verdict", "sd_notify", "settings", "procman_agent"):
        (newest.installation.project / f"{name}.py").write_text("raise SystemExit('not this one')")
    newest.app("import importlib\n")
    newest.worker().wait_until_healthy()


def test_unwritable_heartbeat_is_reported_once_and_its_recovery_too(newest: Site) -> None:
    worker = newest.worker()
    worker.wait_until_healthy()
    in_the_way = worker.keep_heartbeat_from_being_written()
    worker.launched.wait_for("cannot write the heartbeat")
    stale = worker.heartbeat()["written"]
    file = worker.run_directory / "heartbeat.json"
    wait_until(
        lambda: file.stat().st_mtime_ns > 0 and time.time() - file.stat().st_mtime < 1,
        lambda: "a new modification time",
    )
    time.sleep(1)
    assert worker.heartbeat()["written"] == stale
    assert time.time() - file.stat().st_mtime < 30
    in_the_way.rmdir()
    worker.launched.wait_for("can be written again")
    worker.wait_until_healthy()
    assert worker.launched.text.count("cannot write the heartbeat") == 1


def test_invalid_variables_are_reported_and_replaced_by_defaults(newest: Site) -> None:
    worker = newest.worker(
        PROCMAN_HEARTBEAT_SECONDS="-1",
        PROCMAN_STALE_SECONDS="nan",
        PROCMAN_STALL_SECONDS="1e999",
        PROCMAN_FAILURES="\x1b[2J",
        PROCMAN_RESTARTS_PER_HOUR="many",
        PROCMAN_HEAL="yes",
        PROCMAN_HOLD_FILE="\udc80/nowhere",
    )
    found = worker.wait_until_healthy()
    assert found["interval"] == 5
    for name in ("HEARTBEAT_SECONDS", "STALE_SECONDS", "STALL_SECONDS", "FAILURES", "RESTARTS_PER_HOUR", "HEAL"):
        assert f"PROCMAN_{name} is " in worker.launched.text
    assert "\x1b" not in worker.launched.text.partition("PROCMAN_HEAL is")[0]


def test_task_keeps_its_age_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"wall": 10_000.0, "monotonic": 500.0}
    monkeypatch.setattr(worker_hooks, "time", lambda: clock["wall"])
    monkeypatch.setattr(worker_hooks, "monotonic", lambda: clock["monotonic"])
    request = SimpleNamespace(id="a", name="mysite.touch", time_start=9_990.0)
    before = worker_hooks._tasks([request])
    clock.update(wall=10_002.0 - 3600, monotonic=502.0)
    assert before == worker_hooks._tasks([request]) == (("a", "mysite.touch", 490.0),)
    assert worker_hooks._tasks([SimpleNamespace(id="a", name="mysite.touch")]) == (("a", "mysite.touch", None),)


def test_every_supported_celery_is_tested() -> None:
    assert {spec.version for spec in CELERY_SPECS} == {"5.7.0", "5.1.2", "4.4.7"}
