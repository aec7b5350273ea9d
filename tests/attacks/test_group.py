"""S3: root starts a program whose group is not its user's own, and drops its rights before anything else."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.attacks.host import CONFIGURATION, PATH, REPOSITORY, SERVICE, STRANGER, TOML, USERS, AttackedHost
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import eventually

FOREIGN = "/opt/catmaid"
"""A directory of the service user."""

WEBAPPS, PLUGDEV = 2993, 2994
"""The group of the programs, and another one that the service user is a member of."""

SCRIPT = "/etc/procman/catmaid/catmaid-one.sh"

PLANT = f"#!/bin/sh\n/usr/bin/id -ru >> {FOREIGN}/ran\n"
"""Records who runs it."""

SHELLS = [words for words in ("dash", "bash", "mksh", "busybox sh") if shutil.which(words.split()[0])]

OPENED = re.compile(r'^\d+ +\w+\([^"\n]*"([^"\n]*)"', re.MULTILINE)
"""The path of a system call in a trace."""

ENDING = "[command.ending]\nargv = ['id', '-G']\nautostart = false\n"
ENDING_SCRIPT = "/etc/procman/catmaid/catmaid-ending.sh"
"""A command that prints its groups and exits."""


@pytest.fixture
def grouped(host: AttackedHost) -> AttackedHost:
    """A host whose project has a group of its own."""
    host.root(f"echo webapps:x:{WEBAPPS}: >> /etc/group; echo plugdev2:x:{PLUGDEV}:{SERVICE} >> /etc/group")
    host.configure('group = "webapps"')
    return host


def plant(host: AttackedHost) -> None:
    """Replace, as the service user, what root would run by mistake: the virtualenv's Python and commands by name."""
    host.write(f"{FOREIGN}/id", PLANT + 'exec /usr/bin/id "$@"\n', 0o755)
    for name in ("getent", "setpriv", "sh", "nice"):
        host.write(f"{FOREIGN}/{name}", f'{PLANT}exec /usr/bin/{name} "$@"\n', 0o755)
    host.root("rm /opt/venv/bin/python")
    host.write("/opt/venv/bin/python", f'{PLANT}exec /usr/bin/python3 "$@"\n', 0o755)
    host.write(f"{FOREIGN}/sitecustomize.py", f"import os\nopen('{FOREIGN}/ran', 'a').write('%d\\n' % os.getuid())\n")
    host.root(f"chown -R {SERVICE} /opt/venv {FOREIGN}")


