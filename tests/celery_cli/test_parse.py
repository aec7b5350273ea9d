"""A hand-written Celery command line is read into the keys of procman.toml."""

from __future__ import annotations

import shlex

import pytest

from procman.celery_cli.parse import CeleryCommand, read_command
from procman.celery_cli.write import FORBIDDEN, beat_arguments, worker_arguments
from procman.model import Kind
from procman.project import Beat, Worker
from tests.tables import for_each

ENV = "/opt/catmaid/django/env"


def read(line: str) -> CeleryCommand:
    command = read_command(shlex.split(line))
    assert command
    return command


@pytest.mark.parametrize(
    "start",
    [
        f"{ENV}/bin/celery",
        f"{ENV}/bin/python {ENV}/bin/celery",
        f"{ENV}/bin/python3.9 -m celery",
        f"exec {ENV}/bin/celery",
        f"/usr/bin/env {ENV}/bin/celery",
    ],
)
def test_celery_is_recognised_in_every_form_of_start(start: str) -> None:
    command = read(f"{start} -A mysite worker -l INFO")
    assert (command.kind, command.project) == (Kind.WORKER, {"app": "mysite", "virtualenv": ENV})
    assert command.values == {"loglevel": "info"}
    assert (command.dropped, command.doubtful) == ({}, {})


@for_each(
    "line",
    [
        "/usr/bin/uwsgi --ini /etc/celery",
        "celery -A mysite multi start w1",
        "celery -A mysite flower",
        "celery",
        "tail -f celery",
        "bash /opt/celery worker",
        "newrelic-admin run-program celery -A mysite worker",
        "",
    ],
)
def test_other_commands_are_ignored(line: str) -> None:
    assert read_command(shlex.split(line)) is None


def test_settings_of_env_and_nice_are_kept() -> None:
    command = read("env A=1 B= nice -n 10 celery -A x worker")
    assert (command.environment, command.values) == ({"A": "1", "B": ""}, {"nice": 10})


def test_celery_of_the_host_is_in_no_virtualenv() -> None:
    assert read("/usr/bin/celery -A x worker").project == {"app": "x"}
    assert read("celery -A x worker").project == {"app": "x"}


@for_each(
    ("options", "values"),
    [
        ("-Q crop,default -X slow", {"queues": ["crop", "default"], "exclude_queues": ["slow"]}),
        ("-c4 -P gevent -Ofair", {"concurrency": 4, "pool": "gevent", "optimization": "fair"}),
        ("--concurrency 4 --pool=solo", {"concurrency": 4, "pool": "solo"}),
        ("--autoscale=10,3", {"autoscale": [10, 3]}),
        ("--autoscale=3,10", {"autoscale": [10, 3]}),
        ("--autoscale 10", {"autoscale": [10, 0]}),
        (
            "--maxtasksperchild 50 --max-memory-per-child=1000",
            {"max_tasks_per_child": 50, "max_memory_per_child_kib": 1000},
        ),
        ("--time-limit=300 --soft-time-limit 1.5", {"time_limit_seconds": 300, "soft_time_limit_seconds": 1.5}),
        ("-E --without-gossip --without-mingle", {"events": True, "without_gossip": True, "without_mingle": True}),
        ("-n crop@%h", {"hostname": "crop@%h"}),
        ("-c AUTO", {"concurrency": "auto"}),
        ("--hostname=worker1", {"hostname": "celery@worker1"}),
        ("--umask=022", {"umask": "022"}),
        ("-S /var/lib/state -I a,b", {"extra_arguments": ["-S", "/var/lib/state", "-I", "a,b"]}),
        ("--own-flag -c 2", {"extra_arguments": ["--own-flag"], "concurrency": 2}),
        ("-c 2 -- worker.direct=1 x=2", {"concurrency": 2, "extra_arguments": ["--", "worker.direct=1", "x=2"]}),
        ("--own-option x -c 2", {"extra_arguments": ["--own-option=x"], "concurrency": 2}),
    ],
)
def test_options_of_a_worker_become_keys(options: str, values: dict[str, object]) -> None:
    command = read(f"celery -A mysite worker {options}")
    assert command.values == values
    assert (command.dropped, command.doubtful) == ({}, {})


