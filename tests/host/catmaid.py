"""procman and CATMAID as an administrator installs them: /opt/procman from the wheel, /opt/catmaid with its own
virtualenv, RabbitMQ as the broker, and its password in a file that only root can read."""

from __future__ import annotations

import configparser
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .machine import Host
from .packages import PIP as PIP
from .packages import build_wheel, wheelhouse

REPOSITORY = Path(__file__).parents[2]
EXERCISE = Path(__file__).parent / "exercise"

PROJECTS = "/opt/catmaid/django/projects"
VIRTUALENV = "/opt/catmaid/django/env"
DATA = "/srv/catmaid"
SECRET = "s3cret-of-the-broker"
SHARED_ENVIRONMENT_FILE = "/etc/catmaid/shared.env"
"""Under supervisord the programs themselves read the file, and so www-data must be able to."""

ACCOUNT = {
    "users": [{"name": "catmaid", "password": SECRET, "tags": "monitoring"}],
    "permissions": [{"user": "catmaid", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
}
"""For the app, which may ask the management interface too."""

REQUIREMENTS = ("celery>=5.5,<6", "Django>=4.2,<6", "numpy>=1.26,<3", "psutil>=5.9", "psycopg2-binary>=2.9,<3")

SEND = """
import json, sys
import django
django.setup()
from mysite import celery
name, arguments, queue = json.loads(sys.argv[1])
for each in arguments:
    celery.app.send_task(name, each, queue=queue)
"""


def install_procman(host: Host) -> None:
    """Install the present wheel of procman with its dependencies, and put the command on the PATH of all users."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    needed = [line for line in setup["options"]["install_requires"].splitlines() if line]
    _install(host, "/opt/procman", wheelhouse(needed, suite=host.suite), str(build_wheel(REPOSITORY)))
    host.run("ln -s /opt/procman/bin/procman /usr/local/bin/procman")


def install_project(host: Host, more: Sequence[str] = ()) -> None:
    """Install the demo project, its virtualenv, its account on the broker and the file with the password.

    `more`: further requirements of the virtualenv.
    """
    projects = host.path(PROJECTS)
    shutil.copytree(REPOSITORY / "demo", projects, ignore=shutil.ignore_patterns("__pycache__", "var"))
    shutil.copytree(EXERCISE, projects / "exercise", ignore=shutil.ignore_patterns("__pycache__"))
    wheels = wheelhouse([*REQUIREMENTS, *more], suite=host.suite)
    _install(host, VIRTUALENV, wheels, *(wheel.name.partition("-")[0] for wheel in sorted(wheels.glob("*.whl"))))
    # In one call: each rabbitmqctl takes seconds.
    host.write("/etc/rabbitmq/definitions.json", json.dumps(ACCOUNT), mode=0o600, owner="rabbitmq")
    host.run("rabbitmqctl import_definitions /etc/rabbitmq/definitions.json")
    url = f"CELERY_BROKER_URL=amqp://catmaid:{SECRET}@localhost:5672//\n"
    host.write("/etc/catmaid/celery.env", url, mode=0o600)
    host.write(SHARED_ENVIRONMENT_FILE, url, mode=0o640, owner="root:www-data")
    host.run(f"install -d -o www-data {DATA}")


def _install(host: Host, virtualenv: str, wheels: Path, *packages: str) -> None:
    pip = [PIP, "--python", f"{virtualenv}/bin/python", "--quiet", "--disable-pip-version-check", "install"]
    host.run(["python3", "-m", "venv", "--without-pip", virtualenv])
    host.run([*pip, "--no-index", "--find-links", str(wheels), *packages], timeout=180)


class Project:
    """One procman.toml on a host, and the commands of its administrator."""

    def __init__(self, host: Host, name: str, text: str) -> None:
        self.host = host
        self.name = name
        self.configuration = f"/etc/procman-{name}.toml"
        self.write(text)

    def write(self, text: str) -> None:
        """Write procman.toml."""
        self.host.write(self.configuration, text)

    def procman(
        self, *words: str, user: str | None = None, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run procman for this project."""
        done = self.host.run(["procman", "--config", self.configuration, *words], user, timeout=timeout, check=check)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def status(self, user: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the entries of `procman status` by program."""
        document = json.loads(self.procman("status", "--json", user=user, check=False).stdout)
        return {program["name"]: program for program in document["programs"]}

    def state(self, program: str) -> str:
        """Return the state of `program`."""
        return str(self.status()[program]["state"])


def send(host: Host, task: str, *arguments: Sequence[object], queue: str) -> None:
    """Send `task` to `queue` once for each list of arguments."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "exercise.settings",
        "PYTHONPATH": PROJECTS,
        "CELERY_BROKER_URL": f"amqp://catmaid:{SECRET}@localhost:5672//",
        "DEMO_DATA_DIRECTORY": DATA,
    }
    printed = json.dumps([task, arguments, queue])
    host.run([f"{VIRTUALENV}/bin/python", "-c", SEND, printed], "www-data", environment=environment)


def counted(host: Host, name: str) -> Counter[int]:
    """Return how often each number is in the file `name` (`started`, `finished`) of the demo's counting tasks."""
    done = host.run(["cat", f"{DATA}/counted/{name}"], check=False)
    return Counter(int(line) for line in done.stdout.split())


def show(host: Host, unit: str, *properties: str) -> dict[str, str]:
    """Return properties of a unit as systemd prints them."""
    text = host.run(["systemctl", "show", unit, f"--property={','.join(properties)}"]).stdout
    return dict(line.split("=", 1) for line in text.splitlines())
