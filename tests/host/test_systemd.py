"""The systemd backend as an administrator meets it: on a booted Debian, with RabbitMQ and a real www-data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from .catmaid import (
    DATA,
    PROJECTS,
    VIRTUALENV,
    Project,
    counted,
    send,
    show,
)
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
after = ["rabbitmq-server.service"]

[environment]
DEMO_DATA_DIRECTORY = "{data}"

[worker.celery]
queues = ["{name}"]
concurrency = 2

[beat]

[systemd]
sandbox = "{sandbox}"
"""

TEN = """
[worker.hold]
queues = ["hold"]
instances = 10
concurrency = 1
prefetch_multiplier = 1
stop_timeout_seconds = 120
"""

USERS = """
[project]
name = "small"
app = "mysite"
directory = "{projects}"
virtualenv = "{virtualenv}"
settings = "mysite.settings"
backend = "systemd"
scope = "user"
environment_file = "/home/anna/celery.env"

[environment]
DEMO_DATA_DIRECTORY = "/home/anna/data"

[worker.celery]
concurrency = 1

[beat]
"""

wait_for = Host.wait_for

START_SECONDS = 60.0
"""How long twelve workers may take to start on a small machine."""

RESTART_SECONDS = 10
"""`RestartSec=` of a unit."""


def toml(name: str, sandbox: str, more: str = "") -> str:
    places = {"projects": PROJECTS, "virtualenv": VIRTUALENV, "data": DATA}
    return TOML.format(name=name, sandbox=sandbox, **places) + more


@pytest.fixture(scope="module")
def catmaid(stocked: Host) -> Iterator[Project]:
    """A worker, ten more, and beat, in the default sandbox, installed and healthy."""
    project = Project(stocked, "catmaid", toml("catmaid", "default", TEN))
    project.procman("install", "--wait", "60", timeout=180)
    yield project
    project.procman("uninstall", "--purge", timeout=180)


@pytest.fixture(scope="module")
def fenced(catmaid: Project) -> Iterator[Project]:
    """A worker and beat in the strict sandbox, beside the others."""
    project = Project(catmaid.host, "fenced", toml("fenced", "strict"))
    project.procman("install", "--wait", "60")
    yield project
    project.procman("uninstall", "--purge", check=False)


def main_pid(host: Host, program: str) -> int:
    return int(show(host, f"{program}.service", "MainPID")["MainPID"])


def processes_of(host: Host, program: str) -> list[int]:
    """Return the pids of everything in the control group of PROGRAM, as systemd sees it."""
    text = host.run(f"systemd-cgls --no-pager -u {program}.service -l", check=False).stdout
    return [
        int(word)
        for line in text.splitlines()
        for word in line.replace("└─", " ").replace("├─", " ").split()[:1]
        if word.isdigit()
    ]


def beats(host: Host, project: str = "catmaid") -> int:
    """Return how many beats of a project run on the host, whoever started them."""
    done = host.run(["pgrep", "-c", "-f", f"mysite beat .*/var/lib/{project}/"], check=False)
    return int(done.stdout or 0)


def is_started(host: Host, number: int) -> Callable[[], bool]:
    return lambda: counted(host, "started")[number] == 1


def all_running(project: Project, user: str | None = None) -> Callable[[], bool]:
    return lambda: {each["state"] for each in project.status(user).values()} == {"RUNNING"}


def consumes(project: Project, number: int, queue: str) -> None:
    """Send a task and wait until it is done."""
    send(project.host, "counting.tasks.echo", [number], queue=queue)
    wait_for(lambda: counted(project.host, "finished")[number] == 1, START_SECONDS, f"task {number}")


def test_install_ends_with_every_program_healthy_and_the_next_one_changes_nothing(catmaid: Project) -> None:
    assert all_running(catmaid)()
    pids = {name: each["pid"] for name, each in catmaid.status().items()}
    assert len(pids) == 12
    assert "nothing changed" in catmaid.procman("install").stderr + catmaid.procman("install").stdout
    assert {name: each["pid"] for name, each in catmaid.status().items()} == pids


@pytest.mark.parametrize("sandbox", ["default", "strict"])
def test_tasks_find_in_the_sandbox_what_they_need(catmaid: Project, fenced: Project, sandbox: str) -> None:
    project = {"default": catmaid, "strict": fenced}[sandbox]
    where = f"{DATA}/{project.name}.json"
    send(project.host, "exercise.tasks.everything", [1, f"{project.name}.json"], queue=project.name)
    project.host.wait_for(lambda: project.host.run(["test", "-s", where], check=False).returncode == 0, START_SECONDS)
    found = json.loads(project.host.run(["cat", where]).stdout)
    assert found.pop("processes seen") < 40
    assert found == {
        "numpy": 1,
        "subprocess": "42\n",
        "name": "127.0.0.9",
        "localhost": ["127.0.0.1", "::1"],
        "temporary file": "/tmp",
        "semaphore": 1,
        "nice": True,
        "psutil": True,
        "writes elsewhere": "nowhere",
        "secret": True,
    }


