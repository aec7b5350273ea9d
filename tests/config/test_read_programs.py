"""The programs of a procman.toml: their names, node names and defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.project import AUTO, Beat, Command, Program, Worker
from tests.config.documents import PROJECT, USER_SCOPE, problems, problems_with, read, read_rest


def _worker(program: Program) -> Worker:
    assert isinstance(program.options, Worker)
    return program.options


def _beat(program: Program) -> Beat:
    assert isinstance(program.options, Beat)
    return program.options


def test_programs_are_named_after_project_and_key_in_starting_order(tmp_path: Path) -> None:
    project = read_rest(tmp_path, "[beat]\n[command.flower]\nargv = ['celery']\n[worker.crop]\n[worker.celery]")
    assert [(program.name, program.key) for program in project.programs] == [
        ("catmaid-crop", "worker.crop"),
        ("catmaid-celery", "worker.celery"),
        ("catmaid-flower", "command.flower"),
        ("catmaid-celery-beat", "beat"),
    ]


def test_instances_have_numbered_names_and_node_names(tmp_path: Path) -> None:
    project = read_rest(
        tmp_path,
        "[worker.a]\ninstances = 2\n[worker.b]\ninstances = 2\nhostname = 'b@%h'\n[worker.c]\nhostname = 'x@y.z'",
    )
    assert [(program.name, _worker(program).node_name) for program in project.programs] == [
        ("catmaid-a-1", "catmaid-a-1@%h"),
        ("catmaid-a-2", "catmaid-a-2@%h"),
        ("catmaid-b-1", "b-1@%h"),
        ("catmaid-b-2", "b-2@%h"),
        ("catmaid-c", "x@y.z"),
    ]


def test_instances_of_a_command_are_numbered(tmp_path: Path) -> None:
    project = read_rest(tmp_path, "[command.a]\nargv = ['x', 'y']\ninstances = 2")
    assert [(program.name, program.options) for program in project.programs] == [
        ("catmaid-a-1", Command(("x", "y"), instances=2)),
        ("catmaid-a-2", Command(("x", "y"), instances=2, number=2)),
    ]


TAKEN = "the name {} is taken by {}: rename one of them"


@pytest.mark.parametrize(
    ("rest", "key", "expected"),
    [
        ("[worker.a]\n[command.a]\nargv=['x']", "command.a", TAKEN.format("catmaid-a", "worker.a")),
        ("[worker.celery-beat]\n[beat]", "beat", TAKEN.format("catmaid-celery-beat", "worker.celery-beat")),
        ("[worker.health]", "worker.health", TAKEN.format("catmaid-health", "procman's own health check")),
        ("[worker.a]\ninstances=2\n[command.a-2]\nargv=['x']", "command.a-2", TAKEN.format("catmaid-a-2", "worker.a")),
        # `procman restart catmaid-a` means all instances, and must not mean something else too.
        ("[worker.a]\ninstances=2\n[command.a]\nargv=['x']", "command.a", TAKEN.format("catmaid-a", "worker.a")),
    ],
)
def test_name_clash_is_reported_with_both_keys(tmp_path: Path, rest: str, key: str, expected: str) -> None:
    (found,) = problems_with(tmp_path, rest)
    assert found.split(": ", 2)[1:] == [key, expected]


def test_clash_of_many_instances_is_reported_once(tmp_path: Path) -> None:
    rest = "[worker.a]\ninstances = 500\n[command.a]\nargv = ['x']\ninstances = 500"
    assert problems_with(tmp_path, rest) == ["FILE:9: command.a: " + TAKEN.format("catmaid-a-1", "worker.a")]


def test_installed_name_has_at_most_63_characters(tmp_path: Path) -> None:
    longest = "a" * (63 - len("catmaid-"))
    assert len(read_rest(tmp_path, f"[worker.{longest}]").programs[0].name) == 63
    assert problems_with(tmp_path, f"[worker.{longest}a]") == [
        f"FILE:7: worker.{longest}a: the installed name catmaid-{longest}a is longer than 63 characters: shorten it"
    ]
    assert len(problems_with(tmp_path, f"[worker.{longest}]\ninstances = 1000")) == 1


@pytest.mark.parametrize("name", ["Crop", "crop_2", "2nd", "-a", "ä", "a b", "a.b", "", "a\\n"])
def test_program_name_with_other_characters_is_refused(tmp_path: Path, name: str) -> None:
    (found,) = problems_with(tmp_path, f'[worker."{name}"]')
    assert found.endswith("expected a name of lowercase letters, digits and '-', starting with a letter")


def test_table_with_an_invalid_name_is_checked_too(tmp_path: Path) -> None:
    assert len(problems_with(tmp_path, "[worker.Crop]\nconcurency = 1\n[worker.Crop.environment]\nA = 1")) == 3


@pytest.mark.parametrize("name", ["procman", "supervisor", "lock"])
def test_reserved_project_name_is_refused(tmp_path: Path, name: str) -> None:
    (found,) = problems(tmp_path, PROJECT.replace("catmaid", name, 1) + "[beat]")
    assert found.startswith(f"FILE:2: project.name: {name} is reserved: ")
    assert found.endswith("; choose another name")


def test_node_name_of_two_workers_is_refused(tmp_path: Path) -> None:
    assert problems_with(tmp_path, "[worker.a]\nhostname = 'x@%h'\n[worker.b]\nhostname = 'x@%h'") == [
        "FILE:10: worker.b.hostname: worker.a has the node name x@%h too: set another hostname, or remove it"
    ]
    assert problems_with(tmp_path, "[worker.a]\n[worker.b]\nhostname = 'catmaid-a@%h'") == [
        "FILE:9: worker.b.hostname: worker.a has the node name catmaid-a@%h too: set another hostname, or remove it"
    ]


def test_node_names_that_are_equal_on_every_host_are_refused(tmp_path: Path) -> None:
    [found] = problems_with(tmp_path, "[worker.a]\nhostname = 'x@%h'\n[worker.b]\nhostname = 'x@%n.%d'")
    assert "worker.a has the node name x@%n.%d too" in found
    assert read_rest(tmp_path, "[worker.a]\nhostname = 'x@%h'\n[worker.b]\nhostname = 'x@%n'").programs


@pytest.mark.parametrize("name", ["@", "x@", "@y", "x@y@z", "a b@c", "a,b@c", "x@%q", "%x@h", "-x@h", "x@%"])
def test_node_name_that_celery_does_not_accept_is_refused(tmp_path: Path, name: str) -> None:
    (found,) = problems_with(tmp_path, f"[worker.a]\nhostname = '{name}'")
    assert found.startswith("FILE:8: worker.a.hostname: expected a node name without spaces, such as crop@%h")


def test_node_name_without_a_name_gets_the_one_that_celery_gives_it(tmp_path: Path) -> None:
    tables = "[worker.a]\nhostname = 'edx.lms.%h'\n[worker.b]\nhostname = 'w'\ninstances = 2"
    names = [_worker(each).node_name for each in read_rest(tmp_path, tables).programs]
    assert names == ["celery@edx.lms.%h", "celery-1@w", "celery-2@w"]


def test_concurrency_is_a_number_or_auto(tmp_path: Path) -> None:
    [program] = read_rest(tmp_path, "[worker.a]\nconcurrency = 'auto'").programs
    assert _worker(program).concurrency == AUTO
    for wrong in ("0", "10001", "'Auto'", "'4'", "true", "[1]"):
        (found,) = problems_with(tmp_path, f"[worker.a]\nconcurrency = {wrong}")
        assert 'worker.a.concurrency: expected a whole number from 1 to 10000, or "auto"' in found


DEFAULTS = """
[defaults.program]
nice = 1
start_seconds = 11
stop_timeout_seconds = 12
[defaults.worker]
nice = 2
loglevel = "debug"
stop_timeout_seconds = 22
[worker.a]
nice = 3
[worker.b]
[beat]
"""


def test_program_overrides_worker_defaults_and_these_override_program_defaults(tmp_path: Path) -> None:
    a, b, beat = read_rest(tmp_path, DEFAULTS).programs
    assert [(each.nice, each.start_seconds, each.stop_timeout_seconds) for each in (a, b, beat)] == [
        (3, 11, 22),
        (2, 11, 22),
        (1, 11, 12),
    ]
    assert [_worker(a).loglevel, _beat(beat).loglevel] == ["debug", "info"]


def test_default_stop_timeout_is_longer_for_workers(tmp_path: Path) -> None:
    programs = read_rest(tmp_path, "[worker.a]\n[command.b]\nargv = ['x']\n[beat]").programs
    assert [program.stop_timeout_seconds for program in programs] == [600, 60, 60]


def test_mistake_in_defaults_is_reported_once_at_its_place(tmp_path: Path) -> None:
    rest = """[defaults.worker]
