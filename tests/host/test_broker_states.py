"""States of RabbitMQ 4 in which it loses or refuses messages: each is reported until its own remedy is typed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project
from .machine import Host

pytestmark = pytest.mark.timeout(900)  # the first run creates the root and installs the packages

SETTINGS = "/srv/held.json"
URL = f"amqp://catmaid:{SECRET}@localhost:5672//"

TOML = f"""
[project]
name = "held"
app = "exercise.held"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
user = "www-data"
backend = "systemd"
environment_file = "/etc/catmaid/celery.env"
writable_paths = ["{DATA}"]

[environment]
HELD_SETTINGS = "{SETTINGS}"

[health]
heartbeat_seconds = 1
stall_seconds = 2
heal = false
management_url = "http://127.0.0.1:15672"

[defaults.worker]
queues = ["held"]
concurrency = 1
start_seconds = 2

[worker.one]
"""
TWO = '\n[worker.two]\nqueues = ["held"]\n'

RETURN = """
import sys, kombu
url, name, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
def messages():
    with kombu.Connection(url) as connection:
        return connection.channel().queue_declare(name, passive=True).message_count
with kombu.Connection(url) as connection:
    for _ in range(3):
        connection.Producer().publish("x", routing_key=name)
for number in range(times):
    # As a worker that stops: it has received them all, and closes its connection.
    with kombu.Connection(url) as connection:
        channel, got = connection.channel(), []
        channel.basic_qos(0, 8, False)
        channel.basic_consume(name, callback=got.append)
        while len(got) < 3:
            try:
                connection.drain_events(timeout=2)
            except OSError:
                print(number)
                sys.exit()
print("kept", messages())
"""


CREATE = """
from exercise.held import app
with app.connection() as connection:
    app.amqp.queues["held"].bind(connection.channel()).declare()
