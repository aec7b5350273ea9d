"""Cause the faults of faults.py under plain systemd units with Restart=always, all at once on a booted host."""

from __future__ import annotations

import time

from tests.host.catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, install_procman, install_project, send, show
from tests.host.machine import Host

UNIT = """
[Service]
User=www-data
WorkingDirectory={directory}
Environment=DJANGO_SETTINGS_MODULE=exercise.settings DEMO_DATA_DIRECTORY={data}
Environment=CELERY_BROKER_URL=amqp://catmaid:{secret}@localhost:5672//
ExecStart={virtualenv}/bin/celery -A mysite {arguments}
Restart=always
RestartSec=1
"""

WORKER = "worker --concurrency 1 -n {name}@%%h -Q {name}"

PROGRAMS = {
    "killed": WORKER,
    "frozen": WORKER,
    "cancelled": WORKER,
    "pool": WORKER,
    "solo": WORKER + " --pool solo",
    "celery-beat": "beat --schedule {data}/plain-schedule",
}


def restarted(seconds: float) -> dict[str, str]:
    """Return, by program, when its unit restarted it within `seconds` of the fault."""
    with Host() as host:
        install_procman(host)  # for its pip; procman itself is not used
        install_project(host)
        for name in PROGRAMS:
            _start(host, name)
        Host.wait_for(lambda: all(_has_pool(host, name) for name in PROGRAMS), 60, "all are up")
        time.sleep(5)
        pids = {name: _pid(host, name) for name in PROGRAMS}
        _cause(host, pids)
        began, seen = time.monotonic(), dict.fromkeys(PROGRAMS, "no")
        while (elapsed := time.monotonic() - began) < seconds:
            for name, pid in pids.items():
                if seen[name] == "no" and _pid(host, name) not in (pid, 0):
                    seen[name] = f"after {elapsed:.0f} s"
            time.sleep(0.5)
    return seen


def _start(host: Host, name: str) -> None:
    arguments = PROGRAMS[name].format(name=name, data=DATA)
    text = UNIT.format(directory=PROJECTS, data=DATA, secret=SECRET, virtualenv=VIRTUALENV, arguments=arguments)
    host.write(f"/etc/systemd/system/plain-{name}.service", text)
    host.run(f"systemctl daemon-reload && systemctl start plain-{name}")


def _pid(host: Host, name: str) -> int:
    return int(show(host, f"plain-{name}", "MainPID")["MainPID"])


def _has_pool(host: Host, name: str) -> bool:
    has_none = name in ("solo", "celery-beat")
    return _pid(host, name) > 0 and (
        has_none or bool(host.run(["pgrep", "-P", str(_pid(host, name))], check=False).stdout)
    )


def _cause(host: Host, pids: dict[str, int]) -> None:
    host.run(["kill", "-KILL", str(pids["killed"])])
    host.run(["kill", "-STOP", str(pids["frozen"]), str(pids["celery-beat"])])
    host.run(["pkill", "-STOP", "-P", str(pids["pool"])])
    celery = f"cd {PROJECTS} && {VIRTUALENV}/bin/celery -b amqp://catmaid:{SECRET}@localhost:5672//"
    node = f"cancelled@{host.run(['hostname']).stdout.strip()}"
    host.run(f"{celery} control -d {node} cancel_consumer cancelled", "www-data")
    for queue in ("cancelled", "pool"):
        send(host, "counting.tasks.echo", *([number] for number in range(3)), queue=queue)
    send(host, "counting.tasks.hold", [500, 40], queue="solo")
