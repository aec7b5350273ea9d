"""Every value of an existing program is compared, and a difference without a reason is reported."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from procman.celery_cli.canonical import SETTINGS, canonical, long_name
from procman.celery_cli.parse import read_command
from procman.celery_cli.write import BEAT_KEYS, WORKER_KEYS, options_of_key
from procman.config.load import load
from procman.init.comparing.behaviour import OF_PROJECT, PLAIN
from procman.init.comparing.compare import Comparison, Known, compare, identity
from procman.init.importing.existing import Existing, Stop
from procman.model import Kind
from procman.project import Beat, Project, Worker
from procman.sources import Source
from tests.tables import for_each

FILE = Path("/etc/supervisor/conf.d/celery.conf")
LINES = {
    Kind.WORKER: "/srv/env/bin/celery -A mysite worker -l INFO -E -Q crop,mail -X slow -c 3 -P gevent -O fair"
    " -n crop@%h --autoscale=9,3 --prefetch-multiplier 4 --max-tasks-per-child=100 --max-memory-per-child=300000"
    " --time-limit=80 --soft-time-limit=75.5 --without-gossip --without-mingle --without-heartbeat"
    " --statedb=/var/lib/mysite/state -- a=1",
    Kind.BEAT: "/srv/env/bin/celery -A mysite beat -l INFO --pidfile= -s /var/lib/mysite/s -S redbeat"
    " --max-interval=5 --skip-checks",
}
VARIABLES = {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PATH": "/srv/env/bin:/opt/bin", "API_TOKEN": "c2VjcmV0LXg5"}
COMMON = """
umask = "027"
nice = 5
wrapper = ["ddtrace-run"]
stop_timeout_seconds = 900
"""
TEXT = f"""
[project]
name = "mysite"
app = "mysite"
directory = "/srv/mysite"
virtualenv = "/srv/env"
settings = "mysite.settings"
user = "www-data"
[environment]
PATH = "/opt/bin"
[worker.crop]
adopts = ["supervisor:{FILE}:crop"]
queues = ["crop", "mail"]
exclude_queues = ["slow"]
concurrency = 3
pool = "gevent"
optimization = "fair"
events = true
hostname = "crop@%h"
autoscale = [9, 3]
prefetch_multiplier = 4
max_tasks_per_child = 100
max_memory_per_child_kib = 300000
time_limit_seconds = 80
soft_time_limit_seconds = 75.5
without_gossip = true
without_mingle = true
without_heartbeat = true
extra_arguments = ["--statedb=/var/lib/mysite/state", "--", "a=1"]
{COMMON}
[beat]
adopts = ["supervisor:{FILE}:beat"]
schedule_file = "/var/lib/mysite/s"
scheduler = "redbeat"
max_interval_seconds = 5
extra_arguments = ["--skip-checks"]
{COMMON}
"""
KNOWN = Known(new_variables={"API_TOKEN": "c2VjcmV0LXg5"}, group="www-data")

SET_BY_PROCMAN = {"VIRTUAL_ENV", "PYTHONPATH", "LANG", "PYTHONUNBUFFERED"}
"""The differences that each of these programs has."""


def existing(line: str, name: str) -> Existing:
    return Existing(
        f"[program:{name}]",
        name,
        FILE,
        1,
        tuple(shlex.split(line)),
        read_command(shlex.split(line)),
        wrapper=("ddtrace-run",),
        environment=VARIABLES,
        directory=Path("/srv/mysite"),
        user="www-data",
        group="www-data",
        values={"umask": "027", "nice": 5},
        stop=Stop("TERM", 900, "main", "always"),
        source=Source("supervisor", str(FILE), name),
    )


OLD = {Kind.WORKER: existing(LINES[Kind.WORKER], "crop"), Kind.BEAT: existing(LINES[Kind.BEAT], "beat")}
EACH_KIND = pytest.mark.parametrize("kind", OLD, ids=lambda kind: kind.value)


def project(text: str = TEXT) -> Project:
    return load(Path("/etc/mysite/procman.toml"), {}, text)


def tables(*changed: Existing) -> dict[str, list[Existing]]:
    """Return the programs by table, with `changed` in place of those with the same name."""
    programs = {each.name: each for each in (*OLD.values(), *changed)}
    return {"worker.crop": [programs["crop"]], "beat": [programs["beat"]]}


def compared(old: Existing, new: Project | None = None, known: Known = KNOWN) -> Comparison:
    """Return the comparison of `old`; the other program has a counterpart too."""
    found = compare(tables(old), new or project(), known)
    return next(each for each in found if each.old is old)


def different(comparison: Comparison) -> set[str]:
    return {each.name for each in comparison.differences} - SET_BY_PROCMAN


def unexplained(comparison: Comparison) -> set[str]:
    return {each.name for each in comparison.differences if not each.reason}


def with_words(old: Existing, words: list[str]) -> Existing:
    return replace(old, words=tuple(words), command=read_command(words))


def with_line(old: Existing, one: str, other: str) -> Existing:
    return with_words(old, shlex.split(shlex.join(old.words).replace(one, other)))


@EACH_KIND
def test_equal_programs_have_only_the_differences_of_procman(kind: Kind) -> None:
    found = compared(OLD[kind])
    assert (found.problem, different(found), found.is_explained) == ("", set(), True)
    assert {each.name for each in found.differences} == SET_BY_PROCMAN


# Every field of the record -------------------------------------------------------------------------------------------

OTHER_FIELDS: dict[str, Callable[[Existing], Existing]] = {
    "app": lambda old: with_line(old, "-A mysite", "-A other"),
    "virtualenv": lambda old: with_line(old, "/srv/env/bin/celery", "/srv/other/bin/celery"),
    "wrapper": lambda old: replace(old, wrapper=()),
    "directory": lambda old: replace(old, directory=Path("/srv/other")),
    "user": lambda old: replace(old, user="celery"),
    "group": lambda old: replace(old, group="celery"),
    "umask": lambda old: replace(old, values={**old.values, "umask": "077"}),
    "nice": lambda old: replace(old, values={**old.values, "nice": 6}),
    "autostart": lambda old: replace(old, values={**old.values, "autostart": False}),
    "restarts": lambda old: replace(old, stop=replace(old.stop, restarts="never")),
    "stop_signal": lambda old: replace(old, stop=replace(old.stop, signal="QUIT")),
    "stop_timeout": lambda old: replace(old, stop=replace(old.stop, seconds=1000)),
    "stop_reaches": lambda old: replace(old, stop=replace(old.stop, reaches="group")),
}
"""A change of an existing program for each field of `Behaviour`."""

BETTER = {"restarts", "stop_signal", "stop_reaches"}
"""Fields with only one value under procman, which is better than the others for a reason."""


@EACH_KIND
@pytest.mark.parametrize("field", [field for field in PLAIN if field != "sandbox"])
def test_a_change_of_one_field_is_exactly_that_difference(field: str, kind: Kind) -> None:
    found = compared(OTHER_FIELDS[field](OLD[kind]))
    name = field.replace("_", " ")
    assert different(found) == {name}
    has_reason = field in BETTER or (field, kind) == ("stop_timeout", Kind.BEAT)
    assert unexplained(found) == (set() if has_reason else {name})
    assert found.is_explained == has_reason


@EACH_KIND
def test_what_runs_a_program_may_be_unknown(kind: Kind) -> None:
    found = compared(replace(OLD[kind], source=None, stop=Stop()), project(re.sub("(?m)^adopts = .*", "", TEXT)))
    assert different(found) == {"restarts", "stop signal", "stop timeout", "stop reaches"}
    assert found.is_explained


def test_every_value_of_an_existing_program_is_compared() -> None:
    described = {"label", "name", "file", "line", "problem", "source", "remarks", "likely_app"}
    of_fields = {"wrapper", "directory", "user", "group", "values", "stop"}
    elsewhere = {"words", "command", "environment", "environment_files", "supervisor_options", "systemd_directives"}
    # Other units decide when a program starts, and not how.
    assert {each.name for each in fields(Existing)} == described | of_fields | elsewhere | {"after"}
    assert {each.name for each in fields(Stop)} == {"signal", "seconds", "reaches", "restarts"}


LIMITED: dict[str, dict[str, Any]] = {
    "values": {"memory_max_mib": 900},
    "supervisor_options": {"priority": 998},
    "systemd_directives": {"LimitNOFILE": "65536", "BindPaths": ["/a", "/b"]},
}


@pytest.mark.parametrize("backend", ["supervisor", "systemd"])
@pytest.mark.parametrize("field", LIMITED)
def test_a_limit_of_one_process_manager_is_a_difference(field: str, backend: str) -> None:
    old = OLD[Kind.WORKER]
    limits = LIMITED[field]
    changed: dict[str, Any] = {field: {**getattr(old, field), **limits}}
    found = compared(replace(old, **changed), under_systemd() if backend == "systemd" else project())
    is_lost = (field == "supervisor_options") == (backend == "systemd")
    assert (different(found) - {"sandbox"}, unexplained(found)) == (set(limits), set() if is_lost else set(limits))


def under_systemd(*lines: str) -> Project:
    text = TEXT.replace("[environment]", 'backend = "systemd"\n[environment]', 1)
    return project("\n".join((text, *lines)))


def test_the_sandbox_of_the_units_is_a_difference_unless_it_is_off() -> None:
    """Without it, an adoption is healthy while every task that writes to a file fails."""
    found = compared(OLD[Kind.WORKER], under_systemd())
    [value] = [each for each in found.differences if each.name == "sandbox"]
    assert (value.old, value.new) == ("off", "default")
    assert "tasks may write only to writable_paths" in value.reason
    assert different(compared(OLD[Kind.WORKER], under_systemd("[systemd]", 'sandbox = "off"'))) == set()


def test_equal_limits_are_no_difference() -> None:
    new = project(f"{TEXT}\n[worker.crop.supervisor]\npriority = 998\n")
    assert different(compared(replace(OLD[Kind.WORKER], supervisor_options={"priority": 998}), new)) == set()


# Every option of Celery ----------------------------------------------------------------------------------------------

OPTIONS = [
    (kind, name)
    for kind, keys in ((Kind.WORKER, WORKER_KEYS), (Kind.BEAT, BEAT_KEYS))
    for name in dict.fromkeys(long_name(name, kind) for name in keys)
    if name not in OF_PROJECT
]


@for_each(("kind", "name"), OPTIONS)
def test_an_option_that_is_missing_is_exactly_that_difference(kind: Kind, name: str) -> None:
    old = OLD[kind]
    command = canonical(old.words)
    assert command
    assert name in command.options, f"{name} needs a value in LINES"
    options = [(each, value) for each, value in command.options.items() if each not in (name, SETTINGS)]
    words = [
        "/srv/env/bin/celery",
        kind.value,
        *(word for option in options for word in option if word),
    ]
    found = compared(with_words(old, [*words, *(["--", "a=1"] if kind is Kind.WORKER else [])]))
    assert different(found) == {name}


OTHER_VALUES: dict[str, Any] = {
    "autoscale": (8, 3),
    "events": False,
    "exclude_queues": ("other",),
    "loglevel": "debug",
    "node_name": "other@%h",
    "optimization": None,
    "pool": "solo",
    "queues": ("mail", "crop"),
    "schedule_file": Path("/var/lib/mysite/other"),
    "scheduler": "django",
    **dict.fromkeys(("concurrency", "prefetch_multiplier", "max_tasks_per_child", "max_memory_per_child_kib"), 7),
    **dict.fromkeys(("time_limit_seconds", "soft_time_limit_seconds", "max_interval_seconds"), 7),
    **dict.fromkeys(("without_gossip", "without_mingle", "without_heartbeat"), False),
}


@for_each(
    ("kind", "key"),
    [
        (record.kind, each.name)
        for record in (Worker, Beat)
        for each in fields(record)
        # The last three are no options of Celery: they change how procman itself stops and restarts.
        if each.name not in ("instances", "extra_arguments", "handback_seconds", "overlap", "overlap_max")
    ],
)
def test_another_value_in_procman_toml_is_exactly_that_difference(kind: Kind, key: str) -> None:
    new = project()
    [one] = [each for each in new.programs if each.kind is kind]
    changed = replace(one, options=replace(one.options, **{key: OTHER_VALUES[key]}))
    programs = tuple(changed if each is one else each for each in new.programs)
    found = compared(OLD[kind], replace(new, programs=programs))
    option = max(options_of_key({"node_name": "hostname"}.get(key, key), kind), key=len)
    assert (different(found), unexplained(found)) == ({option}, {option})


@pytest.mark.parametrize("argument", ["--statedb=/other", "-I other.tasks", "--heartbeat-interval 3", "-- a=2"])
def test_another_argument_without_a_key_is_a_difference(argument: str) -> None:
    line = LINES[Kind.WORKER].replace(" -- a=1", " -- a=2" if argument == "-- a=2" else f" {argument} -- a=1")
    found = compared(with_words(OLD[Kind.WORKER], shlex.split(line)))
    assert len(unexplained(found)) == 1


def test_an_option_that_the_import_has_lost_is_a_difference() -> None:
    # The old command line is judged by its words, not by what was imported of it.
    old = OLD[Kind.WORKER]
    assert old.command
    command = replace(old.command, values={})
    assert different(compared(replace(old, command=command))) == set()
    assert different(compared(replace(old, words=(*old.words[:-2], "-I", "lost", "--", "a=1")))) == {"--include"}


@pytest.mark.parametrize(("level", "is_known"), [("info", True), ("debug", False)])
def test_only_the_default_of_a_missing_log_level_has_a_reason(level: str, is_known: bool) -> None:
    line = LINES[Kind.WORKER].replace("-l INFO ", "")
    new = project(TEXT.replace('queues = ["crop", "mail"]', f'queues = ["crop", "mail"]\nloglevel = "{level}"'))
    found = compared(with_words(OLD[Kind.WORKER], shlex.split(line)), new)
    assert (different(found), unexplained(found)) == ({"--loglevel"}, set() if is_known else {"--loglevel"})


# Every variable ------------------------------------------------------------------------------------------------------


@EACH_KIND
@pytest.mark.parametrize("name", [*VARIABLES, "NEW"])
def test_another_variable_is_exactly_that_difference(name: str, kind: Kind) -> None:
    found = compared(replace(OLD[kind], environment={**VARIABLES, name: "/other/value"}))
    assert (different(found), unexplained(found)) == ({name}, {name})


@EACH_KIND
@pytest.mark.parametrize("name", ["DJANGO_SETTINGS_MODULE", "API_TOKEN"])
def test_a_missing_variable_is_exactly_that_difference(name: str, kind: Kind) -> None:
    environment = {each: value for each, value in VARIABLES.items() if each != name}
    assert unexplained(compared(replace(OLD[kind], environment=environment))) == {name}


def test_settings_that_the_app_names_itself_are_no_surprise() -> None:
    environment = {name: value for name, value in VARIABLES.items() if name != "DJANGO_SETTINGS_MODULE"}
    old = replace(OLD[Kind.WORKER], environment=environment)
    assert unexplained(compared(old, known=replace(KNOWN, own_settings="mysite.settings"))) == set()
    assert unexplained(compared(old, known=replace(KNOWN, own_settings="other"))) == {"DJANGO_SETTINGS_MODULE"}


# Programs without a counterpart --------------------------------------------------------------------------------------


def problems(old: dict[str, list[Existing]], new: Project) -> dict[str, str]:
    found = compare(old, new, KNOWN)
    return {each.new or (each.old.name if each.old else ""): each.problem for each in found if each.problem}


def test_a_program_that_is_not_imported_is_a_problem() -> None:
    other = replace(existing(LINES[Kind.WORKER], "mail"), source=None)
    assert problems({**tables(), "worker.mail": [other]}, project()) == {
        "mail": "no worker of procman.toml replaces it"
    }


def test_a_program_that_nothing_became_is_a_problem() -> None:
    new = project(f"{TEXT}\n[worker.invented]\n")
    assert problems(tables(), new) == {"mysite-invented": "no existing program became it"}


def test_programs_are_matched_by_what_they_adopt_and_not_by_name() -> None:
    new = project(TEXT.replace("[worker.crop]", "[worker.renamed]"))
    assert problems(tables(), new) == {}


def test_programs_that_nothing_can_adopt_are_matched_by_their_table() -> None:
    alone = replace(OLD[Kind.WORKER], source=None)
    assert problems(tables(alone), project(TEXT.replace(f'adopts = ["supervisor:{FILE}:crop"]', ""))) == {}


def test_programs_of_one_source_are_compared_with_their_own_tables() -> None:
    # Such as the processes of numprocs, each with queues of its own: the first table adopts the source.
    new = project(TEXT.replace("[beat]", '[worker.second]\nqueues = ["second"]\n[beat]', 1))
    second = with_words(OLD[Kind.WORKER], shlex.split("celery -A mysite worker -Q second"))
    found = {each.new: each for each in compare({**tables(), "worker.second": [second]}, new, KNOWN)}
    assert [each.problem for each in found.values()] == ["", "", ""]
    assert "--queues" not in different(found["mysite-second"])


def test_a_beat_inside_a_worker_is_compared_with_the_beat() -> None:
    line = f"{LINES[Kind.WORKER]} ".replace(" -- a=1 ", " -B -s /var/lib/mysite/s --scheduler redbeat -- a=1")
    both = compare({"worker.crop": [with_words(OLD[Kind.WORKER], shlex.split(line))]}, project(), KNOWN)
    worker, beat = both
    assert (different(worker), unexplained(worker)) == ({"--beat"}, set())
    assert (beat.new, different(beat)) == ("mysite-celery-beat", {"--max-interval", "--skip-checks"})


def test_instances_are_compared_one_by_one() -> None:
    new = project(TEXT.replace("[worker.crop]", "[worker.crop]\ninstances = 2"))
    old = OLD[Kind.WORKER]
    found = compare(tables(replace(old, values={**old.values, "instances": 2})), new, KNOWN)
    names = [each.new for each in found]
    assert names == ["mysite-crop-1", "mysite-crop-2", "mysite-celery-beat"]
    assert [(different(each), unexplained(each)) for each in found[:2]] == [({"--hostname"}, set())] * 2


@pytest.mark.parametrize("name", ["TERM", "SUPERVISOR_ENABLED", "LANG", "HOME"])
def test_a_variable_that_the_files_set_is_not_explained_by_what_usually_sets_it(name: str) -> None:
    login = replace(KNOWN, login={"HOME": "/var/www"})
    old = replace(OLD[Kind.WORKER], environment={**VARIABLES, name: "/own"})
    assert unexplained(compared(old, known=login)) == {name}
    in_file = replace(login, variables={identity(old): {name: "/own"}})
    assert unexplained(compared(OLD[Kind.WORKER], known=in_file)) == {name}


@pytest.mark.parametrize("name", ["user", "directory", "umask", "priority"])
def test_a_variable_is_not_explained_by_a_field_of_the_same_name(name: str) -> None:
    old = replace(OLD[Kind.WORKER], environment={**VARIABLES, name: "1"}, supervisor_options={"priority": 1})
    new = project(f"{TEXT}\n[worker.crop.supervisor]\npriority = 1\n")
    assert unexplained(compared(old, new)) == {name}
