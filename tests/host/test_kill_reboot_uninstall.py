"""Kills, reboots, moves and uninstalls under every process manager, in parallel because they take time."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from .catmaid import PROJECTS, SEND, VIRTUALENV, Project, send, show
from .machine import Host
from .projects import (
    OWN_UNIT,
    START_SECONDS,
    TINY,
    all_running,
    are_finished,
    are_started,
    beats,
    children,
    consumes,
    main_pid,
    side_by_side,
    toml,
    under_supervisor,
    wait_for,
)

USERS = """
[project]
name = "small"
app = "mysite"
directory = "{projects}"
virtualenv = "{virtualenv}"
settings = "mysite.settings"
backend = "systemd"
scope = "user"
after = ["rabbitmq-server.service"]
environment_file = "/home/anna/celery.env"

[environment]
DEMO_DATA_DIRECTORY = "/home/anna/data"

[health]
heartbeat_seconds = 1

[defaults.program]
start_seconds = 2

[worker.celery]
concurrency = 1

[worker.laps]
overlap = true
queues = ["small-laps"]
concurrency = 1
stop_timeout_seconds = 5

[beat]
"""

POCKET = TINY.replace('name = "tiny"', 'name = "pocket"').replace('user = "nobody"\ngroup = "games"', 'scope = "user"')

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"

RESTART_SECONDS = 10
"""`RestartSec=` of a unit."""

Four = tuple[Project, Project, Project, Project]


@pytest.fixture(scope="module")
def four(catmaid: Project, fenced: Project, debian: Project, own: Project) -> Four:
    """Two projects under systemd, one under Debian's supervisord, one under procman's."""
    return catmaid, fenced, debian, own


@pytest.fixture(scope="module")
def database(stocked: Host) -> Host:
    """The host with a database, started by systemd, for `exercise.tasks.record`."""
    stocked.run("systemctl enable --quiet --now postgresql")
    stocked.run("createuser www-data && createdb --owner www-data catmaid", "postgres")
    stocked.run("psql --quiet catmaid --command 'CREATE TABLE recorded (number integer)'", "www-data")
    return stocked


def recorded(host: Host) -> Counter[int]:
    """Return how often each number is in the database."""
    done = host.run("psql --tuples-only --no-align catmaid --command 'SELECT number FROM recorded'", "www-data")
    return Counter(map(int, done.stdout.split()))


@pytest.fixture(scope="module")
def small(stocked: Host) -> Project:
    """A project of an ordinary user, under that user's systemd; not installed yet."""
    return Project(stocked, "small", USERS.format(projects=PROJECTS, virtualenv=VIRTUALENV))


@pytest.fixture(scope="module")
def pocket(stocked: Host) -> Project:
    """Another project, under a supervisord that the user's systemd runs; not installed yet."""
    return Project(stocked, "pocket", POCKET + 'supervisord = "/opt/procman/bin/supervisord"\n')


def test_running_tasks_survive_every_stop_and_restart_and_a_killed_supervisord(
    catmaid: Project, debian: Project, own: Project
) -> None:
    host, tens = catmaid.host, {catmaid: range(100, 110), debian: range(1100, 1110)}
    for project, numbers in tens.items():
        send(host, "counting.tasks.hold", *([number, 20] for number in numbers), queue=f"{project.name}-hold")
    send(host, "counting.tasks.hold", [2100, 8], queue="own")
    wait_for(are_started(host, *range(100, 110), *range(1100, 1110), 2100), START_SECONDS, "all tasks are running")
    before = {name: each["pid"] for project in tens for name, each in project.status().items()}
    killed = int(show(host, OWN_UNIT, "MainPID")["MainPID"])
    host.run(["kill", "-9", str(killed)])
    ours, theirs = ([f"{project.name}-hold-{number}" for number in range(1, 11)] for project in tens)
    side_by_side(
        lambda: host.run(["systemctl", "restart", *ours[:5]], timeout=90),
        lambda: catmaid.procman("stop", *ours[5:]),
        # One after another.
        lambda: host.run(["supervisorctl", "restart", *theirs[:2]], timeout=180),
        lambda: debian.procman("stop", *theirs[2:]),
    )
    for (project, numbers), restarted in zip(tens.items(), (5, 2), strict=True):
        assert are_finished(host, *numbers)
        states = project.status()
        for number in range(1, 11):
            found = states[f"{project.name}-hold-{number}"]
            assert (found["wanted"], found["state"] == "STOPPED") == (number <= restarted, number > restarted), found
            assert found["pid"] != before[found["name"]]
    # A worker whose supervisord was killed finishes its task before the next supervisord's worker starts.
    wait_for(all_running(own), START_SECONDS)
    assert int(show(host, OWN_UNIT, "MainPID")["MainPID"]) not in (0, killed)
    assert are_finished(host, 2100)
    assert beats(host, "own") == 1
    consumes(own, 2101)


