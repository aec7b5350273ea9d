"""Existing units and init.d scripts are adopted on a booted Debian, and uninstall brings back every byte."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project, counted, send, show
from .machine import Host
from .projects import START_SECONDS, main_pid, side_by_side, wait_for

CELERY = f"{VIRTUALENV}/bin/celery -A mysite"

SETTINGS = f"""
[Service]
User=www-data
WorkingDirectory={PROJECTS}
EnvironmentFile=/etc/catmaid/celery.env
Environment=DJANGO_SETTINGS_MODULE=exercise.settings DEMO_DATA_DIRECTORY={DATA}
Restart=always
TimeoutStopSec=1
"""
"""A stop would kill every task: KillMode= is control-group unless it is set."""

INSTALL = "[Install]\nWantedBy=multi-user.target\n"

UNITS = {
    "/etc/systemd/system/old-shell.service": f"""{SETTINGS}
ExecStart=/bin/sh -c 'while true; do {CELERY} worker -c 1 -Q old-shell -n shell@%%h; done'
{INSTALL}Alias=old-alias.service
""",
    "/etc/systemd/system/old-shell.service.d/override.conf": "[Service]\nNice=1\n",
    "/etc/systemd/system/old-multi.service": f"""{SETTINGS}
Type=forking
RuntimeDirectory=old-multi
ExecStart={CELERY} multi start fast slow --pidfile=/run/old-multi/%%n.pid --logfile=/dev/null -c 1 \
-Q:fast old-fast -Q:slow old-slow
ExecStop={CELERY} multi stopwait fast slow --pidfile=/run/old-multi/%%n.pid
{INSTALL}""",
    "/usr/lib/systemd/system/old-multi.service": "[Service]\nExecStart=/bin/false\n",
    "/usr/lib/systemd/system/old-beat.service": f"""{SETTINGS}
RuntimeDirectory=old-beat
ExecStart={CELERY} beat -s /run/old-beat/schedule --pidfile=
{INSTALL}""",
    "/etc/systemd/system/old@.service": f"""{SETTINGS}
ExecStart={CELERY} worker -c 1 -Q old-%i -n %i@%%h
{INSTALL}""",
}

SCRIPT = f"""#!/bin/sh
### BEGIN INIT INFO
# Provides: old-init
# Required-Start: $remote_fs
# Required-Stop: $remote_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
DEFAULT_PID_FILE="/run/old-init/%n.pid"
[ -f /etc/default/old-init ] && . /etc/default/old-init
PID_FILE=${{CELERYD_PID_FILE:-$DEFAULT_PID_FILE}}
. /etc/catmaid/celery.env
export CELERY_BROKER_URL DJANGO_SETTINGS_MODULE=exercise.settings DEMO_DATA_DIRECTORY={DATA}
cd {PROJECTS}
multi() {{ setpriv --reuid=www-data --regid=www-data --init-groups {CELERY} multi "$@" --pidfile="$PID_FILE"; }}
case "$1" in
  start) install -d -o www-data /run/old-init; multi start init --logfile=/dev/null -c 1 -Q old-init;;
  stop) multi stopwait init;;
esac
"""

OLD = ("old-shell", "old-multi", "old-beat", "old@one", "old@two", "old-init")

SOURCES = {
    "shell": "systemd:old-alias.service",
    "fast": "systemd:old-multi.service:fast",
    "slow": "systemd:old-multi.service:slow",
    "one": "systemd:old@one.service",
    "init": "init.d:old-init:init",
}
"""What the worker for each queue adopts."""

TABLE = '[worker.{0}]\nconcurrency = 1\nqueues = ["old-{0}"]\nadopts = ["{1}"]\n'

TOML = f"""
[project]
name = "new"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/catmaid/celery.env"
writable_paths = ["{DATA}"]

[environment]
DEMO_DATA_DIRECTORY = "{DATA}"

[health]
heartbeat_seconds = 1

