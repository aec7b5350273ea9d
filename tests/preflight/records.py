"""The facts that `procman check` gathers about a valid project, for tests to change."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from procman.backends.base import FileLimit
from procman.config.load import load
from procman.launch import launch_of
from procman.preflight.inputs import AppAnswer, EnvironmentFile, Host, Interpreter, Place, PreflightFacts, Schedule
from procman.probes.app import AppFacts, Judged, Written
from procman.probes.broker_facts import BrokerFacts
from procman.project import Project

TOML = """
[project]
name = "site"
app = "site1"
directory = "/opt/site"
virtualenv = "/opt/env"
settings = "site1.settings"
user = "www-data"
environment_file = "/etc/site/celery.env"
writable_paths = ["/srv/media"]

[worker.celery]
[command.flower]
argv = ["celery", "-A", "site1", "flower"]
[beat]
schedule_file = "/var/lib/site/schedule"
"""

SCHEDULE = Path("/var/lib/site/schedule")


def project(more: str = "", text: str = TOML) -> Project:
    """Return the project in `text`; `more` are further lines of `[project]`."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "procman.toml")
        path.write_text(text.replace("[project]", f"[project]\n{more}"))
        return load(path, {"HOME": "/home/anna"})


def place(**changes: Any) -> Place:
    """Return a directory of the user with free space."""
    valid = Place(
        exists=True,
        problem="",
        is_directory=True,
        owner="www-data",
        mode=0o755,
        readable=True,
        writable=True,
        above_writable=False,
        free_bytes=2**40,
        in_memory=False,
    )
    return replace(valid, **changes)


def missing() -> Place:
    """Return a path that does not exist."""
    return place(
        exists=False,
        problem="No such file or directory",
        is_directory=False,
        owner="",
        mode=0,
        readable=False,
        writable=False,
    )


def facts(**changes: Any) -> AppFacts:
    """Return the answer of a valid app on Celery 5.7 with RabbitMQ."""
    valid = AppFacts(
        python="3.11.2",
        versions={"celery": "5.7.0", "kombu": "5.7.0"},
        import_seconds=1.5,
        settings="site1.settings",
        broker_urls=("amqp://me:***@localhost//",),
        transport="amqp",
        broker_directories=(),
        missing_module=None,
        queues=("celery",),
        routed_queues=(),
        tasks=4,
        beat_scheduler="celery.beat:PersistentScheduler",
        beat_schedule=(),
        options={
            "accept_content": ["json"],
            "task_time_limit": None,
            "task_acks_late": False,
            "worker_concurrency": 8,
        },
        memory_mib=100.0,
        django={},
        problems={},
        judged={
            "site-celery": Judged(queues=("celery",)),
            "site-celery-beat": Judged(scheduler="celery.beat:PersistentScheduler", keeps_file=True),
        },
        written=(Written("MEDIA_ROOT", Path("/srv/media"), writable=True),),
    )
    return replace(valid, **changes)


def broker(**changes: Any) -> BrokerFacts:
    """Return the answer of a broker that accepts the connection."""
    valid = BrokerFacts(
        reachable=True, trouble="", detail="", url="amqp://me:***@localhost//", transport="amqp", host="localhost"
    )
    return replace(valid, **changes)


def asked(before: PreflightFacts, **changes: Any) -> PreflightFacts:
    """Return `before` with `changes` to the app's answer in its only environment."""
    return replace(before, asked=(replace(before.asked[0], **changes),))


def valid(more: str = "", text: str = TOML) -> PreflightFacts:
    """Return the facts about a valid project; `more` are further lines of `[project]`."""
    made = project(more, text)
    programs = tuple(program for program in made.programs if program.key != "command.flower")
    paths = [made.directory, *made.writable_paths, SCHEDULE.parent, Path("/etc/site/celery.env")]
    return PreflightFacts(
        project=made,
        launches={program.name: launch_of(made, program) for program in made.programs},
        interpreter=Interpreter("3.11.2"),
        asked=(AppAnswer(programs, facts(), broker=broker()),),
        places={path: place() for path in paths},
        schedule=Schedule({SCHEDULE: place(is_directory=False, mode=0o600)}, ""),
        commands={"site-flower": "/opt/env/bin/celery"},
        environment_file=EnvironmentFile(Path("/etc/site/celery.env"), (), "root", 0o640),
        host=Host(file_limits={program.name: FileLimit(1024, "Set minfds = {number}") for program in made.programs}),
    )
