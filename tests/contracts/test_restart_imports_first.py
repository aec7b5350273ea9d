"""`procman restart` imports the app first: a healthy worker is not stopped for code that cannot start."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.attacks.host import CONFIGURATION, AttackedHost
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import DEMO

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

SETTINGS = "/opt/demo/mysite/settings.py"

WORKERS = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/demo"
virtualenv = "/opt/venv"
settings = "mysite.settings"
user = "celery"
[environment]
DEMO_DATA_DIRECTORY = "/opt/data"
[defaults.program]
start_seconds = 1
[worker.celery]
concurrency = 1
instances = 2
{changed}
[supervisor]
mode = "embedded"
"""


@pytest.fixture
def workers(host: AttackedHost) -> AttackedHost:
    environment = environment_of(CELERY_5_7)
    assert environment
    [packages] = environment.directory.glob("lib/python3*/site-packages")
    version = host.root("/usr/bin/python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'").strip()
    shutil.copytree(packages, host.path(f"/opt/venv/lib/python{version}/site-packages"))
    host.write("/opt/venv/pyvenv.cfg", "home = /usr/bin\n")
    shutil.copytree(DEMO, host.path("/opt/demo"), ignore=shutil.ignore_patterns("var", "__pycache__"))
    host.root("mkdir /opt/data && chown celery /opt/data && chmod -R go+rX /opt/demo")
    configure(host)
    host.procman("install --wait 60")
    return host


def configure(host: AttackedHost, changed: str = "") -> None:
    host.write(CONFIGURATION, WORKERS.replace("{changed}", changed))


def pids(host: AttackedHost) -> list[int]:
    document = json.loads(host.procman("status --json", check=False).stdout)
    return [program["pid"] for program in document["programs"]]


def test_worker_is_left_alone_when_its_new_code_cannot_start(workers: AttackedHost) -> None:
    host, before = workers, pids(workers)
    good = host.path(SETTINGS).read_text()
    host.write(SETTINGS, good + "\nimport no_such_module\n")
    configure(host, "stall_seconds = 400")
    refused = host.procman("restart", check=False)
    assert refused.returncode == 1
    assert "the app cannot be imported, so nothing was restarted" in refused.stderr
    # Once for both instances, which are launched alike.
    place = f"{SETTINGS}:{good.count(chr(10)) + 2}"
    assert refused.stderr.count(f"No module named 'no_such_module' (at {place})") == 1
    assert f"note: {CONFIGURATION} has changed, and a restart uses the installed files" in refused.stderr
    assert pids(host) == before

    failed = host.procman("restart celery-1 --no-check --wait 15", check=False)
    assert failed.returncode == 1
    assert "last lines of its log, " in failed.stderr
    assert "No module named 'no_such_module'" in failed.stderr
    # A program that is down is not started with such code either.
    assert host.procman("restart celery-1", check=False).returncode == 1

    host.write(SETTINGS, good)
    host.procman("restart celery-1")
    assert pids(host)[0] not in (None, before[0])
    assert pids(host)[1] == before[1]