def test_install_does_not_start_a_program_stopped_on_purpose(catmaid: Project, debian: Project) -> None:
    # Some of the ten from before are still stopped, and must stay stopped.
    catmaid.host.run("systemctl stop catmaid-celery-beat && supervisorctl stop debian-celery-beat")
    for project, text in ((catmaid, toml("catmaid", ten=True)), (debian, under_supervisor(toml("debian", ten=True)))):
        before = {name for name, each in project.status().items() if each["state"] == "STOPPED"}
        # A new stop timeout alone would need no restart.
        project.write(text.replace("[beat]", '[beat]\nstop_timeout_seconds = 61\nloglevel = "debug"'))
        printed = project.procman("install", "--no-check")
        assert f"{project.name}-celery-beat: left stopped" in printed.stdout + printed.stderr
        after = {name for name, each in project.status().items() if each["state"] == "STOPPED"}
        assert after == before
        assert len(after) > 5
    assert show(catmaid.host, "catmaid-celery-beat", "TimeoutStopUSec") == {"TimeoutStopUSec": "1min 31s"}
    side_by_side(lambda: catmaid.procman("start"), lambda: debian.procman("start"))
    for project in (catmaid, debian):
        wait_for(all_running(project), START_SECONDS, project.name)


def test_killed_programs_are_restarted_without_orphans_and_with_one_beat(catmaid: Project, debian: Project) -> None:
    host, projects = catmaid.host, (catmaid, debian)
    before = {name: each["pid"] for project in projects for name, each in project.status().items()}
    killed = [f"{project.name}-{what}" for project in projects for what in ("celery", "celery-beat")]
    survivors = [f"{project.name}-hold-1" for project in projects]
    families = {name: [before[name], *children(host, before[name])] for name in (*killed, *survivors)}
    pids = [*(before[name] for name in killed), *(families[name][1] for name in survivors)]
    host.run(["kill", "-9", *map(str, pids)])
    assert catmaid.state("catmaid-celery") == "BACKOFF"
    began = time.monotonic()

    def are_back() -> bool:
        states = catmaid.status() | debian.status()
        return all(states[name]["pid"] not in (None, before[name]) for name in killed) and all(
            each["state"] == "RUNNING" for each in states.values()
        )

    wait_for(are_back, RESTART_SECONDS + START_SECONDS)
    assert time.monotonic() - began > RESTART_SECONDS / 2
    states = catmaid.status() | debian.status()
    for name in killed:
        for pid in families[name]:
            assert host.run(["kill", "-0", str(pid)], check=False).returncode != 0, name
        assert states[name]["restarts"] == 1
    for name in survivors:
        assert states[name]["pid"] == before[name]
        wait_for(partial(_has_one_child, host, before[name]), START_SECONDS, "a new pool process")
    for project in projects:
        assert beats(host, project.name) == 1
    side_by_side(*(partial(consumes, project, number) for number, project in enumerate(projects, 200)))


def _has_one_child(host: Host, pid: int) -> bool:
    return len(children(host, pid)) == 1


