"""The projects that the tests of both backends share; each stays installed for other test files."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from .catmaid import DATA, PROJECTS, SHARED_ENVIRONMENT_FILE, VIRTUALENV, Project, counted, send, show
from .machine import Host

TOML = """
[project]
name = "{name}"
app = "mysite"
directory = "{projects}"
virtualenv = "{virtualenv}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/catmaid/celery.env"
writable_paths = ["{data}"]
after = ["rabbitmq-server.service", "postgresql.service"]

[environment]
DEMO_DATA_DIRECTORY = "{data}"

[health]
heartbeat_seconds = 1

[defaults.program]
start_seconds = 2

[worker.celery]
queues = ["{name}"]
concurrency = 2

[beat]

[systemd]
sandbox = "{sandbox}"
"""

TEN = """
[worker.hold]
queues = ["{name}-hold"]
instances = 10
concurrency = 1
prefetch_multiplier = 1
stop_timeout_seconds = 120
wrapper = ["env", "UNDER=wrapper"]
"""

TINY = """
[project]
name = "tiny"
app = "mysite"
directory = "/opt"
virtualenv = "/opt/procman"
user = "nobody"
group = "games"

[command.sleep]
argv = ["/bin/sleep", "100000"]
start_seconds = 0
stop_timeout_seconds = 1170

[supervisor]
mode = "embedded"
"""

EXISTING = '[supervisor]\nmode = "existing"\nextend_stop_timeout = true\n'
OWN = '[supervisor]\nmode = "embedded"\nsupervisord = "/opt/procman/bin/supervisord"\n'

THEIRS = "[program:theirs]\ncommand=/bin/sleep 100000\nstopwaitsecs=50\n"
"""Somebody else's, beside procman's."""

OWN_UNIT = "procman-supervisord.service"
OWN_CONTROL = "/opt/procman/bin/supervisorctl -c /etc/procman/supervisor/supervisord.conf"

wait_for = Host.wait_for

SHORT_STALE_SECONDS = 6

START_SECONDS = 90.0
"""How long two dozen programs may take to start on a small machine."""


def toml(name: str, sandbox: str = "default", *, ten: bool = False) -> str:
    """Return a procman.toml with a worker and beat under systemd, and with `ten` ten more workers."""
    places = {"projects": PROJECTS, "virtualenv": VIRTUALENV, "data": DATA}
    return TOML.format(name=name, sandbox=sandbox, **places) + (TEN.format(name=name) if ten else "")


def under_supervisor(text: str, supervisor: str = EXISTING) -> str:
    """Return a procman.toml from `toml` for a supervisord."""
    text = text.replace('backend = "systemd"', 'backend = "supervisor"')
    return text.replace("/etc/catmaid/celery.env", SHARED_ENVIRONMENT_FILE) + supervisor


@pytest.fixture(scope="module")
def catmaid(stocked: Host) -> Project:
    """A worker, ten more, and beat under systemd, in the default sandbox."""
    project = Project(stocked, "catmaid", toml("catmaid", ten=True))
    install_beside_others(project)
    return project


@pytest.fixture(scope="module")
def fenced(stocked: Host) -> Project:
    """A worker and beat under systemd in the strict sandbox, beside the others."""
    project = Project(stocked, "fenced", toml("fenced", "strict"))
    install_beside_others(project)
    return project


@pytest.fixture(scope="module")
def own(stocked: Host) -> Project:
    """A worker and beat under procman's own supervisord, which has a unit."""
    project, _ = install_own(stocked)
    return project


def install_own(host: Host) -> tuple[Project, str]:
    """Return the project `own`, installed and running, and the stderr of its install."""
    heartbeats = f"heartbeat_seconds = 1\nstale_seconds = {SHORT_STALE_SECONDS}"
    text = toml("own").replace("heartbeat_seconds = 1", heartbeats)
    project = Project(host, "own", under_supervisor(text, OWN))
    printed = project.procman("install", "--no-check").stderr
    wait_for(all_running(project), START_SECONDS, "own runs")
    return project, printed


@pytest.fixture(scope="module")
def debian(stocked: Host) -> Project:
    """A worker, ten more, and beat under Debian's supervisord."""
    stocked.write("/etc/supervisor/conf.d/theirs.conf", THEIRS)
    stocked.run("systemctl enable --now supervisor")
    project = Project(stocked, "debian", under_supervisor(toml("debian", ten=True)))
    # The beats of the other projects use the same broker, which a check refuses (PM746).
    project.procman("install", "--no-check")
    wait_for(all_running(project), START_SECONDS, "debian runs")
    return project


