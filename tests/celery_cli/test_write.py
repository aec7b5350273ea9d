"""Every Celery reads the command lines that procman writes; options that would break a promise are refused."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from procman.agent.variable_rules import refusal
from procman.celery_cli.write import (
    BEAT_KEYS,
    FORBIDDEN,
    OTHERS,
    WORKER_KEYS,
    WORKER_ONLY,
    beat_arguments,
    key_of_variable,
    objections,
    worker_arguments,
)
from procman.config import keys
from procman.model import Kind
from procman.project import AUTO, Beat, Worker
from tests.celery_environments import CELERY_5_1, CELERY_5_7, CELERY_SPECS, CeleryEnvironment, environment_of
from tests.tables import for_each

PARSER = Path(__file__).with_name("parsed_by_celery.py")


class Celery:
    """Celery's parser, of one version."""

    def __init__(self, process: subprocess.Popen[str], version: str) -> None:
        self._process = process
        self.version = version

    def ask(self, arguments: list[str]) -> Any:
        """Return the parser's answer for the arguments."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(arguments), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def values(self, arguments: list[str]) -> dict[str, Any]:
        """Return the parsed values; the arguments must be valid."""
        found = self.ask(arguments)
        assert "error" not in found, found
        values: dict[str, Any] = found["values"]
        return values


@pytest.fixture(scope="module")
def celery(celery_environment: CeleryEnvironment) -> Iterator[Celery]:
    """Return the parser of each supported version of Celery."""
    process = subprocess.Popen(
        [celery_environment.python, PARSER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield Celery(process, celery_environment.spec.version)
        assert process.stdin
        process.stdin.close()


PLAIN = Worker(node_name="crop@%h")

WORKER_OPTIONS: dict[str, list[tuple[Any, str, Any]]] = {
    "loglevel": [
        ("debug", "loglevel", 10),
        ("info", "loglevel", 20),
        ("warning", "loglevel", 30),
        ("error", "loglevel", 40),
        ("critical", "loglevel", 50),
        ("fatal", "loglevel", 50),
    ],
    "node_name": [("a-1@%h", "hostname", f"a-1@{gethostname()}"), ("a@b.c", "hostname", "a@b.c")],
    "queues": [(("crop",), "queues", ["crop"]), (("a", "b.c", "d-e/f"), "queues", ["a", "b.c", "d-e/f"])],
    "exclude_queues": [(("crop", "é"), "exclude_queues", ["crop", "é"])],
    "concurrency": [(1, "concurrency", 1), (10_000, "concurrency", 10_000)],
    "pool": [("prefork", "pool", "prefork"), ("solo", "pool", "solo"), ("threads", "pool", "thread")],
    "autoscale": [((10, 3), "autoscale", [10, 3]), ((5, 0), "autoscale", [5, 0])],
    "prefetch_multiplier": [(1, "prefetch_multiplier", 1), (64, "prefetch_multiplier", 64)],
    "max_tasks_per_child": [(100, "max_tasks_per_child", 100)],
    "max_memory_per_child_kib": [(300_000, "max_memory_per_child", 300_000)],
    "time_limit_seconds": [(3600, "time_limit", 3600.0), (0.5, "time_limit", 0.5), (1e-7, "time_limit", 1e-7)],
    "soft_time_limit_seconds": [(3500, "soft_time_limit", 3500.0)],
    "optimization": [("fair", "optimization", "fair"), ("default", "optimization", "default")],
    "events": [(True, "task_events", True)],
    "without_gossip": [(True, "without_gossip", True)],
    "without_mingle": [(True, "without_mingle", True)],
    "without_heartbeat": [(True, "without_heartbeat", True)],
    "extra_arguments": [(("--statedb=/var/lib/x y",), "statedb", "/var/lib/x y"), (("-S", "/x"), "statedb", "/x")],
}
"""Values of each option of a worker: what Celery calls it, and what must arrive there."""

BEAT_OPTIONS: dict[str, list[tuple[Any, str, Any]]] = {
    "loglevel": [("debug", "loglevel", 10), ("fatal", "loglevel", 50)],
    "schedule_file": [(Path("/var/lib/a b/schedule"), "schedule", "/var/lib/a b/schedule")],
    "scheduler": [("django", "scheduler", "django"), ("a.b:C", "scheduler", "a.b:C")],
    "max_interval_seconds": [(5, "max_interval", 5)],
    "extra_arguments": [(("-C",), "", None)],
}


def test_table_of_options_is_complete() -> None:
    ours = {"instances", "handback_seconds", "overlap", "overlap_max"}
    assert set(WORKER_OPTIONS) == {field.name for field in fields(Worker)} - ours
    assert set(BEAT_OPTIONS) == {field.name for field in fields(Beat)}


@pytest.mark.parametrize("option", WORKER_OPTIONS)
def test_option_of_a_worker_arrives(celery: Celery, option: str) -> None:
    usual = celery.values(worker_arguments("mysite", PLAIN))
    for value, name, expected in WORKER_OPTIONS[option]:
        found = celery.values(worker_arguments("mysite", replace(PLAIN, **{option: value})))
        assert found == usual | {name: expected}


@pytest.mark.parametrize("option", [name for name in BEAT_OPTIONS if name != "extra_arguments"])
def test_option_of_beat_arrives(celery: Celery, option: str) -> None:
    plain = Beat("info", None)
    usual = celery.values(beat_arguments("mysite", plain))
    for value, name, expected in BEAT_OPTIONS[option]:
        found = celery.values(beat_arguments("mysite", replace(plain, **{option: value})))
        assert found == usual | {name: expected}


def test_everything_at_once_arrives(celery: Celery) -> None:
    options = {option: values[0] for option, values in WORKER_OPTIONS.items()}
    worker = Worker(**{option: value for option, (value, _, _) in options.items()})
    found = celery.values(worker_arguments("mysite", worker))
    assert {name: found[name] for _, name, _ in options.values()} == {name: each for _, name, each in options.values()}


def test_beat_writes_no_pid_file(celery: Celery) -> None:
    assert not celery.values(beat_arguments("mysite", Beat("info", None)))["pidfile"]


def test_celery_knows_every_pool(celery: Celery) -> None:
    (pool,) = [key for key in keys.WORKER if key.name == "pool"]
    assert set(pool.type.schema["enum"]) <= set(celery.ask(["pools"])["pools"])  # type: ignore[call-overload]


def test_prefetch_multiplier_of_zero_does_not_arrive(celery: Celery) -> None:
    # So the key begins at 1: 0 means no limit to Celery, but not on the command line of Celery 5.
    found = celery.values(worker_arguments("mysite", replace(PLAIN, prefetch_multiplier=0)))
    assert found["prefetch_multiplier"] == (0 if celery.version.startswith("4.") else 4)


@pytest.mark.parametrize("celery_environment", [CELERY_5_1, CELERY_5_7], indirect=True)
def test_only_a_recent_celery_accepts_auto_as_the_concurrency(celery: Celery) -> None:
    arguments = worker_arguments("mysite", replace(PLAIN, concurrency=AUTO))
    if celery.version == CELERY_5_7.version:
        assert celery.values(arguments)["concurrency"] == "auto"
    else:
        assert "auto is not a valid integer" in str(celery.ask(arguments))


def test_plain_worker_has_the_usual_command_line() -> None:
    worker = Worker(node_name="catmaid-celery@%h", concurrency=1, events=True)
    assert worker_arguments("mysite", worker) == [
        *("-A", "mysite", "worker", "-l", "info", "-E", "-n", "catmaid-celery@%h", "-c", "1")
    ]


def _known(kind: Kind) -> set[str]:
    return {*(WORKER_KEYS if kind is Kind.WORKER else BEAT_KEYS), *FORBIDDEN, *OTHERS[kind]}


@pytest.mark.parametrize("kind", [Kind.WORKER, Kind.BEAT])
def test_every_option_of_celery_is_known(celery: Celery, kind: Kind) -> None:
    found = set(celery.ask(["options", kind.value])["options"])
    assert len(found) > 10
    assert found <= _known(kind)


@pytest.mark.celery
@pytest.mark.parametrize("kind", [Kind.WORKER, Kind.BEAT])
def test_every_known_option_exists_in_some_celery(kind: Kind) -> None:
    environments = [environment for spec in CELERY_SPECS if (environment := environment_of(spec))]
    question, found = json.dumps(["options", kind.value]), set()
    for environment in environments:
        answer = subprocess.check_output([environment.python, PARSER], input=question, text=True)
        found |= set(json.loads(answer)["options"])
    if len(environments) == len(CELERY_SPECS):
        assert _known(kind) - found == (WORKER_ONLY if kind is Kind.BEAT else set())


WORKER_OBJECTIONS = {
    "-D": "-D is not allowed: it detaches the program from the process manager",
    "--detach": "--detach is not allowed: it detaches the program from the process manager",
    "--pidfile=/x": "--pidfile is not allowed: "
    "a stale pid file would prevent every start; the process manager knows the pid",
    "-c4": "-c is set with the key concurrency",
    "--concurrency=4": "--concurrency is set with the key concurrency",
    "--uid=0": "--uid is set with the key user in [project]",
    "-ED": "-E is set with the key events",
    "-qD": "-D is not allowed: it detaches the program from the process manager",
    "--det": "Celery has no option --det; --detach is not allowed: it detaches the program from the process manager",
    "--beet": "Celery has no option --beet; "
    "--beat is not allowed: with a second worker, there would be a second beat: use [beat]",
    "--concurency=4": "Celery has no option --concurency; --concurrency is set with the key concurrency",
    "--stat=/x": "Celery has no option --stat; did you mean --statedb?",
    "--help": "--help is not allowed: it prints text and exits",
}


@for_each(("word", "expected"), WORKER_OBJECTIONS.items())
def test_word_that_is_not_allowed_in_extra_arguments(word: str, expected: str) -> None:
    assert objections([word], Kind.WORKER) == [expected]


@pytest.mark.parametrize("kind", [Kind.WORKER, Kind.BEAT])
def test_suggested_option_is_allowed(kind: Kind) -> None:
    mistyped = [name[:-1] for name in _known(kind) if name.startswith("--")]
    printed = [objection for name in mistyped for objection in objections([name], kind)]
    suggested = [match[1] for each in printed if (match := re.search(r"did you mean (\S+)\?", each))]
    assert {"--loader", "--result-backend"} <= set(suggested)
    assert [name for name in suggested if objections([name], kind)] == []


@for_each("word", FORBIDDEN)
@for_each("kind", [Kind.WORKER, Kind.BEAT])
def test_forbidden_option_is_refused_for_worker_and_beat(kind: Kind, word: str) -> None:
    is_missing = kind is Kind.BEAT and word in WORKER_ONLY
    expected = f"celery beat has no option {word}" if is_missing else f"{word} is not allowed: {FORBIDDEN[word]}"
    assert objections([word], kind) == [expected]


@pytest.mark.parametrize("word", ["--beet", "--bea", "--beat=1", "--purg", "--discards"])
def test_option_of_workers_is_not_suggested_for_beat(word: str) -> None:
    assert objections([word], Kind.BEAT) == [f"celery beat has no option {word.partition('=')[0]}"]


def test_same_letter_is_a_different_option_for_worker_and_beat() -> None:
    assert objections(["-S", "/x"], Kind.WORKER) == []
    assert objections(["-S", "x"], Kind.BEAT) == ["-S is set with the key scheduler"]
    assert objections(["-n", "x@y"], Kind.BEAT) == []
    assert objections(["-n", "x@y"], Kind.WORKER) == ["-n is set with the key hostname"]


def test_each_objection_is_reported_once() -> None:
    assert len(objections(["-D", "-D", "--detach"], Kind.WORKER)) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--statedb", "/x"],
        ["-S/Dx"],
        ["--heartbeat-interval=5", "--include=a,b"],
        ["--my-own-option=3", "-Z"],
        ["-"],
        ["value", "D"],
        ["--", "worker_pool_restarts=true", "-D", "--detach"],
    ],
)
def test_other_arguments_are_left_to_celery(arguments: list[str]) -> None:
    assert objections(arguments, Kind.WORKER) == []


def test_old_celery_accepts_a_prefix_of_an_option(celery: Celery) -> None:
    found = celery.ask([*worker_arguments("mysite", PLAIN), "--det"])
    assert celery.version.startswith("4.") == ("error" not in found and found["values"]["detach"])


@for_each(
    "name",
    [
        *("CELERY_WORKER_DETACH", "CELERY_BEAT_DETACH", "CELERY_WORKER_PIDFILE", "CELERY_BEAT_PIDFILE"),
        *("CELERY_WORKER_LOGFILE", "CELERY_WORKER_PURGE", "CELERY_WORKER_BEAT", "CELERY_WORKER_UID", "CELERY_BEAT_GID"),
        *("CELERY_VERSION", "CELERY_HELP"),
    ],
)
def test_variable_that_celery_reads_as_a_forbidden_option_is_refused(name: str) -> None:
    assert refusal(name).startswith("Celery reads it as the option --")


@for_each(
    "name",
    [
        *("CELERY_BROKER_URL", "CELERY_WORKER_CONCURRENCY", "WORKER_DETACH", "CELERY_DETACH", "CELERY_WORKER_VERSION"),
        *("CELERY_WORKER_D", "CELERY_WORKER_-DETACH", "CELERY_WORKER_"),
    ],
)
def test_other_variable_is_allowed(name: str) -> None:
    assert refusal(name) == ""


@pytest.mark.parametrize("celery_environment", [CELERY_5_1, CELERY_5_7], indirect=True)
def test_every_option_that_celery_reads_from_a_variable_is_judged(celery_environment: CeleryEnvironment) -> None:
    done = subprocess.run([celery_environment.python, "-c", VARIABLES], capture_output=True, text=True, check=True)
    for command, variable, options in json.loads(done.stdout):
        kind = Kind(command)
        key = next((table.get(each) for table in (KEYS[kind],) for each in options if table.get(each)), None)
        is_forbidden = bool({*options} & {*FORBIDDEN, "--uid", "--gid"})
        assert bool(refusal(variable)) == is_forbidden, variable
        if not is_forbidden:
            assert key_of_variable(variable, kind) == ((f"--{_option(variable)}", key) if key else None)


VARIABLES = """
import json
from celery.bin.celery import celery
print(json.dumps([
    [name, f"CELERY_{name}_{option.name}".upper(), option.opts]
    for name in ("worker", "beat") for option in celery.commands[name].params if option.opts != ["-O"]
]))
"""
KEYS = {Kind.WORKER: WORKER_KEYS, Kind.BEAT: BEAT_KEYS}


def _option(variable: str) -> str:
    return variable.split("_", 2)[2].replace("_", "-").lower()


def test_celery_reads_options_from_variables(celery_environment: CeleryEnvironment) -> None:
    question = json.dumps(worker_arguments("mysite", PLAIN))
    done = subprocess.run(
        [celery_environment.python, PARSER],
        input=question,
        env={"CELERY_WORKER_DETACH": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    detaches = json.loads(done.stdout)["values"]["detach"]
    assert detaches == (not celery_environment.spec.version.startswith("4."))


def test_keys_named_by_objections_exist() -> None:
    known = {key.name for found in (*keys.SINGLE_TABLES.values(), *keys.NAMED_TABLES.values()) for key in found}
    assert {*WORKER_KEYS.values(), *BEAT_KEYS.values()} <= known