def test_host_judges_the_sandbox_as_the_rendered_units_were_judged(catmaid: Project, fenced: Project) -> None:
    for unit, bound in (("catmaid-celery", 20), ("catmaid-celery-beat", 20), ("fenced-celery", 11)):
        catmaid.host.run(f"systemd-analyze security --no-pager --threshold={bound} {unit}.service")


def test_secret_is_known_to_the_program_and_to_nobody_who_asks_systemd(catmaid: Project) -> None:
    host = catmaid.host
    assert (
        "s3cret" not in host.run("systemctl show 'catmaid*'; systemctl cat 'catmaid*'; ps axww; journalctl -b").stdout
    )
    searched = "/etc/systemd /usr/local /var/lib/procman /var/log/catmaid /run/systemd"
    assert host.run(f"grep -rl s3cret {searched}", check=False).stdout == ""
    assert host.run("cat /run/credentials/catmaid-celery.service/environment", "nobody", check=False).returncode != 0


def test_running_tasks_survive_stop_and_restart_by_whomever(catmaid: Project) -> None:
    host, programs = catmaid.host, [f"catmaid-hold-{number}" for number in range(1, 11)]
    send(host, "counting.tasks.hold", *([number, 20] for number in range(100, 110)), queue="hold")
    wait_for(lambda: sum(counted(host, "started").values()) == 10, START_SECONDS, "ten tasks are running")
    assert counted(host, "finished").total() == 0 or not set(range(100, 110)) & set(counted(host, "finished"))
    before = {name: main_pid(host, name) for name in programs}
    host.run(["systemctl", "restart", "--no-block", *programs[:5]])
    catmaid.procman("stop", *programs[5:])
    host.run(["systemctl", "start", *programs[:5]], timeout=90)
    assert {number: counted(host, "finished")[number] for number in range(100, 110)} == dict.fromkeys(
        range(100, 110), 1
    )
    assert counted(host, "started").total() == 10
    states = catmaid.status()
    assert {states[name]["state"] for name in programs[5:]} == {"STOPPED"}
    assert {states[name]["wanted"] for name in programs[5:]} == {False}
    assert all(main_pid(host, name) not in (0, before[name]) for name in programs[:5])


def test_program_that_somebody_stopped_is_not_started_by_an_install(catmaid: Project) -> None:
    # Five of the ten from before are still stopped, and stay so.
    catmaid.host.run("systemctl stop catmaid-celery-beat")
    catmaid.write(toml("catmaid", "default", TEN).replace("[beat]", "[beat]\nstop_timeout_seconds = 61"))
    said = catmaid.procman("install")
    assert "catmaid-celery-beat: left stopped" in said.stdout + said.stderr
    stopped = [name for name, each in catmaid.status().items() if each["state"] == "STOPPED"]
    assert len(stopped) == 6
    assert show(catmaid.host, "catmaid-celery-beat", "TimeoutStopUSec") == {"TimeoutStopUSec": "1min 31s"}
    catmaid.procman("start")
    wait_for(all_running(catmaid), START_SECONDS)


def test_whatever_is_killed_is_back_without_orphans_and_with_one_beat(catmaid: Project) -> None:
    host = catmaid.host
    killed = ["catmaid-celery", "catmaid-celery-beat"]
    before = {name: processes_of(host, name) for name in killed}
    pool_of_another = [pid for pid in processes_of(host, "catmaid-hold-1") if pid != main_pid(host, "catmaid-hold-1")]
    survivor = main_pid(host, "catmaid-hold-1")
    host.run(f"kill -9 {pool_of_another[0]} {main_pid(host, killed[0])} {main_pid(host, killed[1])}")
    assert catmaid.state("catmaid-celery") == "BACKOFF"
    began = time.monotonic()
    wait_for(all_running(catmaid), RESTART_SECONDS + START_SECONDS)
    assert time.monotonic() - began > RESTART_SECONDS / 2
    for name in killed:
        assert not set(before[name]) & set(processes_of(host, name))
        for pid in before[name]:
            assert host.run(["kill", "-0", str(pid)], check=False).returncode != 0
        assert show(host, name, "NRestarts")["NRestarts"] == "1"
    wait_for(lambda: len(processes_of(host, "catmaid-hold-1")) == 2, START_SECONDS, "a new pool process")
    assert main_pid(host, "catmaid-hold-1") == survivor
    assert beats(host) == 1
    consumes(catmaid, 200, "catmaid")


