"""The supervisor backend on a booted Debian with RabbitMQ: Debian's supervisord, and procman's own with its unit."""

from __future__ import annotations

from functools import partial

import pytest

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project, counted, send, show
from .machine import Host
from .projects import (
    OWN_CONTROL,
    OWN_UNIT,
    SHORT_STALE_SECONDS,
    START_SECONDS,
    TINY,
    all_running,
    beats,
    consumes,
    full_disk_is_a_warning,
    install_beside_others,
    install_own,
    side_by_side,
    toml,
    wait_for,
)

DROP_IN = "/etc/systemd/system/supervisor.service.d/procman.conf"

DOCUMENTED = f"""
[program:documented-app]
command=/bin/sleep 100000

[program:documented-celery]
command={VIRTUALENV}/bin/celery -A mysite worker -Q documented -c 1 -n old@%%h
directory={PROJECTS}
user=www-data
stopasgroup=true
environment=CELERY_BROKER_URL="amqp://catmaid:{SECRET}@localhost:5672//",DJANGO_SETTINGS_MODULE="exercise.settings",
  DEMO_DATA_DIRECTORY="{DATA}"

[program:documented-celery-beat]
command={VIRTUALENV}/bin/celery -A mysite beat -s /tmp/documented-schedule
directory={PROJECTS}
user=www-data
environment=CELERY_BROKER_URL="amqp://catmaid:{SECRET}@localhost:5672//",DJANGO_SETTINGS_MODULE="exercise.settings",
  DEMO_DATA_DIRECTORY="{DATA}"

[group:documented]
programs=documented-app,documented-celery,documented-celery-beat
"""

STOP_OF_DEBIANS = 10 * 120 + 600 + 60 + 50 + 30
"""supervisord stops one program after another: the ten, worker, beat, an unmanaged one; plus a margin."""


@pytest.fixture(scope="module")
def tiny(stocked: Host) -> Project:
    """A project under procman's own supervisord, which the install starts because the key is not set."""
    stocked.run("gpasswd --add nobody audio")
    project = Project(stocked, "tiny", TINY)
    printed = project.procman("install", "--no-check").stderr
    assert "does not start when the host boots; to let systemd start it, set" in printed
    assert 'supervisord = "/opt/procman/bin/supervisord"' in printed
    return project


@pytest.fixture(scope="module")
def own(tiny: Project) -> Project:
    """A worker and beat under the same supervisord, which now has a unit."""
    project, printed = install_own(tiny.host)
    assert "was not started by systemd: it keeps running" in printed
    return project


def pid_of_unit(host: Host, unit: str) -> int:
    return int(show(host, unit, "MainPID")["MainPID"])


def test_stop_timeout_of_debians_unit_covers_all_programs_of_its_supervisord(debian: Project) -> None:
    host = debian.host
    unit = show(host, "supervisor", "TimeoutStopUSec", "KillMode", "NeedDaemonReload")
    assert unit == {"TimeoutStopUSec": "32min 20s", "KillMode": "mixed", "NeedDaemonReload": "no"}
    assert STOP_OF_DEBIANS == 32 * 60 + 20
    pids = {name: each["pid"] for name, each in debian.status().items()}
    assert "nothing changed" in debian.procman("install", "--no-check").stdout
    assert {name: each["pid"] for name, each in debian.status().items()} == pids
    # A change of an unmanaged file is shown by diff and applied by the next install.
    host.write("/etc/supervisor/conf.d/theirs.conf", "[program:theirs]\ncommand=/bin/sleep 100000\nstopwaitsecs=110\n")
    assert "+TimeoutStopSec=2000" in debian.procman("diff", "-v").stdout
    debian.procman("install", "--no-check")
    assert show(host, "supervisor", "TimeoutStopUSec") == {"TimeoutStopUSec": "33min 20s"}


def test_unprivileged_user_sees_what_heartbeats_and_proc_show(debian: Project) -> None:
    wait_for(all_running(debian, "nobody"), START_SECONDS, "all are seen at work")
    of_root, seen = debian.status(), debian.status("nobody")
    assert {name: each["pid"] for name, each in seen.items()} == {name: each["pid"] for name, each in of_root.items()}
    assert all(each["memory_bytes"] for each in seen.values())
    text = debian.procman("status", user="nobody").stdout
    assert text.count("the process manager answers only root") == 1
    line = debian.procman("health", "--format", "nagios", user="nobody", check=False).stdout
    assert "answers only root" in line or "WARNING" in line
    assert "PM101" not in line

    debian.procman("stop", "celery")
    shown = debian.procman("status", user="nobody", check=False)
    assert shown.returncode == 4
    assert "debian-celery: no process of it can be seen (PM101)\n" in shown.stdout
    health = debian.procman("health", "--format", "nagios", user="nobody", check=False)
    assert (health.returncode, health.stdout.split(" - ")[0]) == (3, "DEBIAN UNKNOWN")
    debian.procman("start", "celery")
    wait_for(lambda: debian.procman("status", user="nobody", check=False).returncode == 0, START_SECONDS, "it is seen")


def test_program_has_the_user_and_groups_that_systemd_sets(tiny: Project) -> None:
    wait_for(all_running(tiny), START_SECONDS, "it has started")
    shown, pid = "grep -E '^([UG]id|Groups)'", tiny.status()["tiny-sleep"]["pid"]
    systemd = "systemd-run --quiet --wait --pipe --property=User=nobody --property=Group=games"
    expected = tiny.host.run(f"{systemd} {shown} /proc/self/status").stdout
    assert tiny.host.run(f"{shown} /proc/{pid}/status").stdout == expected
    assert "Groups:" in expected