"""

RESTARTS = 21


@pytest.fixture(scope="module")
def rabbitmq(trixie: Host) -> Host:
    """RabbitMQ 4 with its management interface."""
    trixie.run("rabbitmq-plugins enable rabbitmq_management", timeout=120)
    return trixie


@pytest.fixture
def held(rabbitmq: Host) -> Project:
    """A project with the quorum queue `held`, not installed yet."""
    rabbitmq.run("rabbitmqctl --quiet delete_queue held", check=False)
    rabbitmq.run("rabbitmqctl --quiet clear_policy held", check=False)
    declare(rabbitmq)
    return Project(rabbitmq, "held", TOML)


def declare(host: Host, kind: str = "direct", arguments: dict[str, Any] | None = None, **settings: Any) -> None:
    """Let the app declare the queue `held` with an exchange of this kind and further arguments."""
    host.write(SETTINGS, json.dumps({"queues": {"held": [kind, arguments or {}]}, **settings}))


def python(host: Host, code: str, *words: object) -> str:
    environment = {"CELERY_BROKER_URL": URL, "HELD_SETTINGS": SETTINGS, "PYTHONPATH": PROJECTS}
    argv = [f"{VIRTUALENV}/bin/python", "-c", code, *map(str, words)]
    return host.run(argv, "www-data", environment=environment).stdout.strip()


def create(host: Host) -> None:
    """Create the queue as the app declares it now."""
    python(host, CREATE)


def found(project: Project, code: str, *words: str) -> dict[str, Any] | None:
    """Return the problem with this code that `procman check` or `procman health` finds."""
    document = json.loads(project.procman(*words, "--json", check=False).stdout)
    results = [*document["results"], *(each for one in document.get("programs", ()) for each in one["results"])]
    return next((each for each in results if each["code"] == code and each["level"] != "OK"), None)


def type_first(project: Project, hint: str) -> None:
    """Type the first command of a hint."""
    line = hint.partition("\n")[0]
    project.host.run(line[line.index("rabbitmqctl") :].partition("; ")[0])


def gone(project: Project, code: str, *words: str) -> None:
    # The management interface shows a policy within five seconds.
    Host.wait_for(lambda: found(project, code, *words) is None, 30, f"{code} is silent")


def test_messages_are_dropped_after_21_returns_unless_a_remedy_is_typed(held: Project) -> None:
    host = held.host
    create(host)
    assert python(host, RETURN, URL, "held", 25) == "21"
    reported = found(held, "PM781", "check")
    assert reported
    assert "quorum queue held has RabbitMQ's default delivery limit of 20" in reported["detail"]
    type_first(held, reported["hint"])
    gone(held, "PM781", "check")
    assert python(host, RETURN, URL, "held", 25) == "kept 3"


def test_argument_of_a_new_queue_is_a_remedy(held: Project) -> None:
    assert found(held, "PM781", "check")
    declare(held.host, arguments={"x-delivery-limit": -1})
    assert found(held, "PM781", "check") is None
    create(held.host)
    assert found(held, "PM781", "check") is None
    assert python(held.host, RETURN, URL, "held", 25) == "kept 3"


def test_queue_with_other_arguments_is_reported_until_it_is_replaced(held: Project) -> None:
    create(held.host)
    declare(held.host, arguments={"x-delivery-limit": -1})
    reported = found(held, "PM783", "check")
    assert reported
    assert reported["level"] == "CRITICAL"
    assert "queue held exists with another value of x-delivery-limit than" in reported["detail"]
    held.host.run("rabbitmqctl delete_queue held")
    assert found(held, "PM783", "check") is None


@pytest.mark.trixie
def test_queue_that_drops_what_kills_its_worker_is_reported_until_it_has_dead_letters(held: Project) -> None:
    declare(held.host, task_acks_late=True)
    create(held.host)
    reported = found(held, "PM786", "check")
    assert reported
    type_first(held, reported["hint"])
    gone(held, "PM786", "check")


@pytest.mark.trixie
def test_consumer_timeout_is_read_until_it_covers_the_time_limit(held: Project) -> None:
    declare(held.host, task_time_limit=3600)
    create(held.host)
    reported = found(held, "PM762", "check")
    assert reported
    assert "RabbitMQ requeues a message after 1800 s" in reported["detail"]
    type_first(held, reported["hint"])
    assert found(held, "PM762", "check") is None
    held.host.run("rabbitmqctl eval 'application:set_env(rabbit, consumer_timeout, 1800000).'")


@pytest.mark.trixie
def test_denied_feature_is_named_until_it_is_permitted(held: Project) -> None:
    # As older versions of kombu declare it: Celery 4.4.7 with kombu 4.6.11 was seen to get the same answer.
    declare(held.host, control_queue_exclusive=False)
    assert found(held, "PM787", "check") is None
    denied = "deprecated_features.permit.transient_nonexcl_queues = "
    held.host.write("/etc/rabbitmq/rabbitmq.conf", f"{denied}false\n")
    held.host.run("systemctl restart rabbitmq-server", timeout=120)
    reported = found(held, "PM787", "check")
    assert reported
    assert "denies the deprecated feature transient_nonexcl_queues" in reported["detail"]
    assert f"{denied}true in rabbitmq.conf" in reported["hint"]
    held.host.write("/etc/rabbitmq/rabbitmq.conf", f"{denied}true\n")
    held.host.run("systemctl restart rabbitmq-server", timeout=120)
    assert found(held, "PM787", "check") is None


SEND = """
import sys
from exercise.held import app
for seconds, countdown in [each.split("/") for each in sys.argv[1:]]:
    app.send_task("held.sleep", [float(seconds)], countdown=float(countdown) or None, queue="held")