[defaults.program]
start_seconds = 2
"""

SUMS = (
    "find /etc/systemd /etc/init.d /etc/rc?.d /usr/lib/systemd/system/old* "
    r"\( -type l -printf '%p %l\n' -o -type f -printf '%p %m ' -exec md5sum {} \; \) | sort"
)

TASK_SECONDS = 8
"""Longer than all of the old programs would have to stop."""


@pytest.fixture(scope="module")
def old(stocked: Host) -> Iterator[Host]:
    """The host with old units and an init.d script, which run."""
    for path, text in UNITS.items():
        stocked.write(path, text)
    stocked.write("/etc/init.d/old-init", SCRIPT, mode=0o755)
    stocked.write("/etc/default/old-init", 'CELERYD_PID_FILE="/run/old-init/%n.pid"\n')
    stocked.run("update-rc.d old-init defaults && systemctl daemon-reload")
    stocked.run(["systemctl", "enable", "--quiet", *OLD])
    stocked.run(["systemctl", "start", *OLD])
    yield stocked
    # celery multi returns before its nodes have written the files by which it finds them.
    pid_file = ["test", "-s", "/run/old-init/init.pid"]
    wait_for(lambda: stocked.run(pid_file, check=False).returncode == 0, START_SECONDS, "the script's node has started")
    stocked.run(["systemctl", "stop", *OLD])
    assert processes(stocked, f"{CELERY} ") == []
    stocked.run(["systemctl", "disable", "--quiet", *OLD])
    stocked.run(["rm", "-r", "/etc/init.d/old-init", "/etc/default/old-init", *UNITS])
    stocked.run("update-rc.d old-init remove && systemctl daemon-reload")


def processes(host: Host, word: str) -> list[str]:
    """Return the command lines of the processes that contain `word`."""
    listed = host.run(["ps", "-eo", "args"]).stdout.splitlines()
    return [line for line in listed if word in line]


def test_units_are_compared_with_their_running_processes(old: Host) -> None:
    units = ("old-multi", "old-beat", "old@one")
    words = [word for unit in units for word in ("--from", f"{unit}.service")]
    init = ["procman", "init", PROJECTS, *words, "--name", "new", "--compare", "--json", "--output", "/root/new.toml"]
    wait_for(lambda: len(processes(old, "-n slow@")) > 0, START_SECONDS, "celery multi has started its nodes")
    done = old.run(init, check=False)
    [project] = json.loads(done.stdout)["projects"]
    programs = {program["source"].removeprefix("systemd:"): program for program in project["programs"]}
    unexplained = {
        (source, value["name"], value["old"], value["new"])
        for source, program in programs.items()
        for value in program["values"]
        if not (value["equal"] or value["reason"])
        # The host has the nice value of the tests.
        and not (value["name"] == "nice" and value["old"] == str(os.getpriority(os.PRIO_PROCESS, 0)))
    }
    assert unexplained == set()
    pids = {source: program["pid"] for source, program in programs.items()}
    assert pids == {
        "old-multi.service:fast": pids["old-multi.service:fast"],
        "old-multi.service:slow": pids["old-multi.service:slow"],
        "old-beat.service": main_pid(old, "old-beat"),
        "old@one.service": main_pid(old, "old@one"),
    }
    assert all(pids.values())
    assert SECRET not in done.stdout
    assert not old.path("/root/new.toml").exists()


def test_units_and_scripts_are_adopted_and_brought_back(old: Host) -> None:
    before, stays = old.run(SUMS).stdout, main_pid(old, "old@two")
    numbers = range(400, 400 + len(SOURCES))
    tasks = zip(numbers, SOURCES, strict=True)
    side_by_side(
        *(
            partial(send, old, "counting.tasks.hold", [number, TASK_SECONDS], queue=f"old-{name}")
            for number, name in tasks
        )
    )
    wait_for(
        lambda: all(counted(old, "started")[number] for number in numbers), START_SECONDS, "the tasks have started"
    )
    tables = "".join(TABLE.format(name, source) for name, source in SOURCES.items())
    new = Project(old, "new", TOML + tables + '[beat]\nadopts = ["systemd:old-beat.service"]\n')
    printed = new.procman("install", "--no-check", "--wait", "60", "--at-once", "6").stdout
    assert "all programs are healthy" in printed
    finished = counted(old, "finished")
    assert Counter({number: finished[number] for number in numbers}) == Counter(numbers)
    assert counted(old, "started")[numbers[0]] == 1
    assert [line for line in processes(old, f"{CELERY} ") if "old-two" not in line] == []
    assert main_pid(old, "old@two") == stays
    assert {show(old, f"{name}.service", "LoadState")["LoadState"] for name in ("old-beat", "old@one")} == {"masked"}
    assert {each["state"] for each in new.status().values()} == {"RUNNING"}
    old_unit_that_comes_back_is_reported(new)
    new.procman("uninstall")
    assert old.run(SUMS).stdout == before
    assert {show(old, f"{name}.service", "ActiveState")["ActiveState"] for name in OLD} == {"active"}
    wait_for(lambda: len(processes(old, "-n fast@")) > 0, START_SECONDS, "celery multi has started its nodes")
    assert main_pid(old, "old@two") == stays
    assert old.run("ls /run/systemd/system").stdout == ""


def old_unit_that_comes_back_is_reported(new: Project) -> None:
    unit = "/etc/systemd/system/old-shell.service"
    new.host.write(unit, UNITS[unit])
    new.host.run("systemctl daemon-reload && systemctl start old-shell")
    wait_for(lambda: new.status()["new-shell"]["health"]["code"] == "PM115", START_SECONDS, "it is reported")
    found = new.status()["new-shell"]["health"]
    assert found["level"] == "CRITICAL"
    assert "systemd:old-alias.service, which new-shell replaced, runs again as process " in found["detail"]
    command = found["hint"].splitlines()[0]
    assert command == "systemctl disable --now old-shell.service"
    new.host.run(f"{command}; rm {unit}; systemctl daemon-reload")
    assert new.status()["new-shell"]["health"]["level"] == "OK"


SLEEP = "[Service]\nExecStart=/bin/sleep 100000\n"

UNUSABLE = {
    "old-timed.service": SLEEP,
    "old-timed.timer": "[Timer]\nOnCalendar=yearly\n",
    "old-needed.service": SLEEP,
    "old-needer.service": f"[Unit]\nRequires=old-needed.service\n{SLEEP}",
}

REFUSALS = {
    "systemd:old-timed.service": "old-timed.timer would start it again. Disable that first: systemctl disable --now ",
    "systemd:old-needed.service": "old-needer.service needs it (RequiredBy=). Remove that dependency: systemctl edit ",
    "systemd:old-masked.service": "it is masked, so nothing runs it. Remove it from adopts, or allow it again: ",
    "systemd:old-run.service": "systemd-run started it, so it could not be restored. Stop it: systemctl stop ",
    "systemd:old-nowhere.service": "systemd does not know it. Remove it from adopts, or correct its name: ",
    "systemd:old-multi.service:fast": "it also runs node slow, which would stop with it. Add systemd:",
    "init.d:old-nowhere": "/etc/init.d/old-nowhere does not exist. Remove it from adopts, or correct its name",
    "init.d:rabbitmq-server": "systemd uses /lib/systemd/system/rabbitmq-server.service in its place. Write ",
}
"""The reason and remedy, by source."""


def test_every_source_that_cannot_be_adopted_is_refused_before_any_change(old: Host) -> None:
    for name, text in UNUSABLE.items():
        old.write(f"/run/systemd/system/{name}", text)
    old.run("ln -s /dev/null /run/systemd/system/old-masked.service; systemctl daemon-reload")
    old.run("systemctl start old-timed.timer old-needer")
    old.run("systemd-run --quiet --unit=old-run sleep 100000")
    before = old.run(SUMS).stdout
    sources = ", ".join(f'"{source}"' for source in REFUSALS)
    new = Project(old, "new", f"{TOML}[worker.one]\nadopts = [{sources}]\n")
    try:
        done = new.procman("install", "--no-check", check=False)
        assert done.returncode == 1
        for source, reason in REFUSALS.items():
            assert f"worker.one: adopts: {source}: {reason}" in done.stderr
        assert old.run(SUMS).stdout == before
        assert show(old, "old-needer.service", "ActiveState") == {"ActiveState": "active"}
    finally:
        old.run("systemctl stop old-timed.timer old-needer old-needed old-run")
        old.run("rm /run/systemd/system/old-* && systemctl daemon-reload", check=False)


OF_USER = """
[project]
name = "una"
app = "none"
directory = "/home/una"
virtualenv = "/opt/procman"
scope = "user"
backend = "systemd"