def test_removed_programs_stop_gracefully_even_after_a_daemon_reload(catmaid: Project, debian: Project) -> None:
    host, unit = catmaid.host, "/etc/systemd/system/catmaid-hold-10.service"
    numbers = [*range(400, 410), *range(1400, 1410)]
    for project, first in ((catmaid, 400), (debian, 1400)):
        tasks = ([number, 4] for number in range(first, first + 10))
        send(host, "counting.tasks.hold", *tasks, queue=f"{project.name}-hold")
    wait_for(are_started(host, *numbers), START_SECONDS)
    # As an upgrade of the host does, between the removal of a file and the stop of its program.
    host.run(f"rm {unit} && systemctl daemon-reload")
    catmaid.write(toml("catmaid"))
    debian.write(under_supervisor(toml("debian")))
    for project in (catmaid, debian):
        project.procman("install", "--no-check", timeout=180)
        wait_for(all_running(project), START_SECONDS, project.name)
    assert are_finished(host, *numbers)
    assert host.run("systemctl list-units --all --no-legend 'catmaid-hold*'").stdout == ""
    assert "hold" not in host.run("supervisorctl avail").stdout


def test_broker_that_is_away_for_a_minute_causes_no_restart(four: Four, small: Project, pocket: Project) -> None:
    host, killed = small.host, "catmaid-celery"
    before = {name: each["pid"] for project in four for name, each in project.status().items() if name != killed}
    host.run("systemctl stop rabbitmq-server", timeout=90)
    began = time.monotonic()
    host.run(["kill", "-9", str(main_pid(host, killed))])
    _user_installs(small, pocket)
    time.sleep(max(0.0, 60 - (time.monotonic() - began)))
    # The restarted worker did not start the broker that an administrator had stopped.
    assert show(host, killed, "NRestarts")["NRestarts"] != "0"
    assert host.run("systemctl is-active rabbitmq-server", check=False).stdout == "inactive\n"
    host.run("systemctl start rabbitmq-server", timeout=90)
    side_by_side(*(partial(consumes, project, number) for number, project in enumerate(four, 500)))
    for project in four:
        after = {name: each["pid"] for name, each in project.status().items() if name != killed}
        assert after == {name: before[name] for name in after}
    assert all_running(small, "anna")()


def _user_installs(*projects: Project) -> None:
    host = projects[0].host
    host.run("useradd --create-home --shell /bin/bash anna")
    # systemd-logind 257 refuses a caller from a control group outside of the host, such as this one.
    host.run("systemd-run --quiet --wait --pipe loginctl enable-linger anna")
    wait_for(lambda: host.run("systemctl --user is-active default.target", "anna", check=False).returncode == 0, 30)
    host.write("/home/anna/celery.env", "COLOUR=green\n", mode=0o600, owner="anna")
    host.run("install -d -o anna /home/anna/data")
    for project in projects:
        own = f"/home/anna/{project.name}.toml"
        host.run(["install", "-o", "anna", project.configuration, own])
        project.configuration = own
        project.procman("install", "--wait", "60", user="anna")