def test_printed_commands_move_a_supervisord_started_by_hand_under_its_unit(own: Project, tiny: Project) -> None:
    host = own.host
    by_hand = int(host.run(f"{OWN_CONTROL} pid").stdout)
    assert pid_of_unit(host, OWN_UNIT) == 0
    assert show(host, OWN_UNIT, "UnitFileState", "ActiveState") == {
        "UnitFileState": "enabled",
        "ActiveState": "inactive",
    }
    printed = own.procman("install", "--no-check").stderr.splitlines()
    [note] = [line for line in printed if f"process {by_hand}" in line]
    host.run(note.partition("waits for running tasks: ")[2])
    wait_for(lambda: pid_of_unit(host, OWN_UNIT) not in (0, by_hand), 30, "systemd runs supervisord")
    for project in (own, tiny):
        wait_for(all_running(project), START_SECONDS, project.name)
    assert int(host.run(f"{OWN_CONTROL} pid").stdout) == pid_of_unit(host, OWN_UNIT)
    assert "was not started by systemd" not in own.procman("install", "--no-check").stderr
    assert beats(host, "own") == 1


def test_procmans_unit_has_the_longest_stop_timeout_and_starts_after_the_broker(own: Project, tiny: Project) -> None:
    host, pid = own.host, pid_of_unit(own.host, OWN_UNIT)
    unit = show(host, OWN_UNIT, "TimeoutStopUSec", "UnitFileState", "After", "NeedDaemonReload")
    assert (unit["TimeoutStopUSec"], unit["UnitFileState"], unit["NeedDaemonReload"]) == ("10min 30s", "enabled", "no")
    assert "rabbitmq-server.service" in unit["After"].split()
    tiny.write(TINY + 'supervisord = "/opt/procman/bin/supervisord"\n')
    tiny.procman("install", "--no-check")
    assert show(host, OWN_UNIT, "TimeoutStopUSec") == {"TimeoutStopUSec": "20min"}
    tiny.procman("uninstall", "--purge")
    assert show(host, OWN_UNIT, "TimeoutStopUSec") == {"TimeoutStopUSec": "10min 30s"}
    assert pid_of_unit(host, OWN_UNIT) == pid


def test_restart_by_supervisorctl_starts_a_new_process_that_consumes(debian: Project, own: Project) -> None:
    side_by_side(partial(_restart, debian, "supervisorctl", 1200), partial(_restart, own, OWN_CONTROL, 2200))


def test_heartbeat_whose_disk_is_full_is_a_warning(own: Project) -> None:
    full_disk_is_a_warning(own, "own-celery", SHORT_STALE_SECONDS, SHORT_STALE_SECONDS)


def _restart(project: Project, supervisorctl: str, number: int) -> None:
    program = f"{project.name}-celery"
    before = project.status()[program]["pid"]
    done = project.host.run(f"{supervisorctl} restart {program}", timeout=90)
    assert f"{program}: started" in done.stdout
    wait_for(all_running(project), START_SECONDS)
    assert project.status()[program]["pid"] != before
    consumes(project, number)


def test_documented_file_of_supervisord_is_adopted_by_systemd_in_one_install(debian: Project) -> None:
    """R12 across process managers: CATMAID's documented names, in a group with a program that keeps running."""
    host, file = debian.host, "/etc/supervisor/conf.d/documented.conf"
    host.write(file, DOCUMENTED)
    before = host.path(file).read_bytes()
    host.run("supervisorctl update documented")
    names = ("documented:documented-app", "documented:documented-celery", "documented:documented-celery-beat")
    wait_for(lambda: all(running(host, name) for name in names), START_SECONDS, "the old programs run")
    app = host.run(f"supervisorctl pid {names[0]}").stdout
    # Longer than the stopwaitsecs of the old section, and its stopasgroup would end the task at once.
    send(host, "counting.tasks.hold", [4000, 8], queue="documented")
    wait_for(lambda: 4000 in counted(host, "started"), START_SECONDS, "the old worker has the task")
    text = toml("documented").replace("[beat]\n", f"[beat]\nadopts = ['supervisor:{file}:documented-celery-beat']\n")
    adopts = f"[worker.celery]\nadopts = ['supervisor:{file}:documented-celery']\n"
    project = Project(host, "documented", text.replace("[worker.celery]\n", adopts))
    printed = install_beside_others(project).stderr
    assert printed.index("[program:documented-celery-beat]") < printed.index("[program:documented-celery] of")
    assert counted(host, "finished")[4000] == 1
    assert [running(host, name) for name in names] == [True, False, False]
    assert show(host, "documented-celery-beat", "ActiveState") == {"ActiveState": "active"}
    assert "`supervisorctl restart documented:` would start it again" in printed
    assert "`supervisorctl update documented`, in a quiet moment, removes it and restarts documented-app\n" in printed

    project.procman("uninstall", "--purge")
    assert host.path(file).read_bytes() == before
    wait_for(lambda: all(running(host, name) for name in names), START_SECONDS, "the old programs run again")
    assert host.run(f"supervisorctl pid {names[0]}").stdout == app


def running(host: Host, name: str) -> bool:
    return " RUNNING " in host.run(f"supervisorctl status {name}", check=False).stdout