[defaults.program]
launcher = false
start_seconds = 0

[command.mine]
argv = ["sleep", "100000"]
adopts = ["systemd:mine.service"]

[command.one]
argv = ["sleep", "100000"]
adopts = ["systemd:mine@one.service"]
"""

OF_USER_SUMS = (
    r"cd && find .config/systemd \( -type l -printf '%p %l\n' -o -type f -printf '%p %m ' -exec md5sum {} \; \) | sort"
)


def test_units_of_a_user_are_adopted_and_brought_back(stocked: Host) -> None:
    stocked.run("useradd --create-home una && loginctl enable-linger una")
    for name in ("mine", "mine@"):
        text = f"{SLEEP}Restart=always\n[Install]\nWantedBy=default.target\n"
        stocked.write(f"/home/una/.config/systemd/user/{name}.service", text)
    stocked.run("chown -R una /home/una")
    started = ["systemctl", "--user", "enable", "--quiet", "--now", "mine", "mine@one"]
    wait_for(lambda: stocked.run(started, "una", check=False).returncode == 0, START_SECONDS, "una's systemd runs")
    before = stocked.run(OF_USER_SUMS, "una").stdout
    project = Project(stocked, "una", OF_USER)
    project.procman("install", "--no-check", user="una")
    assert stocked.run("pgrep --count --uid una sleep").stdout == "2\n"
    assert [line for line in stocked.run(OF_USER_SUMS, "una").stdout.splitlines() if "wants/mine" in line] == []
    project.procman("uninstall", "--purge", user="una")
    assert stocked.run(OF_USER_SUMS, "una").stdout == before
    assert stocked.run("systemctl --user is-active mine mine@one", "una").stdout == "active\nactive\n"
    stocked.run("loginctl disable-linger una; systemctl stop user@$(id -u una)")