"""


@pytest.mark.trixie
def test_held_messages_are_reported_until_the_prefetch_count_fits(held: Project) -> None:
    create(held.host)
    held.procman("install", "--no-check", "--wait", "60")
    try:
        python(held.host, SEND, *["0/3600"] * 4, "0/0", "0/0")
        Host.wait_for(lambda: found(held, "PM508", "health"), 60, "PM508")
        held.write(TOML + "prefetch_multiplier = 64\n")
        held.procman("install", "--no-check", "--wait", "60")
        gone(held, "PM508", "health")
        assert found(held, "PM507", "health", "--probe")
        held.host.run("rabbitmqctl purge_queue held")
        hoarding(held)
        another_project(held)
    finally:
        held.procman("uninstall", "--purge")


def hoarding(held: Project) -> None:
    held.write(TOML + "prefetch_multiplier = 8\n")
    held.procman("install", "--no-check", "--wait", "60")
    python(held.host, SEND, *["12/0"] * 6)
    held.write(TOML + "prefetch_multiplier = 8\n" + TWO)
    held.procman("install", "--no-check", "--wait", "60")
    Host.wait_for(lambda: found(held, "PM512", "health"), 60, "PM512")
    reported = found(held, "PM512", "health")
    assert reported
    assert "while held-two of the same queue is idle" in reported["detail"]
    held.write(TOML + "prefetch_multiplier = 1\n" + TWO)
    held.procman("install", "--no-check", "--wait", "60")
    gone(held, "PM512", "health")


def another_project(held: Project) -> None:
    text = TOML.replace('name = "held"', 'name = "mill"')
    mill = Project(held.host, "mill", text)
    mill.procman("install", "--no-check", "--wait", "60")
    try:
        reported = found(held, "PM513", "health")
        assert reported
        assert "mill-one of another project consumes queue held of the same broker" in reported["detail"]
        assert found(held, "PM785", "check")
        mill.write(text.replace('queues = ["held"]', 'queues = ["mill"]'))
        mill.procman("install", "--no-check", "--wait", "60")
        assert found(held, "PM513", "health") is None
        assert found(held, "PM785", "check") is None
    finally:
        mill.procman("uninstall", "--purge")


@pytest.mark.trixie
@pytest.mark.parametrize(("arguments", "kept"), [({}, 0), ({"x-delivery-limit": -1}, 4)])
def test_tasks_with_an_eta_survive_21_restarts_only_without_a_limit(
    held: Project, arguments: dict[str, Any], kept: int
) -> None:
    declare(held.host, arguments=arguments)
    create(held.host)
    held.procman("install", "--no-check", "--wait", "60")
    try:
        python(held.host, SEND, *["0/7200"] * 4)
        for _ in range(RESTARTS):
            Host.wait_for(lambda: heartbeat(held)["scheduled"] == 4, 60, "the worker holds the tasks")
            held.host.run("systemctl restart held-one", timeout=120)
        Host.wait_for(lambda: heartbeat(held)["phase"] == "consuming", 60, "the worker consumes")
        Host.wait_for(lambda: heartbeat(held)["scheduled"] == kept, 20, f"{kept} tasks are left")
    finally:
        held.procman("uninstall", "--purge")


@pytest.mark.trixie
def test_topic_exchange_keeps_tasks_until_their_eta_in_rabbitmq(held: Project) -> None:
    declare(held.host, "topic")
    held.procman("install", "--no-check", "--wait", "60")
    try:
        assert found(held, "PM781", "check") is None
        assert found(held, "PM507", "health", "--probe") is None
        python(held.host, SEND, *["0/7200"] * 4, "0/0")
        Host.wait_for(lambda: heartbeat(held)["finished"] == 1, 60, "the worker has run the task without an ETA")
        assert heartbeat(held)["scheduled"] == 0
        listed = held.host.run("rabbitmqctl --quiet list_queues --no-table-headers name messages").stdout
        waiting = [line for line in listed.splitlines() if line.startswith("celery_delayed") and line.endswith("\t4")]
        assert len(waiting) == 1, listed
    finally:
        held.procman("uninstall", "--purge")


def heartbeat(project: Project) -> dict[str, Any]:
    """Return the heartbeat of the running worker; empty until the present process has written one."""
    path = f"/var/lib/procman/{project.name}/run/{project.name}-one/heartbeat.json"
    content = json.loads(project.host.run(["cat", path]).stdout)
    pid = project.host.run(["systemctl", "show", "--value", "--property=MainPID", f"{project.name}-one"]).stdout
    return {"scheduled": None, "phase": None, "finished": None, **(content if content["pid"] == int(pid) else {})}