def test_memory_limits_and_the_out_of_memory_policy_are_what_was_asked_for(catmaid: Project) -> None:
    # Control groups may be of version 1 here, which shows no event: so the loaded properties are asked.
    wanted = ("OOMPolicy", "KillMode", "Restart", "Type", "TimeoutAbortUSec", "StartLimitIntervalUSec")
    assert show(catmaid.host, "catmaid-celery", *wanted) == {
        "OOMPolicy": "continue",
        "KillMode": "mixed",
        "Restart": "always",
        "Type": "notify",
        "TimeoutAbortUSec": "30s",
        "StartLimitIntervalUSec": "0",
    }


def test_drop_in_of_the_administrator_is_obeyed_and_reported(catmaid: Project) -> None:
    host, drop_in = catmaid.host, "/etc/systemd/system/catmaid-celery.service.d/local.conf"
    host.write(drop_in, "[Service]\nKillMode=control-group\nTimeoutStopSec=5\n")
    host.run("systemctl daemon-reload")
    assert drop_in in catmaid.status()["catmaid-celery"]["detail"]
    send(host, "counting.tasks.hold", [300, 4], queue="catmaid")
    wait_for(is_started(host, 300), START_SECONDS)
    # It says to kill the pool at once; procman's own stop still lets the task finish.
    catmaid.procman("stop", "catmaid-celery")
    assert counted(host, "finished")[300] == 1
    host.run(["rm", "-r", "/etc/systemd/system/catmaid-celery.service.d"])
    catmaid.procman("start", "catmaid-celery")
    assert catmaid.status()["catmaid-celery"]["detail"] == ""


def test_programs_of_a_removed_table_end_warm_even_if_systemd_was_told_to_look_first(catmaid: Project) -> None:
    host, unit = catmaid.host, "/etc/systemd/system/catmaid-hold-10.service"
    send(host, "counting.tasks.hold", *([number, 4] for number in range(400, 410)), queue="hold")
    wait_for(lambda: sum(counted(host, "started")[number] for number in range(400, 410)) == 10, START_SECONDS)
    # As an upgrade of the host does it, between the removal of a file and the stop of its program.
    host.run(f"rm {unit} && systemctl daemon-reload")
    catmaid.write(toml("catmaid", "default"))
    catmaid.procman("install", timeout=180)
    assert {counted(host, "finished")[number] for number in range(400, 410)} == {1}
    assert host.run("systemctl list-units --all --no-legend 'catmaid-hold*'").stdout == ""
    assert all_running(catmaid)()


def test_journal_is_shown_and_refused_with_the_remedy(catmaid: Project) -> None:
    assert "ready." in catmaid.procman("logs", "catmaid-celery", "-n", "200").stdout
    host = catmaid.host
    refused = host.run(["procman", "--project", "catmaid", "logs", "catmaid-celery"], "www-data", check=False)
    assert refused.returncode == 1
    assert "systemd-journal" in refused.stderr
    status = host.run(["procman", "--project", "catmaid", "status"], "www-data")
    assert "catmaid-celery" in status.stdout
    forbidden = host.run(["procman", "--project", "catmaid", "stop"], "www-data", check=False)
    assert forbidden.returncode == 1
    assert "sudo" in forbidden.stderr


def test_broker_that_is_away_for_a_minute_is_survived_and_nothing_is_restarted(
    catmaid: Project, fenced: Project
) -> None:
    host = catmaid.host
    before = {name: each["pid"] for name, each in (catmaid.status() | fenced.status()).items()}
    host.run("systemctl stop rabbitmq-server", timeout=90)
    began = time.monotonic()
    small = _user_installs_a_project_meanwhile(host)
    time.sleep(max(0.0, 60 - (time.monotonic() - began)))
    host.run("systemctl start rabbitmq-server", timeout=90)
    consumes(catmaid, 500, "catmaid")
    consumes(fenced, 501, "fenced")
    assert {name: each["pid"] for name, each in (catmaid.status() | fenced.status()).items()} == before
    assert {each["restarts"] for each in (catmaid.status() | fenced.status()).values()} <= {0, 1}
    assert all_running(small, "anna")()