soft_time_limit_seconds = 9
time_limit_seconds = 8
queues = ["a"]
exclude_queues = ["a"]
memory_max_mib = 5
extra_arguments = ["-D"]
[worker.a]
[worker.b]
"""
    assert [problem.split(": ")[:2] for problem in problems_with(tmp_path, rest)] == [
        ["FILE:8", "defaults.worker.soft_time_limit_seconds"],
        ["FILE:11", "defaults.worker.exclude_queues"],
        ["FILE:12", "defaults.worker.memory_max_mib"],
        ["FILE:13", "defaults.worker.extra_arguments"],
    ]


def test_mistake_in_unused_defaults_is_reported(tmp_path: Path) -> None:
    (found,) = problems_with(tmp_path, "[defaults.worker]\nextra_arguments = ['-D']\n[beat]")
    assert found.startswith("FILE:8: defaults.worker.extra_arguments: -D is not allowed")


def test_soft_time_limit_must_be_below_the_hard_one(tmp_path: Path) -> None:
    assert problems_with(tmp_path, "[worker.a]\nsoft_time_limit_seconds = 5\ntime_limit_seconds = 5") == [
        (
            "FILE:8: worker.a.soft_time_limit_seconds: expected less than time_limit_seconds (5): "
            "the hard time limit would kill the task before the soft limit fires"
        )
    ]
    read_rest(tmp_path, "[worker.a]\nsoft_time_limit_seconds = 4.9\ntime_limit_seconds = 5")


def test_handback_leaves_time_for_running_tasks(tmp_path: Path) -> None:
    rest = "[defaults.worker]\nhandback_seconds = 60\n[worker.a]\nstop_timeout_seconds = 60\n[worker.b]\n[worker.c]\n"
    problem = (
        "expected less than stop_timeout_seconds (60): set a smaller number, 0 for no handback, or a longer "
        "stop_timeout_seconds"
    )
    assert problems_with(tmp_path, rest) == [f"FILE:8: defaults.worker.handback_seconds: {problem}"]
    [found] = problems_with(tmp_path, "[worker.a]\nstop_timeout_seconds = 10\nhandback_seconds = 10")
    assert found.startswith("FILE:9: worker.a.handback_seconds: expected less than stop_timeout_seconds (10)")
    for fits in (
        "stop_timeout_seconds = 5",
        "stop_timeout_seconds = 5\nhandback_seconds = 0",
        "handback_seconds = 599",
    ):
        assert read_rest(tmp_path, f"[worker.a]\n{fits}").programs


@pytest.mark.parametrize("table", ["command.a", "defaults.program", "beat", "health"])
def test_only_workers_hand_back(tmp_path: Path, table: str) -> None:
    (found,) = problems_with(
        tmp_path,
        f"[worker.b]\n[{table}]\nargv = ['x']\nhandback_seconds = 5".replace(
            "argv = ['x']\n", "argv = ['x']\n" if table == "command.a" else ""
        ),
    )
    assert f"{table}.handback_seconds: unknown key" in found


def test_autoscale_is_sorted_with_the_maximum_first(tmp_path: Path) -> None:
    one, other = read_rest(tmp_path, "[worker.a]\nautoscale = [3, 10]\n[worker.b]\nautoscale = [10, 3]").programs
    assert _worker(one).autoscale == _worker(other).autoscale == (10, 3)


@pytest.mark.parametrize("value", ["[true, 3]", "[3, true]", "[0, 0]", "[3]", "[1, 2, 3]", "[-1, 3]", "['1', 3]", "3"])
def test_invalid_autoscale_is_refused(tmp_path: Path, value: str) -> None:
    (found,) = problems_with(tmp_path, f"[worker.a]\nautoscale = {value}")
    assert found.startswith(
        "FILE:8: worker.a.autoscale: expected the maximum and minimum number of pool processes, such as [10, 3]"
    )


def test_environment_file_requires_the_launcher_under_supervisord(tmp_path: Path) -> None:
    text = PROJECT + 'environment_file = "/e"\n[worker.a]\nlauncher = false\n[beat]'
    assert problems(tmp_path, text) == [
        ("FILE:9: worker.a.launcher: the launcher reads environment_file: remove launcher = false, or environment_file")
    ]
    read(tmp_path, text.replace("[worker.a]", 'backend = "systemd"\n[worker.a]'))


def test_negative_nice_requires_systemd_and_root(tmp_path: Path) -> None:
    assert problems_with(tmp_path, "[beat]\nnice = -5") == [
        'FILE:8: beat.nice: supervisord does not support this: -5 needs backend = "systemd"'
    ]
    assert problems(tmp_path, USER_SCOPE + 'backend = "systemd"\n[beat]\nnice = -5') == [
        'FILE:9: beat.nice: below 0 is not possible with scope = "user": only root can raise the priority'
    ]
