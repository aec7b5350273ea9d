"""Scripts in /etc/init.d are adopted on a host without systemd: their workers are found by their pid files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.adoption.pid_files import mains_by_pid_files
from tests.attacks.host import AttackedHost, attacked_hosts
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import eventually

SCRIPT = """#!/bin/sh
DEFAULT_PID_FILE="/var/run/old/%%n.pid"
[ -f /etc/default/old ] && . /etc/default/old
PID_FILE=${CELERYD_PID_FILE:-$DEFAULT_PID_FILE}
export DJANGO_SETTINGS_MODULE=mysite.settings DEMO_DATA_DIRECTORY=/srv/old
cd %(demo)s
case "$1" in
  start) mkdir -p /var/run/old; exec %(celery)s multi start one two --pidfile="$PID_FILE" --logfile=/dev/null -c 1;;
  stop) exec %(celery)s multi stopwait one two --pidfile="$PID_FILE";;
esac
"""

SEND = """
cd %(demo)s && DJANGO_SETTINGS_MODULE=mysite.settings DEMO_DATA_DIRECTORY=/srv/old %(python)s -c '
import django; django.setup()
from counting.tasks import hold
hold.delay(7, 4)'
"""

COUNTED = "/srv/old/counted"

ADOPTS = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "/opt/venv"
user = "celery"

[command.one]
argv = ["sleep", "1000"]
start_seconds = 0
adopts = ["init.d:old:one", "init.d:old:two"]

[supervisor]
mode = "embedded"
"""


@pytest.fixture
def host() -> Iterator[AttackedHost]:
    """A host without systemd."""
    yield from attacked_hosts()


@pytest.mark.root
@pytest.mark.supervisord
@pytest.mark.celery
def test_script_is_set_aside_and_its_task_finishes_and_uninstall_starts_it_again(host: AttackedHost) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    places = {
        "demo": host.seen(Path("demo").absolute()),
        "python": host.seen(environment.python),
        "celery": f"{host.seen(environment.python)} -m celery -A mysite",
    }
    script = "/etc/init.d/old"
    host.write(script, SCRIPT % places, 0o750)
    host.write("/etc/default/old", 'CELERYD_PID_FILE="/var/run/old/%n.pid"\nCELERYBEAT_PID_FILE="/var/run/old/b.pid"\n')
    host.root(f"{script} start")
    host.root(SEND % places)
    eventually(lambda: "7" in host.root(f"cat {COUNTED}/started || true"), "the task has started")
    host.configure(text=ADOPTS)
    host.procman("install --wait 30")
    assert host.root(f"cat {COUNTED}/finished") == host.root(f"cat {COUNTED}/started") == "7\n"
    assert host.pids("--pidfile=") == []
    assert host.root(f"ls {script} || true") == ""
    printed = host.procman("uninstall")
    assert "one of old: started again" in printed.stdout + printed.stderr
    assert host.root(f"cat {script}") == SCRIPT % places
    assert host.root(f"stat -c %a {script}") == "750\n"
    eventually(lambda: len(host.pids("-n\0two@")) > 0, "both nodes run again")
    host.root(f"{script} stop")


@pytest.mark.parametrize(
    ("script", "settings"),
    [
        ("PID_FILE=/run/x/%n.pid\ncelery multi start", "CELERYBEAT_PID_FILE=/run/x/beat.pid\n"),
        ("DIR=/run/x\nPID=${PID:-$DIR/%n.pid}\ncelery multi start", ""),
    ],
)
def test_pid_file_without_a_process_of_celery_counts_for_nothing(tmp_path: Path, script: str, settings: str) -> None:
    file = tmp_path / "script"
    (tmp_path / "one.pid").write_text("1\n")
    file.write_text(script.replace("/run/x", str(tmp_path)) + settings)
    assert mains_by_pid_files(file) == []