def _user_installs_a_project_meanwhile(host: Host) -> Project:
    host.run("useradd --create-home --shell /bin/bash anna && loginctl enable-linger anna")
    host.wait_for(
        lambda: host.run("systemctl --user is-active default.target", "anna", check=False).returncode == 0, 30
    )
    host.write("/home/anna/celery.env", "COLOUR=green\n", mode=0o600, owner="anna")
    host.run("install -d -o anna /home/anna/data")
    small = Project(host, "small", USERS.format(projects=PROJECTS, virtualenv=VIRTUALENV))
    host.run(f"install -o anna {small.configuration} /home/anna/procman.toml")
    small.configuration = "/home/anna/procman.toml"
    small.procman("install", "--wait", "60", user="anna")
    return small


def test_units_of_a_user_run_in_what_a_user_can_have_of_the_sandbox(catmaid: Project) -> None:
    host = catmaid.host
    pid = host.run("systemctl --user show --value --property=MainPID small-celery", "anna").stdout.strip()
    status = host.run(["cat", f"/proc/{pid}/status"]).stdout
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert "COLOUR=green" in host.run(f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout
    assert "ready." in host.run(["procman", "--project", "small", "logs", "small-celery", "-n", "200"], "anna").stdout


def test_after_a_reboot_everything_is_back_with_one_beat(catmaid: Project, fenced: Project) -> None:
    host = catmaid.host
    catmaid.write(toml("catmaid", "default").replace("[beat]", "[beat]\n[worker.spare]\nautostart = false"))
    catmaid.procman("install")
    host.reboot()
    small = Project.__new__(Project)
    small.host, small.name, small.configuration = host, "small", "/home/anna/procman.toml"
    wait_for(lambda: catmaid.state("catmaid-celery") == "RUNNING", START_SECONDS)
    wait_for(all_running(fenced), START_SECONDS)
    wait_for(all_running(small, "anna"), START_SECONDS)
    assert catmaid.state("catmaid-spare") == "STOPPED"
    assert catmaid.state("catmaid-celery-beat") == "RUNNING"
    assert beats(host) == 1
    assert [unit for unit in host.failed_units() if "celery" in unit] == []
    consumes(catmaid, 600, "catmaid")
    small.procman("uninstall", "--purge", user="anna")


def test_move_to_supervisor_and_back_loses_no_task_and_never_runs_two_beats(fenced: Project) -> None:
    host = fenced.host
    # Under supervisord the program itself reads the file.
    host.run("chgrp www-data /etc/catmaid/celery.env && chmod 640 /etc/catmaid/celery.env")
    host.run("systemctl start supervisor")
    for number, backend in ((700, "supervisor"), (702, "systemd")):
        send(host, "counting.tasks.hold", [number, 5], [number + 1, 5], queue="fenced")
        wait_for(is_started(host, number + 1), START_SECONDS)
        fenced.write(toml("fenced", "strict").replace('backend = "systemd"', f'backend = "{backend}"'))
        most = _most_beats_during(host, lambda: fenced.procman("install", "--wait", "60", timeout=180))
        assert most == 1
        assert {counted(host, "finished")[each] for each in (number, number + 1)} == {1}
        assert all_running(fenced)()
        link = "/etc/systemd/system/multi-user.target.wants/fenced.target"
        assert (host.run(["test", "-L", link], check=False).returncode == 0) is (backend == "systemd")
        known = host.run("systemctl list-units --all --no-legend 'fenced*'").stdout
        assert bool(known) is (backend == "systemd"), known
        consumes(fenced, number + 10, "fenced")
    assert host.run("supervisorctl status fenced-celery", check=False).returncode != 0
    host.run("systemctl stop supervisor")


def _most_beats_during(host: Host, act: Callable[[], object]) -> int:
    """Return the most beats of the fenced project that were seen at once while ACT went on."""
    with ThreadPoolExecutor() as pool:
        acting = pool.submit(act)
        seen = [0]
        while not acting.done():
            seen.append(beats(host, "fenced"))
        acting.result()
    return max(seen)


def test_uninstall_leaves_nothing_behind(catmaid: Project, fenced: Project) -> None:
    host = catmaid.host
    before = host.run("find /etc/systemd /run/systemd/system /usr/local /etc/logrotate.d -name '*fenced*'").stdout
    assert before
    fenced.procman("uninstall", "--purge")
    found = "find /etc /usr/local /run /var/lib /var/log -xdev -name '*fenced*' ! -name procman-fenced.toml"
    left = host.run(found).stdout.split()
    assert left == ["/var/lib/fenced"]
    assert host.run("systemctl list-units --all --no-legend 'fenced*'").stdout == ""
    assert host.run("systemctl is-active fenced.target", check=False).stdout == "inactive\n"