def install_beside_others(project: Project) -> subprocess.CompletedProcess[str]:
    """Install a project whose beat uses the same broker as those of others on the host.

    `--wait` would roll it back for that (PM110).
    """
    done = project.procman("install", "--no-check", timeout=180)
    wait_for(all_running(project), START_SECONDS, f"{project.name} runs")
    return done


def all_running(project: Project, user: str | None = None) -> Callable[[], bool]:
    """Return a function that checks whether every program of `project` is running."""
    return lambda: {each["state"] for each in project.status(user).values()} == {"RUNNING"}


def main_pid(host: Host, program: str) -> int:
    """Return the main process of `program` under systemd."""
    return int(show(host, f"{program}.service", "MainPID")["MainPID"])


def children(host: Host, pid: int) -> list[int]:
    """Return the children of a process of the host."""
    return [int(word) for word in host.run(["pgrep", "-P", str(pid)], check=False).stdout.split()]


def beats(host: Host, project: str) -> int:
    """Return how many beats of a project are running on the host, however they were started."""
    done = host.run(["pgrep", "-c", "-f", f"mysite beat .*/var/lib/{project}/"], check=False)
    return int(done.stdout or 0)


def are_started(host: Host, *numbers: int) -> Callable[[], bool]:
    """Return a function that checks whether each task was started exactly once."""
    return lambda: all(counted(host, "started")[number] == 1 for number in numbers)


def are_finished(host: Host, *numbers: int) -> bool:
    """Return whether each task was started once and finished once."""
    begun, ended = counted(host, "started"), counted(host, "finished")
    return all((begun[number], ended[number]) == (1, 1) for number in numbers)


def consumes(project: Project, number: int) -> None:
    """Send a task and wait until it has finished."""
    send(project.host, "counting.tasks.echo", [number], queue=project.name)
    wait_for(lambda: counted(project.host, "finished")[number] == 1, START_SECONDS, f"task {number}")


def results(project: Project, program: str) -> dict[str, dict[str, Any]]:
    """Return the results of `procman health` for `program`, by code."""
    document = json.loads(project.procman("health", "--json", program, check=False).stdout)
    return {result["code"]: result for result in document["programs"][0]["results"]}


@contextmanager
def on_a_disk_of_its_own(project: Project, program: str) -> Iterator[str]:
    """Yield the run directory of `program`, which is a small disk of its own until the end, and is written to."""
    host, directory = project.host, f"/var/lib/procman/{project.name}/run/{program}"
    before = project.status()[program]["pid"]
    owner = "uid=$(id -u www-data),gid=$(id -g www-data)"
    host.run(f"mount -t tmpfs -o size=64k,mode=0755,{owner} tmpfs {directory}")
    try:
        there = ["test", "-s", f"{directory}/heartbeat.json"]
        wait_for(lambda: host.run(there, check=False).returncode == 0, START_SECONDS, "it writes there")
        yield directory
    finally:
        host.run(["umount", "--lazy", directory])
    wait_for(lambda: "PM200" in results(project, program), START_SECONDS, "it writes where it did before")
    assert project.status()[program]["pid"] == before


def full_disk_is_a_warning(project: Project, program: str, stale_seconds: float, seconds: float) -> None:
    """Fill the disk of the heartbeat of `program`, and assert that this is a warning for `seconds` and then ends."""
    host = project.host
    with on_a_disk_of_its_own(project, program) as directory:

        def manages_supervisord() -> bool:
            # Repeatedly: a heartbeat that was being written frees its space.
            host.run(f"cat /dev/zero >> {directory}/filler", check=False)
            return "PM206" in results(project, program)

        wait_for(manages_supervisord, 2 * stale_seconds + START_SECONDS, "it is reported")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            manages_supervisord()
            time.sleep(1)
        assert host.run(["stat", "--file-system", "--format=%a", directory]).stdout == "0\n"
        printed = {code: result["level"] for code, result in results(project, program).items()}
        found = {code: level for code, level in printed.items() if level != "OK"}
        assert found == {"PM206": "WARNING"}
        host.run(["rm", f"{directory}/filler"])
        well = {"PM200", "PM201", "PM206"}
        wait_for(lambda: results(project, program).keys() & well == {"PM200"}, START_SECONDS, "well again")


def side_by_side(*actions: Callable[[], object]) -> None:
    """Run all functions in parallel; raise the first error when all have ended."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result()