def test_options_of_a_beat_become_keys() -> None:
    command = read(
        "celery beat -A mysite -S x.y:Scheduler --max-interval=5 -s /var/run/catmaid/schedule --pidfile=/x.pid"
    )
    assert command.kind is Kind.BEAT
    assert command.values == {"scheduler": "x.y:Scheduler", "max_interval_seconds": 5}
    assert command.schedule_file == "/var/run/catmaid/schedule"
    assert command.dropped == {"--pidfile": FORBIDDEN["--pidfile"]}


def test_options_that_break_a_promise_are_dropped_with_the_reason() -> None:
    command = read(
        "celery -A x worker -BE --pidfile=/x -f /y --purge -b amqp://me:hunter22@host -C --uid=www-data "
        "--result-backend redis://:hunter22@host"
    )
    assert set(command.dropped) == {"-B", "--pidfile", "-f", "--purge", "-C"}
    assert command.moved == {"-b": "CELERY_BROKER_URL", "--result-backend": "CELERY_RESULT_BACKEND"}
    assert command.with_beat
    assert command.values == {"events": True}
    assert command.project == {"app": "x", "user": "www-data"}
    assert "hunter22" not in repr(command)
    assert command.environment == {
        "CELERY_BROKER_URL": "amqp://me:hunter22@host",
        "CELERY_RESULT_BACKEND": "redis://:hunter22@host",
    }


def test_setting_of_the_app_with_a_password_is_dropped() -> None:
    command = read("celery -A x worker -- broker_url=amqp://me:hunter22@host a=1")
    assert command.values == {"extra_arguments": ["--", "a=1"]}
    assert list(command.dropped) == ["-- broker_url"]
    assert "hunter22" not in repr(command)


def test_virtualenv_is_the_same_however_its_path_is_written() -> None:
    assert read("/srv/shop/../env/bin/celery -A x worker").project["virtualenv"] == "/srv/env"


def test_unknown_options_are_reported() -> None:
    assert read("celery -A x worker -c many stray").doubtful == {
        "-c many": "not a valid value for concurrency",
        "stray": "Celery has no such option",
    }


def test_command_lines_of_procman_are_read_back() -> None:
    worker = Worker(
        node_name="crop@%h",
        loglevel="debug",
        queues=("a", "b"),
        exclude_queues=("c",),
        concurrency=2,
        pool="threads",
        autoscale=(5, 1),
        prefetch_multiplier=3,
        max_tasks_per_child=4,
        max_memory_per_child_kib=5,
        time_limit_seconds=6.5,
        soft_time_limit_seconds=7,
        optimization="fair",
        events=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    ours = {"node_name", "instances", "extra_arguments", "handback_seconds", "overlap", "overlap_max"}
    values = read(shlex.join([f"{ENV}/bin/celery", *worker_arguments("mysite", worker)])).values
    expected = {name: value for name, value in vars(worker).items() if name not in ours}
    lists = {name: list(value) for name, value in expected.items() if isinstance(value, tuple)}
    assert values == {**expected, **lists, "hostname": "crop@%h"}
    beat = read(shlex.join(["celery", *beat_arguments("mysite", Beat("info", None, "a:B", 5))]))
    assert beat.values == {"loglevel": "info", "scheduler": "a:B", "max_interval_seconds": 5}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("--queue=a,b", {"queues": ["a", "b"]}),
        ("--queue a --max-tasks 5", {"queues": ["a"], "max_tasks_per_child": 5}),
        ("--event --concurr=2", {"events": True, "concurrency": 2}),
        # Celery 4 refuses an abbreviation of two options, and so does procman.toml.
        ("--max=5", {"extra_arguments": ["--max=5"]}),
        # An option of the app.
        ("--reload-every=5", {"extra_arguments": ["--reload-every=5"]}),
    ],
)
def test_abbreviated_options_of_celery_4_are_read(words: str, values: dict[str, object]) -> None:
    assert read(f"celery -A x worker {words}").values == values
