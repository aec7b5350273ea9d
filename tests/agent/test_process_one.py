"""The launcher and supervisord as process 1 of a PID namespace, as in a container: no task is lost, no zombie stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.conftest import Spawn
from tests.agent.heartbeats import EVENT_LOOP, SEND_WHEN_READY, SHORT, WORKER
from tests.agent.launching import Installation, install_launcher, wait_until
from tests.agent.test_probe_in_a_container import NAMESPACE, Begin, Contained, begin
from tests.celery_environments import CELERY_4_4, CELERY_5_7, CelerySpec, environment_of
from tests.install.people import needs_root

__all__ = ["begin"]  # a fixture

pytestmark = [pytest.mark.celery, needs_root]

LEAVE = """
@app.task
def leave(path):
    import subprocess
    subprocess.run(["sh", "-c", "sleep 0.1 & sleep 0.1 &"])
    while not os.path.exists(path):
        time.sleep(0.05)
    open(path + "-finished", "a").write("x")
"""
"""A task that leaves two processes behind, and then waits."""


def states(outside: int) -> list[str]:
    """Return the states of all processes in the namespace of the process `outside`."""
    words = ["nsenter", f"--target={outside}", "--pid", "--mount", "sh", "-c", "cat /proc/[0-9]*/stat"]
    text = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
    return [line.rpartition(")")[2].split()[0] for line in text.splitlines()]


def zombies(outside: int) -> int:
    return states(outside).count("Z")


def orphans(outside: int) -> int:
    """Return how many of the two processes of each task still run."""
    words = ["nsenter", f"--target={outside}", "--pid", "--mount", "sh", "-c", "cat /proc/[0-9]*/comm"]
    found = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
    return found.split().count("sleep")


@pytest.mark.parametrize("spec", [CELERY_5_7, CELERY_4_4], ids=lambda spec: spec.version)
def test_launcher_finishes_its_tasks_and_reaps(begin: Begin, tmp_path: Path, spec: CelerySpec) -> None:
    if environment_of(spec) is None:
        pytest.skip(spec.missing)
    may_end = tmp_path / "may-end"
    more = EVENT_LOOP + LEAVE + SEND_WHEN_READY.format(tasks=[("mysite.leave", [str(may_end)])] * 2)
    worker: Contained = begin("worker", more, "-c", "2", spec=spec)
    worker.wait_for(lambda found: found["busy"] == 2, "both tasks run")
    os.kill(worker.outside, signal.SIGTERM)
    worker.launched.wait_for("Warm shutdown")
    wait_until(lambda: orphans(worker.outside) == 0, lambda: worker.launched.text)
    may_end.touch()
    assert worker.launched.end() == 0
    assert (tmp_path / "may-end-finished").read_text() == "xx"


def test_launcher_reaps_what_tasks_leave_behind(begin: Begin, tmp_path: Path) -> None:
    may_end = tmp_path / "may-end"
    more = EVENT_LOOP + LEAVE + SEND_WHEN_READY.format(tasks=[("mysite.leave", [str(may_end)])])
    worker: Contained = begin("worker", more)
    worker.wait_for(lambda found: found["busy"], "the task runs")
    wait_until(lambda: orphans(worker.outside) == 0, lambda: worker.launched.text)
    assert zombies(worker.outside) == 0
    # The processes of its pool are its own business: it still runs tasks.
    may_end.touch()
    worker.wait_for(lambda found: found["finished"] == 1, "the task is done")
    os.kill(worker.outside, signal.SIGTERM)
    assert worker.launched.end() == 0


SECTION = """[supervisord]
nodaemon=true
user=root
logfile=/dev/null
logfile_maxbytes=0
pidfile={directory}/supervisord.pid

[program:catmaid-celery]
command={command}
directory={project}
environment={environment}
stopasgroup=false
killasgroup=true
stopwaitsecs=100
startsecs=0
redirect_stderr=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
"""


def configuration(installation: Installation, broker: Path) -> str:
    variables = {**installation.environment("worker"), **SHORT, "PROCMAN_HEAL": "0", "BROKER_DIRECTORY": str(broker)}
    return SECTION.format(
        directory=installation.directory,
        command=" ".join(installation.words(*WORKER)),
        project=installation.project,
        environment=",".join(f"{name}='{value}'" for name, value in variables.items()),
    )


@pytest.mark.supervisord
def test_supervisord_finishes_its_tasks_and_reaps(spawn: Spawn, tmp_path: Path) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment is not None
    installation = install_launcher(tmp_path / "site", environment.python)
    broker, may_end = tmp_path / "broker", tmp_path / "may-end"
    (broker / "control").mkdir(parents=True)
    site = begin_app(installation, may_end)
    file = tmp_path / "supervisord.conf"
    file.write_text(configuration(installation, broker))
    words = [*NAMESPACE, str(Path(sys.executable).with_name("supervisord")), "-n", "-c", str(file)]
    launched = spawn(words, site, dict(os.environ))
    contained = Contained(launched, installation.run_directory, installation)
    launched.wait_for("received")
    wait_until(lambda: orphans(contained.outside) == 0 and zombies(contained.outside) == 0, lambda: launched.text)
    os.kill(contained.outside, signal.SIGTERM)
    launched.wait_for("Warm shutdown")
    may_end.touch()
    assert launched.end() == 0
    assert (tmp_path / "may-end-finished").read_text() == "x"


def begin_app(installation: Installation, may_end: Path) -> Path:
    """Write an app whose worker sends itself a task, and return its directory."""
    from tests.agent.heartbeats import APP

    send = SEND_WHEN_READY.format(tasks=[("mysite.leave", [str(may_end)])])
    (installation.project / "mysite.py").write_text(APP + EVENT_LOOP + LEAVE + send)
    return installation.project
