"""Queues on a real RabbitMQ whose workers are stopped: `procman queues`, what the watcher sees, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project, send
from .machine import Host

TOML = f"""
[project]
name = "queued"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/queued.env"

[environment]
DEMO_DATA_DIRECTORY = "{DATA}"

[defaults.program]
start_seconds = 1

[health]
heal = false
heartbeat_seconds = 1
stale_seconds = 4
interval_seconds = 1

[worker.big]
queues = ["big"]
concurrency = 1

[worker.small]
queues = ["small"]
concurrency = 1
"""

BIG = "queued-big"
CHECKS = 3
"""`failures`: the checks in a row that make an event of a warning."""
WAITING = "3 messages wait in queue big, and its only worker queued-big is stopped"


@pytest.fixture(scope="module")
def project(stocked: Host) -> Iterator[Project]:
    """Two workers, each with its own queue, and no watcher: the tests check in its place."""
    stocked.write("/etc/queued.env", f"CELERY_BROKER_URL=amqp://catmaid:{SECRET}@localhost:5672//\n", mode=0o600)
    project = Project(stocked, "queued", TOML)
    project.procman("install", "--no-check", "--wait", "60")
    yield project
    project.procman("uninstall", "--purge")


def queues(project: Project, *names: str, user: str | None = None, status: int = 0) -> dict[str, Any]:
    done = project.procman("queues", "--json", *names, user=user, check=False)
    assert SECRET not in done.stdout + done.stderr
    assert done.returncode == status, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def events(project: Project) -> list[tuple[str, str]]:
    lines = project.procman("events", "--json", "--number", "100").stdout.splitlines()
    return [(event["what"], event["code"]) for event in map(json.loads, lines) if event.get("code") == "PM505"]


def test_queue_of_a_running_worker_has_its_consumer(project: Project) -> None:
    found = queues(project, "big")
    [row] = found["queues"]
    assert (row["name"], row["ready"], row["consumers"]) == ("big", 0, 1)
    assert [each["name"] for each in row["programs"]] == [BIG]
    assert (found["source"], found["results"]) == ("broker", [])


def test_messages_of_a_stopped_worker_are_found_by_person_and_watcher_alike(project: Project) -> None:
    project.procman("stop", "big")
    send(project.host, "counting.tasks.echo", [1], [2], [3], queue="big")
    Host.wait_for(lambda: bool(queues(project)["results"]), 60, "the worker has been stopped for long enough")
    found = queues(project)
    assert [(each["code"], each["detail"], each["hint"]) for each in found["results"]] == [
        ("PM505", WAITING, f"procman start {BIG}")
    ]
    table = project.procman("queues").stdout.splitlines()
    assert table[1].split() == ["big", "3", "-", "0", "0s", BIG, "(stopped)"]
    assert table[3] == "3 messages wait in 1 of 2 queues"

    assert queues(project, "queued-small")["results"] == []
    assert [row["name"] for row in queues(project, "big")["queues"]] == ["big"]
    probed = project.procman("health", "--probe", check=False)
    assert f"warning PM505: {WAITING}" in probed.stdout

    # The watcher asks at its first check, and judges that at the next ones.
    for _ in range(1 + CHECKS):
        project.procman("heal")
    assert events(project) == [("found", "PM505")]
    health = project.procman("health", check=False)
    assert health.returncode == 1
    assert WAITING in health.stdout
    nagios = project.procman("health", "--format", "nagios", check=False).stdout
    assert f"{WAITING} (PM505)" in nagios
    assert "'messages_big'=3;;;0" in nagios
    metrics = project.procman("health", "--format", "openmetrics", check=False).stdout
    assert 'procman_queue_messages{project="queued",queue="big"} 3\n' in metrics
    assert 'procman_queue_consumers{project="queued",queue="big"} 0\n' in metrics


def test_caller_who_may_not_ask_sees_what_the_watcher_saw(project: Project) -> None:
    found = queues(project, user="nobody")
    assert (found["source"], found["problem"]) == ("watcher", "only root and www-data can do that")
    assert {row["name"]: row["ready"] for row in found["queues"]} == {"big": 3, "small": 0}
    text = project.procman("queues", user="nobody").stdout
    assert "the broker was not asked: only root and www-data can do that; shown as the watcher saw them" in text
    assert queues(project, user="www-data")["source"] == "broker"


def test_record_of_the_broker_is_private(project: Project) -> None:
    path = f"/var/lib/procman/queued/run/{BIG}/broker.json"
    assert project.host.run(["stat", "-c", "%a %U", path]).stdout.strip() == "600 www-data"
    assert SECRET in project.host.run(["cat", path]).stdout
    look = project.host.run(["cat", "/var/lib/procman/queued/broker-look.json"], "nobody").stdout
    assert SECRET not in look


def test_broker_that_refuses_is_reported_with_its_remedy(project: Project) -> None:
    project.host.run("rabbitmqctl change_password catmaid other")
    try:
        found = queues(project, status=1)
    finally:
        project.host.run(["rabbitmqctl", "change_password", "catmaid", SECRET])
    [result] = found["results"]
    assert (result["code"], result["level"]) == ("PM502", "CRITICAL")
    assert "rabbitmqctl" in result["hint"]


def test_started_worker_solves_it(project: Project) -> None:
    project.procman("start", "big")
    Host.wait_for(lambda: queues(project, "big")["queues"][0]["ready"] == 0, 60, "the messages are taken")
    assert queues(project)["results"] == []
    project.procman("heal")
    assert events(project)[-1] == ("recovered", "PM505")
