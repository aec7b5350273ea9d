"""A pool process that is killed or exits by itself is in the heartbeat, with its task."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from procman.agent import memory_events
from tests.agent.conftest import Start
from tests.agent.heartbeats import EVENT_LOOP, SEND_WHEN_READY, Site
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_5_7, CeleryEnvironment, environment_of
from tests.product import eventually

MORE = """
@app.task(name="mysite.leave")
def leave(status):
    os._exit(status)
"""


def _lost(directory: Path) -> list[dict[str, object]]:
    path = directory / "events.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [event for event in events if event["what"] == "lost"]


@pytest.mark.celery
@pytest.mark.parametrize("loop", [EVENT_LOOP, ""], ids=["event loop", "threads"])
def test_killed_pool_process_is_noted_with_signal_and_task(
    tmp_path: Path, celery_environment: CeleryEnvironment, start: Start, loop: str
) -> None:
    site = Site(install_launcher(tmp_path, celery_environment.python), start)
    site.app(loop + SEND_WHEN_READY.format(tasks=[("mysite.wait_for", [str(tmp_path / "never")])]))
    worker = site.worker("--concurrency=1")
    worker.wait_for(lambda found: found["tasks"], "its task runs")
    [task] = worker.recorded_tasks()
    [child] = psutil.Process(worker.pid).children()
    os.kill(child.pid, signal.SIGKILL)
    found = worker.wait_for(lambda found: found["pool_ends"], "the end is noted")
    [end] = found["pool_ends"]
    assert (end["pid"], end["how"], end["for_memory"]) == (child.pid, "killed by SIGKILL", False)
    assert (end["task"], end["task_id"]) == ("mysite.wait_for", task.id)
    assert found["wall"] - 30 < end["at"] <= found["wall"]
    assert worker.wait_for(lambda _: _lost(worker.run_directory), "its task is given up")
    [event] = _lost(worker.run_directory)
    assert (event["task_ids"], event["action"], event["acknowledged"]) == ([task.id], "gone", "early")


@pytest.mark.celery
def test_process_that_exits_by_itself_is_noted_and_none_that_celery_ends(tmp_path: Path, start: Start) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    site = Site(install_launcher(tmp_path, environment.python), start)
    tasks = [("mysite.touch", []), ("mysite.wait_for", [str(tmp_path / "never")]), ("mysite.leave", [7])]
    site.app(EVENT_LOOP + MORE + SEND_WHEN_READY.format(tasks=tasks))
    # Each process ends after one task: the first of its own accord, the second by its time limit.
    worker = site.worker("--concurrency=1", "--max-tasks-per-child=1", "--time-limit=1")
    found = worker.wait_for(lambda found: found["pool_ends"], "the end is noted")
    assert [end["how"] for end in found["pool_ends"]] == ["exit status 7"]


def kills(directory: Path, count: int) -> memory_events.Kills:
    """Return the kills of a cgroup as Linux 6.1 shows them."""
    cgroup = directory / "system.slice/shop-celery.service"
    cgroup.mkdir(parents=True, exist_ok=True)
    content = f"low 0\nhigh 0\nmax 4112\noom 3\noom_kill {count}\noom_group_kill 0\n"
    (cgroup / "memory.events.local").write_text(content)
    own = directory / "own"
    own.write_text("0::/system.slice/shop-celery.service\n")
    return memory_events.Kills(str(directory), str(own))


def test_kill_by_the_kernel_is_known_by_the_count_of_the_cgroup(tmp_path: Path) -> None:
    found = kills(tmp_path, 2)
    assert not found.has_risen()
    kills(tmp_path, 3)
    found.look()  # the thread that writes the heartbeat may be faster than the one that reaps the process
    assert found.has_risen()
    assert not found.has_risen()


@pytest.mark.parametrize("own", ["", "12:memory:/user.slice\n11:cpu:/\n", "0::/../../elsewhere\n", "0::/gone\n"])
def test_kill_is_unknown_without_a_cgroup_of_its_own_in_version_2(tmp_path: Path, own: str) -> None:
    (tmp_path / "own").write_text(own)
    assert not memory_events.Kills(str(tmp_path), str(tmp_path / "own")).has_risen()
    assert not memory_events.Kills(str(tmp_path), str(tmp_path / "missing")).has_risen()


FREEZE = """
import signal

@app.task(name="mysite.freeze")
def freeze(path):
    # Before the main process has read that this task was accepted, if it is not faster.
    os.kill(os.getppid(), signal.SIGSTOP)
    open(path, "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.celery
def test_task_of_a_pool_process_that_died_unnoticed_has_begun(tmp_path: Path, start: Start) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    site = Site(install_launcher(tmp_path, environment.python), start)
    begun = tmp_path / "begun"
    site.app(EVENT_LOOP + FREEZE + SEND_WHEN_READY.format(tasks=[("mysite.freeze", [str(begun)])]))
    worker = site.worker("--concurrency=1", "--hostname=unnoticed@%h")
    main = psutil.Process(worker.pid)
    eventually(lambda: begun.exists() and [each.status() for each in main.children()] == ["zombie"], "the process died")
    main.resume()
    worker.wait_for(lambda _: _lost(worker.run_directory), "its task is given up")
    assert [event["action"] for event in _lost(worker.run_directory)] == ["gone"]
