"""Workers that other files than procman's describe: those of Celery's documentation, and what honcho exports."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.host.catmaid import VIRTUALENV
from tests.host.machine import Host
from tests.host.trials import CODE, DATA, URLS

DEPLOYMENTS = Path(__file__).parent.parent / "tests/init/deployments"
CELERY = f"{VIRTUALENV}/bin/celery"
LOGS = "/var/log/foreign"

Prepared = tuple[list[str], str, list[str]]
"""The commands that install a worker, the command that deploys, and those that remove it."""


def _variables(queue: str) -> dict[str, str]:
    return {"TRIAL_DATA": DATA, "TRIAL_WORKER": queue, "TRIAL_BROKER": URLS["rabbitmq"]}


def _directories(host: Host) -> None:
    host.run(f"install -d -o www-data {LOGS} /var/run/celery /var/log/celery")


def _of_celery(host: Host, queue: str, verb: str) -> Prepared:
    """celery.service with `celery multi`, of Celery's documentation (Daemonization)."""
    _directories(host)
    files = DEPLOYMENTS / "celery-systemd/files/etc"
    unit = (files / "systemd/system/celery.service").read_text()
    configuration = (files / "conf.d/celery").read_text()
    for before, after in (
        ("@ROOT@/etc/conf.d/celery", f"/etc/conf.d/{queue}"),
        ("User=celery", "User=www-data"),
        ("Group=celery", "Group=www-data"),
        ("/opt/celery/env/bin/celery", CELERY),
        ("WorkingDirectory=/opt/celery", f"WorkingDirectory={CODE}"),
        ('"proj"', '"trial_app"'),
        ('"w1"', f'"{queue}"'),
        ("--time-limit=300 --concurrency=8", f"--concurrency=2 -Q {queue}"),
    ):
        unit, configuration = unit.replace(before, after), configuration.replace(before, after)
    configuration += "".join(f"{name}={value}\n" for name, value in _variables(queue).items())
    host.write(f"/etc/conf.d/{queue}", configuration)
    host.write(f"/etc/systemd/system/{queue}.service", unit)
    remove = [f"systemctl stop {queue}", f"rm /etc/systemd/system/{queue}.service", "systemctl daemon-reload"]
    return ["systemctl daemon-reload", f"systemctl start {queue}"], f"systemctl {verb} {queue}", remove


def _exported(queue: str, kind: str) -> dict[str, str]:
    """Return what `honcho export` writes for a Procfile with a worker, by the names of the files."""
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        variables = _variables(queue)
        # Not in .env: supervisord cannot read what honcho writes for it, because there are no quotes around an @.
        broker = f"TRIAL_BROKER={variables.pop('TRIAL_BROKER')}"
        # No %h: honcho leaves it as it is, and systemd replaces it.
        (here / "Procfile").write_text(
            f"worker: env {broker} {CELERY} -A trial_app worker -c 2 -Q {queue} -n {queue}@here --loglevel INFO\n"
        )
        (here / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        words = [sys.executable, "-m", "honcho", "-d", directory, "export", "-a", queue, "-u", "www-data", "-l", LOGS]
        subprocess.run([*words, kind, directory + "/out"], cwd=directory, check=True)
        return {each.name: each.read_text().replace(directory, CODE) for each in (here / "out").iterdir()}


def _of_honcho(host: Host, queue: str) -> Prepared:
    """Return the target and units of `honcho export systemd`."""
    files = _exported(queue, "systemd")
    for name, text in files.items():
        host.write(f"/etc/systemd/system/{name}", text)
    remove = [f"systemctl stop {' '.join(files)}", *(f"rm /etc/systemd/system/{name}" for name in files)]
    install = ["systemctl daemon-reload", f"systemctl start {queue}.target"]
    return install, f"systemctl restart {queue}.target", [*remove, "systemctl daemon-reload"]


def _under_supervisord(host: Host, queue: str, text: str, program: str) -> Prepared:
    _directories(host)
    file = f"/etc/supervisor/conf.d/{queue}.conf"
    host.write(file, text)
    update = "supervisorctl update"
    return [update], f"supervisorctl restart {program}", [f"supervisorctl stop {program}", f"rm {file}", update]


def _section_of_celery(host: Host, queue: str) -> Prepared:
    """celeryd.conf of Celery's repository (extra/supervisord)."""
    text = (DEPLOYMENTS / "celery-supervisord/files/etc/supervisor/conf.d/celeryd.conf").read_text()
    variables = ",".join(f'{name}="{value}"' for name, value in _variables(queue).items())
    for before, after in (
        ("[program:celery]", f"[program:{queue}]\nenvironment={variables}"),
        ("/srv/proj/env/bin/celery", CELERY),
        ("-A proj worker", f"-A trial_app worker -c 2 -Q {queue} -n {queue}@%%h"),
        ("directory=/srv/proj", f"directory={CODE}"),
    ):
        text = text.replace(before, after)
    return _under_supervisord(host, queue, text, queue)


def _section_of_honcho(host: Host, queue: str) -> Prepared:
    """Return the sections of `honcho export supervisord`."""
    [text] = _exported(queue, "supervisord").values()
    return _under_supervisord(host, queue, text, f"{queue}:*")


FOREIGN: dict[str, dict[str, Callable[[Host, str], Prepared]]] = {
    "systemd": {
        "`systemctl restart`, Celery's `celery.service`": lambda host, queue: _of_celery(host, queue, "restart"),
        "`systemctl reload`, Celery's `celery.service`": lambda host, queue: _of_celery(host, queue, "reload"),
        "`systemctl restart`, units of `honcho export systemd`": _of_honcho,
    },
    "supervisor": {
        "`supervisorctl restart`, Celery's `celeryd.conf`": _section_of_celery,
        "`supervisorctl restart`, sections of `honcho export supervisord`": _section_of_honcho,
    },
}
