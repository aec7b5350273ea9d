"""Whole messages about a procman.toml that is valid TOML but has mistakes, in the order of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.config import keys, value_types
from tests.config.documents import PROJECT, problems, problems_with
from tests.tables import for_each

HELP = {key.name: key.help for key in keys.PROJECT}

FIVE_MISTAKES = """[project]
nam = "catmaid"
app = "my site"
directory = "/opt/catmaid"
virtualenv = "/opt/env"
user = "www-data"
name = "catmaid"

[worker.celery]
concurency = 3
queues = "crop"

[beat]
max_interval_seconds = "5"
"""


def test_five_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    assert problems(tmp_path, FIVE_MISTAKES) == [
        "FILE:2: project.nam: unknown key; did you mean name?",
        "FILE:3: project.app: expected a Python module, such as mysite or mysite.celery:app",
        "FILE:10: worker.celery.concurency: unknown key; did you mean concurrency?",
        (
            'FILE:11: worker.celery.queues: expected a list of queue names, such as ["crop"] '
            "(found a string: put it in [ ])"
        ),
        "FILE:14: beat.max_interval_seconds: expected a whole number, at least 1 (write 5 without quotes)",
    ]


def test_empty_file_is_answered_with_what_to_add(tmp_path: Path) -> None:
    assert problems(tmp_path, "") == [
        (
            "FILE: project: missing: add a table [project] with name, app, directory, virtualenv "
            "and, in system scope, user"
        ),
        "FILE: worker: nothing to run: add a table such as [worker.celery], and [beat] for periodic tasks",
    ]


def test_each_missing_key_is_reported_with_the_line_of_its_table(tmp_path: Path) -> None:
    assert problems(tmp_path, '# ours\n[project]\napp = "mysite"\nvirtualenv = 1\n[beat]\n') == [
        f"FILE:2: project.name: missing: expected {value_types.NAME.expected}. {HELP['name']}",
        f"FILE:2: project.directory: missing: expected {value_types.SEARCH_PATH.expected}. {HELP['directory']}",
        'FILE:2: project.user: missing: name the user that the programs run as, such as "www-data"',
        "FILE:4: project.virtualenv: expected a path without a colon, absolute or relative to this file (found 1)",
    ]


def test_accept_refuses_what_is_no_warning(tmp_path: Path) -> None:
    codes = ["PM773", "PM777", "PM711", "PM605", "PM200"]
    assert problems(tmp_path, f"{PROJECT}accept = {codes}\n[beat]\n") == [
        "FILE:7: project.accept: unknown code PM777; did you mean PM775?",
        "FILE:7: project.accept: PM711 is never a warning: remove it here and fix its cause (procman explain PM711)",
        "FILE:7: project.accept: PM605 names what you can remove from this list: remove that",
        "FILE:7: project.accept: PM200 is never a warning: remove it here and fix its cause (procman explain PM200)",
    ]
    (wrong,) = problems(tmp_path, f"{PROJECT}accept = 'PM773'\n[beat]\n")
    assert wrong.endswith('a list of the codes of warnings, such as ["PM773"] (found a string: put it in [ ])')


TABLE = "expected a table: write [{}] on its own line, and its keys below"
NO_LIST = "expected a table, not a list of tables: write [{}] in single brackets"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("[worker]\nconcurrency = 3", ["FILE:8: worker.concurrency: " + TABLE.format("worker.NAME")]),
        ("[worker]\nqueues = ['a']", ["FILE:8: worker.queues: " + TABLE.format("worker.NAME")]),
        ("[[worker.a]]\nx = 1", ["FILE:7: worker.a: " + NO_LIST.format("worker.a"), "FILE:8: worker.a.x: unknown key"]),
        ("[beat]\n[[command]]", ["FILE:8: command: " + NO_LIST.format("command.NAME")]),
        ("[[beat]]\n[[beat]]", ["FILE:7: beat: " + TABLE.format("beat")]),
        ("[beat]\nenvironment = 3", ["FILE:8: beat.environment: " + TABLE.format("beat.environment")]),
        ("[beat]\nsystemd = []", ["FILE:8: beat.systemd: " + TABLE.format("beat.systemd")]),
        ("[beat]\n[defaults]\nworker = 1", ["FILE:9: defaults.worker: " + TABLE.format("defaults.worker")]),
        ("[beat]\n[supervisor.x]", ["FILE:8: supervisor.x: unknown table"]),
        (
            "[beat]\n[environment.worker]\nA = 'b'",
            ['FILE:8: environment.worker: expected a quoted string on one line, such as worker = "1"'],
        ),
    ],
)
def test_malformed_table_is_answered_with_its_syntax(tmp_path: Path, rest: str, expected: list[str]) -> None:
    found = problems_with(tmp_path, rest)
    assert [problem.split("; expected one of")[0] for problem in found] == expected


@for_each("name", ["defaults", "environment", "worker", "beat", "command", "supervisor", "systemd"])
@for_each("value", ["3", "'text'", "[]", "1979-05-27"])
def test_plain_value_in_place_of_a_table_is_reported(tmp_path: Path, name: str, value: str) -> None:
    found = problems(tmp_path, f"{name} = {value}\n{PROJECT}")
    assert len(found) == 1 + (name not in ("beat", "worker", "command"))
    assert found[-1].startswith(f"FILE:1: {name}: expected a table: write [") or found[0].startswith(f"FILE:1: {name}")


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("queues = []", "FILE:7: project.queues: unknown key here; it belongs in [worker.NAME]"),
        ("loglevel = 'info'", "FILE:7: project.loglevel: unknown key here; it belongs in [beat] or [worker.NAME]"),
        (
            "[project.environment]",
            "FILE:7: project.environment: unknown table here; [environment] is a top-level table",
        ),
        (
            "[worker.a]\nuser = 'x'",
            "FILE:8: worker.a.user: unknown key here; it belongs in [project] or [command.NAME]",
        ),
        ("[workers.a]", "FILE:7: workers: unknown table; did you mean worker?"),
        ("[defaults.workers]", "FILE:7: defaults.workers: unknown table; did you mean worker?"),
        ("[supervisor]\nmod = 'x'", "FILE:8: supervisor.mod: unknown key; did you mean mode?"),
        (
            "[supervisor]\nzzz = 1",
            (
                "FILE:8: supervisor.zzz: unknown key; expected one of configuration, extend_stop_timeout, include, "
                "mode, supervisord"
            ),
        ),
    ],
)
def test_unknown_name_is_answered_with_where_it_belongs(tmp_path: Path, rest: str, expected: str) -> None:
    found = problems_with(tmp_path, rest + "\n[beat]\n")
    assert found == [expected]


def test_key_before_the_first_table_is_answered_with_where_it_belongs(tmp_path: Path) -> None:
    assert problems(tmp_path, f'user = "x"\n{PROJECT}[beat]') == [
        "FILE:1: user: unknown key here; it belongs in [project] or [command.NAME]"
    ]


def test_only_the_mistake_is_reported_and_not_its_consequences(tmp_path: Path) -> None:
    text = PROJECT.replace('"www-data"', "3").replace('"catmaid"', '"Cat Maid"') + 'scope = "users"\n[beat]\nnice = -1'
    assert problems(tmp_path, text.replace("nice = -1", "")) == [
        (f'FILE:2: project.name: expected {value_types.NAME.expected} (found "Cat Maid")'),
        "FILE:6: project.user: expected the name of a user or group (found 3)",
        'FILE:7: project.scope: expected one of "system", "user" (did you mean "user"?)',
    ]


def test_control_characters_in_keys_are_escaped(tmp_path: Path) -> None:
    found = problems_with(tmp_path, '"\\u001b[31m" = 1\n"a\\nb" = 1\n"a.b" = 1\n[worker."\\u202e"]\n[beat]')
    assert [problem.split(": unknown")[0].split(": expected")[0] for problem in found] == [
        'FILE:7: project."\\u001B[31m"',
        'FILE:8: project."a\\u000Ab"',
        'FILE:9: project."a.b"',
        'FILE:10: worker."\\u202E"',
    ]


@for_each(
    ("text", "reason"),
    [
        ("stop_timeout_seconds = '600'", "write 600 without quotes"),
        ("stop_timeout_seconds = '1h'", "write 3600"),
        ("stop_timeout_seconds = '1h 30min'", "write 5400"),
        ("stop_timeout_seconds = '1.5 hours'", "write 5400"),
        ("stop_timeout_seconds = '600s'", "write 600"),
        ("stop_timeout_seconds = '1 month'", "found a string"),
        ("stop_timeout_seconds = '5ms'", "found 0.005, in quotes"),
        ("stop_timeout_seconds = '0'", "found 0, in quotes"),
        ("stop_timeout_seconds = '2 weeks'", "found 1209600, in quotes"),
        (f"stop_timeout_seconds = '{'1' * 30}'", "found a huge number, in quotes"),
        (f"stop_timeout_seconds = '{'1' * 400}'", "found a huge number, in quotes"),
        ("stop_timeout_seconds = '1h30'", "found a string"),
        ("stop_timeout_seconds = '3 600'", "found a string"),
        (f"stop_timeout_seconds = '{'1' * 60}-'", "found a string"),
        (f"stop_timeout_seconds = '{'1h' * 60}-'", "found a string"),
        (f"stop_timeout_seconds = '{'1 ' * 60}-'", "found a string"),
        ("stop_timeout_seconds = 'hunter2'", "found a string"),
        ("time_limit_seconds = '10m'", "write 600"),
        ("time_limit_seconds = '1hr'", "write 3600"),
        ("time_limit_seconds = ' 2 hrs '", "write 7200"),
        ("time_limit_seconds = '0.5'", "write 0.5 without quotes"),
        ("memory_restart_mib = '2GiB'", "write 2048"),
        ("memory_restart_mib = '2g'", "write 2048"),
        ("memory_restart_mib = '512 MB'", "write 512"),
        ("memory_restart_mib = '512K'", "found 0.5, in quotes"),
        ("max_memory_per_child_kib = '300MB'", "write 307200"),
        ("concurrency = '4'", "write 4 without quotes"),
        ("concurrency = '4s'", "found a string"),
    ],
)
def test_number_in_quotes_is_answered_with_what_to_write(tmp_path: Path, text: str, reason: str) -> None:
    [problem] = problems_with(tmp_path, f"[worker.celery]\n{text}")
    assert problem.endswith(f" ({reason})")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # Any other string may be a misplaced secret, however short.
        ('group = "hunter 2"', "the name of a user or group"),
        ('scope = "hunter2"', 'one of "system", "user"'),
        ('after = ["hunter2"]', "such as rabbitmq-server.service)"),
        ('settings = "https://example"', "such as mysite.settings"),
        ('settings = "u:hunter2@host"', "such as mysite.settings"),
        ('settings = "9f86d081884c7d659a2f"', "such as mysite.settings"),
        ('settings = "my-secret"', "such as mysite.settings"),
        (f'settings = "{"a b" * 30}"', "such as mysite.settings"),
    ],
)
def test_invalid_string_is_not_shown(tmp_path: Path, text: str, reason: str) -> None:
    [problem] = problems_with(tmp_path, f"{text}\n[worker.celery]")
    assert reason in problem
    assert reason[0] == "(" or problem.endswith(reason)


@pytest.mark.parametrize("name", ["amqp://u:p@host", "9f86d081884c7d659a2f", "My-Secret", "M" * 41])
def test_project_name_that_looks_like_a_secret_is_not_shown(name: str) -> None:
    problem = value_types.NAME.problem(name, Path("/"))
    assert problem == f"expected {value_types.NAME.expected}"


def test_no_string_value_is_shown(tmp_path: Path) -> None:
    secret = "amqp://guest:hunter2@host"
    rest = f"""settings = "{secret}"
    scope = "{secret}"
    "{secret}" = 1
    after = ["{secret}"]
    [worker.celery]
    queues = ["{secret} x"]
    argv = "{secret}"
    extra_arguments = ["--broker={secret}"]
    [worker.celery.environment]
    BROKER = "{secret}"
    "{secret}" = ""
    [worker.celery.supervisor]
    serverurl = "{secret}"
    "{secret}" = ""
    [worker.celery.systemd]
    Slice = "{secret}"
    """
    found = problems_with(tmp_path, rest)
    assert len(found) == 13
    assert "hunter2" not in "".join(found)
