"""`procman health --probe` with a real RabbitMQ: its results for every caller, without a password in the output."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project, send
from .machine import Host

MANAGEMENT = "http://127.0.0.1:15672"

TOML = f"""
[project]
name = "asked"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/asked.env"

[environment]
DEMO_DATA_DIRECTORY = "{DATA}"

[health]
heal = false
management_url = "{MANAGEMENT}"

[worker.celery]
queues = ["asked"]
concurrency = 1
"""


@pytest.fixture(scope="module")
def project(stocked: Host) -> Iterator[Project]:
    """A worker with its own queue, and RabbitMQ with its management interface."""
    write_url(stocked, "catmaid", SECRET)
    stocked.run("rabbitmq-plugins enable rabbitmq_management", timeout=120)
    project = Project(stocked, "asked", TOML)
    project.procman("install", "--wait", "60")
    yield project
    project.procman("uninstall", "--purge")


def write_url(host: Host, user: str, password: str, vhost: str = "/", place: str = "localhost") -> None:
    host.write("/etc/asked.env", f"CELERY_BROKER_URL=amqp://{user}:{password}@{place}:5672/{vhost}\n", mode=0o600)


def health(project: Project, *words: str, user: str | None = None) -> tuple[int, dict[str, Any]]:
    """Return the exit status, and the results for the whole project by code."""
    done: subprocess.CompletedProcess[str] = project.procman("health", "--json", *words, user=user, check=False)
    assert SECRET not in done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["exit_status"] == done.returncode, done.stdout
    return done.returncode, {result["code"]: result for result in document["results"]}


def test_reachable_broker_is_healthy(project: Project) -> None:
    _, found = health(project, "--probe")
    codes = ("PM304", "PM501", "PM502", "PM503", "PM504")
    assert {code: found[code]["level"] for code in codes} == dict.fromkeys(codes, "OK")
    assert found["PM304"]["values"] == {"messages_asked": 0.0}
    # kombu uses only IPv4 for localhost in a URL.
    assert found["PM501"]["detail"] == "the broker at amqp://catmaid:***@127.0.0.1:5672// answers"


@pytest.mark.parametrize(
    ("user", "password", "vhost", "detail"),
    [
        ("catmaid", f"not-{SECRET}", "/", "refuses the user or password of the app"),
        ("catmaid", SECRET, "no-such-vhost", "refuses the virtual host of the app"),
    ],
)
def test_rejected_credentials_and_virtual_host_are_distinguished(
    project: Project, user: str, password: str, vhost: str, detail: str
) -> None:
    write_url(project.host, user, password, vhost)
    try:
        status, found = health(project)
    finally:
        write_url(project.host, "catmaid", SECRET)
    assert status == 2
    assert found["PM502"]["level"] == "CRITICAL"
    assert detail in found["PM502"]["detail"]
    assert found["PM501"]["level"] == "OK"


def test_queue_without_a_consumer_is_reported_with_its_messages(project: Project) -> None:
    url = f"amqp://catmaid:{SECRET}@localhost:5672//"
    environment = {"DJANGO_SETTINGS_MODULE": "exercise.settings", "CELERY_BROKER_URL": url, "DEMO_DATA_DIRECTORY": DATA}
    celery = [f"{VIRTUALENV}/bin/celery", "--workdir", PROJECTS, "-A", "mysite"]
    node = project.host.run(["hostname"]).stdout.strip()
    cancel = ["control", "--timeout", "20", "-d", f"asked-celery@{node}", "cancel_consumer", "asked"]
    project.host.run([*celery, *cancel], "www-data", environment=environment)
    send(project.host, "counting.tasks.echo", [1], [2], queue="asked")
    Host.wait_for(lambda: health(project)[1]["PM304"]["level"] == "CRITICAL", 60, "nobody consumes")
    found = health(project)[1]["PM304"]
    assert found["detail"] == "no worker consumes queue asked; 2 messages are waiting"
    assert found["values"] == {"messages_asked": 2.0}
    project.procman("stop")
    # No worker should run, so the queue needs no consumer.
    assert "PM304" not in health(project)[1]
    project.procman("start")
    # There is no answer before it consumes.
    Host.wait_for(lambda: health(project)[1].get("PM304", {}).get("level") == "OK", 60, "the worker consumes again")


def test_alarm_that_blocks_publishers_is_critical(project: Project) -> None:
    project.host.run("rabbitmqctl set_vm_memory_high_watermark absolute 1MB")
    try:
        Host.wait_for(lambda: health(project)[1]["PM504"]["level"] == "CRITICAL", 60, "the alarm is reported")
        assert "memory on rabbit@" in health(project)[1]["PM504"]["detail"]
    finally:
        project.host.run("rabbitmqctl set_vm_memory_high_watermark 0.4")
    Host.wait_for(lambda: health(project)[1]["PM504"]["level"] == "OK", 60, "the alarm is over")


def test_management_interface_that_rejects_the_user_is_a_warning(project: Project) -> None:
    project.host.run("rabbitmqctl set_user_tags catmaid")
    try:
        found = health(project)[1]
    finally:
        project.host.run("rabbitmqctl set_user_tags catmaid monitoring")
    assert found["PM504"]["level"] == "WARNING"
    assert "the broker's user may not read the alarms" in found["PM504"]["detail"]
    assert found["PM504"]["hint"] == "rabbitmqctl set_user_tags catmaid monitoring"


def test_init_writes_the_management_url_unless_the_user_lacks_the_tag(project: Project) -> None:
    def init() -> tuple[str, str]:
        words = ["--user", "www-data", "--name", "asked", "--output", "-", PROJECTS]
        variables = ["env", f"VIRTUAL_ENV={VIRTUALENV}"]
        done = project.host.run([*variables, "procman", "init", *words])
        assert SECRET not in done.stdout + done.stderr
        return done.stdout, " ".join(done.stderr.split())

    of_broker = MANAGEMENT.replace("127.0.0.1", "localhost")
    variables = f"DEMO_DATA_DIRECTORY={DATA}\nCELERY_BROKER_URL=amqp://catmaid:{SECRET}@localhost:5672//\n"
    project.host.write(f"{PROJECTS}/.env", variables, mode=0o644)
    try:
        written, shown = init()
        assert f'management_url = "{of_broker}"' in written, shown
        project.host.run("rabbitmqctl set_user_tags catmaid")
        written, shown = init()
        assert "management_url" not in written
        remedy = "rabbitmqctl set_user_tags catmaid monitoring"
        assert f"at {of_broker} does not show catmaid its alarms: {remedy}, and then write" in shown
    finally:
        project.host.run(f"rm {PROJECTS}/.env; rabbitmqctl set_user_tags catmaid monitoring")


def test_broker_is_unknown_to_a_caller_who_cannot_become_the_user(project: Project) -> None:
    status, found = health(project, user="nobody")
    assert status == 3
    assert found["PM501"]["level"] == "UNKNOWN"
    assert found["PM501"]["detail"].startswith("cannot query the broker: ")