def test_user_units_run_in_the_supported_part_of_the_sandbox(small: Project) -> None:
    host = small.host
    pid = host.run("systemctl --user show --value --property=MainPID small-celery", "anna").stdout.strip()
    status = host.run(["cat", f"/proc/{pid}/status"]).stdout
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert "COLOUR=green" in host.run(f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout
    assert "ready." in host.run(["procman", "--project", "small", "logs", "small-celery", "-n", "200"], "anna").stdout


def test_user_reloads_a_worker_by_an_overlap(small: Project) -> None:
    host = small.host
    # Her broker is a directory.
    words = [f"{VIRTUALENV}/bin/python", "-c", SEND, json.dumps(["counting.tasks.hold", [[800, 3600]], "small-laps"])]
    own = {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "PYTHONPATH": PROJECTS,
        "DEMO_DATA_DIRECTORY": "/home/anna/data",
    }
    host.run(words, "anna", environment=own)
    started = ["grep", "-qx", "800", "/home/anna/data/counted/started"]
    wait_for(lambda: host.run(started, check=False).returncode == 0, START_SECONDS, "the task is running")
    before = small.status("anna")["small-laps"]["pid"]
    host.write("/home/anna/celery.env", "COLOUR=blue\n", mode=0o600, owner="anna")
    host.run("systemctl --user reload small-laps", "anna", timeout=120)
    after = small.status("anna")["small-laps"]
    assert [each["pid"] for each in after["draining"]] == [before]
    colours = {
        pid: [line for line in host.run(f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout.split() if "COLOUR" in line]
        for pid in (before, after["pid"])
    }
    assert colours == {before: ["COLOUR=green"], after["pid"]: ["COLOUR=blue"]}


def test_users_systemd_runs_the_users_supervisord(pocket: Project) -> None:
    shown = pocket.host.run(f"systemctl --user show {OWN_UNIT} -p MainPID -p UnitFileState -p TimeoutStopUSec", "anna")
    unit = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert (unit["UnitFileState"], unit["TimeoutStopUSec"]) == ("enabled", "20min")
    pid = pocket.status("anna")["pocket-sleep"]["pid"]
    assert pid in children(pocket.host, int(unit["MainPID"]))


def test_check_names_services_that_a_reboot_would_stop_before_the_programs(catmaid: Project, small: Project) -> None:
    catmaid.write(toml("catmaid").replace(', "postgresql.service"', ""))
    [missing] = [each for each in _checked(catmaid) if each["code"] == "PM763"]
    assert missing["detail"].startswith("at a shutdown or reboot, postgresql.service (database default) may stop")
    assert missing["hint"] == 'Set after = ["rabbitmq-server.service", "postgresql.service"] in [project].'
    reported = [each["detail"] for each in _checked(small, "anna") if each["code"] == "PM773"]
    uid = small.host.run("id -u anna").stdout.strip()
    lines = f"systemctl edit user@{uid}, and add the lines:\n[Unit]\nAfter=rabbitmq-server.service"
    assert [each for each in reported if each.endswith(lines)]


def _checked(project: Project, user: str | None = None) -> list[dict[str, Any]]:
    printed = project.procman("check", "--json", user=user, check=False).stdout
    results: list[dict[str, Any]] = json.loads(printed)["results"]
    return results


@pytest.mark.usefixtures("database")
def test_reboot_waits_for_tasks_that_need_the_database_and_starts_everything_again(
    four: Four, small: Project, pocket: Project
) -> None:
    catmaid, fenced, debian, own = four
    host = catmaid.host
    host.run("touch /root/kept /run/lost")
    before, boot = host.pid, host.run(BOOT_ID).stdout
    shown = '[command.shown]\nautostart = false\nargv = ["sh", "-c", "echo ${CELERY_BROKER_URL%%:*}"]\n'
    catmaid.write(toml("catmaid") + "[worker.spare]\nautostart = false\n" + shown)
    catmaid.procman("install", "--no-check")
    # Only root can read that file, and the program does not run as root.
    assert catmaid.procman("run", "shown").stdout == "amqp\n"
    running = dict(zip((601, 602, 603), (catmaid, debian, own), strict=True))
    side_by_side(
        *(
            partial(send, host, "exercise.tasks.record", [number, 8], queue=project.name)
            for number, project in running.items()
        )
    )
    wait_for(are_started(host, *running), START_SECONDS)
    host.reboot()
    assert (host.pid, host.run(BOOT_ID).stdout) != (before, boot)
    assert host.run("ls /root/kept /run/lost", check=False).stdout == "/root/kept\n"
    assert host.run("systemctl is-active rabbitmq-server").stdout == "active\n"
    # The reboot waited for them: all three stop before the broker and the database, because of `after`.
    assert are_finished(host, *running)
    assert recorded(host) == dict.fromkeys(running, 2)
    for project in (fenced, debian, own):
        wait_for(all_running(project), START_SECONDS, project.name)
    for project in (small, pocket):
        wait_for(all_running(project, "anna"), START_SECONDS, project.name)
    # The overlap that the reboot interrupted.
    assert small.status("anna")["small-laps"]["draining"] == []
    lost = json.loads(small.procman("lost", "--json", "laps", user="anna", check=False).stdout)["tasks"]
    assert [each["name"] for each in lost] == ["counting.tasks.hold"]
    assert {catmaid.state(f"catmaid-{name}") for name in ("spare", "shown")} == {"STOPPED"}
    assert {catmaid.state(f"catmaid-{name}") for name in ("celery", "celery-beat")} == {"RUNNING"}
    for project in four:
        assert beats(host, project.name) == 1
    side_by_side(*(partial(consumes, project, number) for number, project in enumerate(four, 610)))
    assert host.failed_units() == []
    side_by_side(*(partial(project.procman, "uninstall", "--purge", user="anna") for project in (small, pocket)))
    assert host.run("find /home/anna -name 'procman*' -o -name '*supervisor*'").stdout == ""


def test_move_to_supervisor_and_back_loses_no_task_and_never_runs_two_beats(fenced: Project) -> None:
    host, text = fenced.host, toml("fenced", "strict")
    for number, desired in ((700, under_supervisor(text)), (702, text)):
        send(host, "counting.tasks.hold", [number, 4], [number + 1, 4], queue="fenced")
        wait_for(are_started(host, number, number + 1), START_SECONDS)
        fenced.write(desired)
        most = _most_beats_during(host, lambda: fenced.procman("install", "--no-check", "--wait", "60", timeout=180))
        assert most == 1
        assert are_finished(host, number, number + 1)
        assert all_running(fenced)()
        link = "/etc/systemd/system/multi-user.target.wants/fenced.target"
        assert (host.run(["test", "-L", link], check=False).returncode == 0) is (desired == text)
        known = host.run("systemctl list-units --all --no-legend 'fenced*'").stdout
        assert bool(known) is (desired == text), known
        consumes(fenced, number + 10)
    assert host.run("supervisorctl status fenced-celery", check=False).returncode != 0


def _most_beats_during(host: Host, act: Callable[[], object]) -> int:
    """Return the maximum number of beats of the project `fenced` that were running at once during `act`."""
    with ThreadPoolExecutor() as pool:
        acting = pool.submit(act)
        seen = [0]
        while not acting.done():
            seen.append(beats(host, "fenced"))
        acting.result()
    return max(seen)


def test_uninstall_leaves_nothing_behind(fenced: Project, debian: Project, own: Project) -> None:
    host = fenced.host
    before = host.run("find /etc/systemd /run/systemd/system /usr/local /etc/logrotate.d -name '*fenced*'").stdout
    assert before
    gone = (fenced, debian, own)
    side_by_side(*(partial(project.procman, "uninstall", "--purge") for project in gone))
    found = "find /etc /usr/local /run /var/lib /var/log -xdev -name '*fenced*' ! -name procman-fenced.toml"
    assert host.run(found).stdout.split() == ["/var/lib/fenced"]
    for name in (project.name for project in gone):
        places = [
            f"{place}/{name}" for place in ("/etc/procman", "/var/lib/procman", "/usr/local/lib/procman", "/var/log")
        ]
        assert host.run(f"ls -d {' '.join(places)} /etc/supervisor/conf.d/{name}-*", check=False).stdout == ""
        # Beat's schedule, which belongs to the project.
        assert host.run(f"test -d /var/lib/{name}", check=False).returncode == 0
    assert host.run("systemctl list-units --all --no-legend 'fenced*'").stdout == ""
    assert host.run("systemctl is-active fenced.target", check=False).stdout == "inactive\n"
    # Neither the unit of procman's own supervisord nor the drop-in for Debian's.
    assert host.run("find /etc/systemd -name 'procman*' -o -name 'supervisor.service.d'").stdout == ""
    assert host.run(["pgrep", "-f", "/opt/procman/bin/supervisord"], check=False).stdout == ""
    assert show(host, OWN_UNIT, "LoadState", "ActiveState") == {"LoadState": "not-found", "ActiveState": "inactive"}
    assert show(host, "supervisor", "TimeoutStopUSec", "KillMode") == {
        "TimeoutStopUSec": "1min 30s",
        "KillMode": "process",
    }
    tens = (number for first in (100, 400, 1100, 1400) for number in range(first, first + 10))
    assert are_finished(host, *tens, 601, 602, 603, *range(700, 704), 2100), "no task was done once more after all"