def status_of(host: AttackedHost, pid: int) -> dict[str, str]:
    """Return the status of a process, by the names of proc(5)."""
    text = host.path(f"/proc/{pid}/status").read_text()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def assert_runs_as(host: AttackedHost, pid: int, user: str, *groups: int) -> None:
    """Check that the process has that user and those groups, the first as its own, and no right of root."""
    status = status_of(host, pid)
    assert status["Uid"].split() == [str(USERS[user])] * 4
    assert status["Gid"].split() == [str(groups[0])] * 4
    assert status["Groups"].split() == [str(group) for group in groups]
    assert [int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Amb")] == [0] * 4


def test_program_has_its_user_and_group_and_no_other(grouped: AttackedHost) -> None:
    grouped.procman("install --wait 30")
    grouped.procman("restart one")
    eventually(lambda: len(grouped.asleep()) == 2, "the programs have started")
    supervisord = grouped.root("cat /var/lib/procman/supervisor/supervisord.pid").strip()
    for pid in grouped.asleep():
        assert_runs_as(grouped, pid, SERVICE, WEBAPPS, PLUGDEV)
        assert status_of(grouped, pid)["PPid"] == supervisord
    assert grouped.root("stat -c %U:%G /var/lib/procman/catmaid/run/catmaid-one") == f"{SERVICE}:webapps\n"


def test_variables_are_those_of_a_program_without_a_group(grouped: AttackedHost) -> None:
    variables = "HOME=/root USER=root LOGNAME=root PYTHONHOME=/root IFS=x gid=0 SUPERVISOR_ENABLED=1"
    shown = {}
    for key, by_supervisord in (
        ("", f"setpriv --reuid={USERS[SERVICE]} --regid={USERS[SERVICE]} --clear-groups"),
        ('group = "webapps"', ""),
    ):
        grouped.configure(key, "[command.ending]\nargv = ['env']\nautostart = false\n")
        grouped.procman("install")
        shown[key] = sorted(grouped.root(f"{by_supervisord} env {variables} sh -c '{ENDING_SCRIPT}; true'").split("\n"))
    without, with_group = ([line for line in lines if "PARENT_PID" not in line] for lines in shown.values())
    assert with_group == without
    assert {"HOME=/nonexistent", f"USER={SERVICE}", f"LOGNAME={SERVICE}", "SUPERVISOR_ENABLED=1"} <= set(with_group)


def test_command_has_a_user_and_group_of_its_own(grouped: AttackedHost) -> None:
    text = TOML.replace("[command.two]", f'user = "{STRANGER}"\n[command.two]\nuser = "{STRANGER}"\ngroup = "webapps"')
    grouped.configure('group = "plugdev2"', text=text)
    grouped.procman("install --wait 30")
    eventually(lambda: len(grouped.asleep()) == 2, "the commands have started")
    own = {"catmaid-one": USERS[STRANGER], "catmaid-two": WEBAPPS}
    for pid in grouped.asleep():
        [name] = [name for name in own if f"PROCMAN_PROGRAM={name}" in grouped.path(f"/proc/{pid}/environ").read_text()]
        assert_runs_as(grouped, pid, STRANGER, own[name])
    assert grouped.root("stat -c %U /var/lib/procman/catmaid/run/catmaid-*").split() == [STRANGER] * 2


def test_root_runs_nothing_of_service_user_before_it_drops_its_rights(grouped: AttackedHost) -> None:
    plant(grouped)
    grouped.configure('group = "webapps"', f'{ENDING}\n[environment]\nPATH = "{FOREIGN}:{PATH}"\n')
    grouped.procman("install")
    # As by a supervisord that was started in a directory of the service user, and finds commands there first.
    grouped.root(f"cd {FOREIGN} && rm -f ran && PATH={FOREIGN}:$PATH exec {ENDING_SCRIPT}")
    assert set(grouped.root(f"cat {FOREIGN}/ran").split()) == {str(USERS[SERVICE])}


def test_environment_file_is_checked_as_the_program_reads_it(grouped: AttackedHost) -> None:
    file = "/etc/catmaid/celery.env"
    grouped.write(file, "BROKER=memory://\n", 0o640)
    grouped.root(f"chgrp {SERVICE} {file}")
    grouped.configure(f'group = "webapps"\nenvironment_file = "{file}"', ENDING)
    grouped.procman("install")
    refused = grouped.run(ENDING_SCRIPT, "root", check=False)
    assert f"cannot read the environment file {file}" in refused.stderr
    found = grouped.procman("check", check=False).stdout
    remedy = f"chown root:webapps {file} && chmod 0640 {file}"
    assert "CRITICAL  PM705" in found
    assert remedy in found
    grouped.root(remedy)
    assert "PM705" not in grouped.procman("check", check=False).stdout
    assert grouped.root(ENDING_SCRIPT) == f"{WEBAPPS} {PLUGDEV}\n"


@pytest.mark.strace
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace(1) is missing: apt-get install strace")
def test_root_opens_nothing_of_service_user_before_it_drops_its_rights(grouped: AttackedHost) -> None:
    plant(grouped)
    grouped.configure('group = "webapps"', ENDING)
    grouped.procman("install")
    calls = "%file,setgroups"
    grouped.root(f"strace -f -e trace={calls} -o /root/trace {ENDING_SCRIPT}")
    before, dropped, after = grouped.root("cat /root/trace").partition("setgroups(")
    assert dropped
    assert "/etc/group" in before
    assert not [path for path in OPENED.findall(before) if path.startswith(("/opt", "/var/lib/procman"))]
    assert [path for path in OPENED.findall(after) if path.startswith(FOREIGN)]


def test_script_drops_rights_of_root_in_every_shell(grouped: AttackedHost) -> None:
    grouped.configure('group = "webapps"', ENDING)
    grouped.procman("install")
    for shell in SHELLS:
        assert grouped.root(f"{shell} {ENDING_SCRIPT}") == f"{WEBAPPS} {PLUGDEV}\n", shell


CHANGES = {
    "this user is root": "sed -i s/^celery:x:[0-9]*/celery:x:0/ /etc/passwd",
    "there is no such user": "sed -i /^celery:/d /etc/passwd",
    "there is no such group": "sed -i /^webapps:/d /etc/group",
}
"""What may happen to the user and the group after the install."""


def test_script_that_cannot_drop_rights_of_root_starts_nothing(grouped: AttackedHost) -> None:
    grouped.procman("install")
    who = f"cannot start catmaid-one as {SERVICE} with the group webapps"
    for user in (SERVICE, STRANGER):
        refused = grouped.run(SCRIPT, user, check=False)
        assert refused.returncode == 77
        assert f"{who}: only root can set user and group, and this is {user}\n" in refused.stderr
    grouped.root("cp /etc/passwd /etc/group /root")
    for reason, change in CHANGES.items():
        grouped.root(change)
        refused = grouped.run(SCRIPT, "root", check=False)
        assert refused.returncode == 77
        assert f"{who}: {reason}\n" in refused.stderr
        grouped.root("cp /root/passwd /root/group /etc")


def test_supervisord_of_another_user_is_refused_before_the_install(grouped: AttackedHost) -> None:
    main = "[supervisord]\n[unix_http_server]\nfile=/run/s\n[include]\nfiles=/etc/s.d/*.conf\n"
    grouped.write("/etc/s.conf", main.replace("[supervisord]", f"[supervisord]\nuser={SERVICE}"))
    text = grouped.path(CONFIGURATION).read_text()
    existing = 'mode = "existing"\nconfiguration = "/etc/s.conf"\ninclude = "/etc/s.d/*.conf"'
    grouped.write(CONFIGURATION, text.replace('mode = "embedded"', existing))
    refused = grouped.procman("install", check=False)
    assert refused.returncode == 1
    assert f"{CONFIGURATION}: project.group: only root can change it, and the supervisord of /etc/s.conf" in (
        refused.stderr
    )


WORKING = """
[project]
name = "catmaid"
app = "mysite"
directory = "{demo}"
virtualenv = "{virtualenv}"
settings = "mysite.settings"
user = "celery"
group = "webapps"

[environment]
DEMO_DATA_DIRECTORY = "/srv/data"

[health]
heartbeat_seconds = 1

[defaults.program]
start_seconds = 1
umask = "0007"

[worker.celery]
concurrency = 1

[beat]

[command.one]
argv = ["sleep", "1000"]

[supervisor]
mode = "embedded"
"""

SEND = "from mysite import celery; from counting.tasks import echo; echo.delay(1)"
HOLD = "from mysite import celery; from counting.tasks import hold; hold.delay(2, 1)"


@pytest.mark.celery
def test_worker_beat_and_command_work_with_a_group_of_their_own(grouped: AttackedHost) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    demo, virtualenv = f"{grouped.seen(REPOSITORY)}/demo", grouped.seen(environment.directory)
    # The Python of the tests may be below a directory that only root can enter; the checkout itself is the machine's.
    parents = [grouped.seen(parent) for parent in environment.python.resolve().parents]
    grouped.root(f"chmod a+x {' '.join(parent for parent in parents if not parent.startswith('/run/'))}")
    grouped.root(f"install -d -o {SERVICE} -g webapps /srv/data")
    grouped.configure(text=WORKING.replace("{demo}", demo).replace("{virtualenv}", virtualenv))
    grouped.procman("install --wait 60")
    health = grouped.procman("health")
    assert "3 of 3 running" in health.stdout
    variables = f"DEMO_DATA_DIRECTORY=/srv/data DJANGO_SETTINGS_MODULE=mysite.settings PYTHONPATH={demo}"
    grouped.service(f"cd {demo} && {variables} {virtualenv}/bin/python -c '{SEND}'")
    eventually(lambda: grouped.path("/srv/data/counted/finished").exists(), "the task has run")
    assert grouped.root("stat -c '%U:%G %a' /srv/data/counted/finished") == f"{SERVICE}:webapps 640\n"
    written = grouped.root("stat -c '%U:%G' /var/lib/procman/catmaid/run/*/* /var/lib/catmaid/*").split()
    assert set(written) == {f"{SERVICE}:webapps"}
    for pid in grouped.pids("mysite"):
        assert_runs_as(grouped, pid, SERVICE, WEBAPPS, PLUGDEV)
    # The kernel sends TERM, which reaches Celery itself: the running task finishes.
    grouped.service(f"cd {demo} && {variables} {virtualenv}/bin/python -c '{HOLD}'")
    eventually(lambda: grouped.path("/srv/data/counted/started").exists(), "another task runs")
    grouped.root("kill -9 $(cat /var/lib/procman/supervisor/supervisord.pid)")
    eventually(lambda: not grouped.pids("mysite"), "worker and beat have ended")
    assert grouped.path("/srv/data/counted/finished").read_text() == "1\n2\n"
