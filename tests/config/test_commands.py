"""The keys of `[command.NAME]`: instances with numbers, signals, the program's own user, and where it writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from procman.config import supervisor_options, systemd_directives
from procman.project import Command
from tests.config.documents import USER_SCOPE, problems, problems_with, read_rest

SYSTEMD = 'backend = "systemd"\n'
WEB = "[command.web]\nargv = ['uwsgi']\n"


def command(tmp_path: Path, rest: str, before: str = "") -> Command:
    found = read_rest(tmp_path, f"{before}{WEB}{rest}").programs[0].options
    assert isinstance(found, Command)
    return found


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("80{instance:02}", "8007"),
        ("{instance}", "7"),
        ("{instance:03}{instance}", "0077"),
        ("{}{x}{{instance}}", "{}{x}{7}"),
    ],
)
def test_number_of_the_instance_takes_the_place_of_its_placeholder(tmp_path: Path, word: str, shown: str) -> None:
    rest = f"[command.web]\nargv = ['x', '{word}']\nreload_command = ['y', '{word}']\nfirst_instance = 7"
    found = read_rest(tmp_path, rest).programs[0].options
    assert isinstance(found, Command)
    assert (found.argv[1], found.reload_command[1], found.number) == (shown, shown, 7)


def test_instances_can_count_from_any_number_and_have_logs_of_their_own(tmp_path: Path) -> None:
    rest = f"{WEB}instances = 2\nfirst_instance = 0\nstdout = '/var/log/web/{{instance}}.log'"
    programs = read_rest(tmp_path, rest).programs
    assert [(each.name, str(each.options.stdout)) for each in programs if isinstance(each.options, Command)] == [
        ("catmaid-web-0", "/var/log/web/0.log"),
        ("catmaid-web-1", "/var/log/web/1.log"),
    ]


@pytest.mark.parametrize("word", ["{instance:2}", "{ instance }", "{INSTANCE}", "%(process_num)02d", "{instance:99}"])
def test_placeholder_that_would_reach_the_command_is_refused(tmp_path: Path, word: str) -> None:
    [found] = problems_with(tmp_path, f"[command.web]\nargv = ['x', '--port=80{word}']")
    assert found.startswith(f"FILE:8: command.web.argv: {word} is not replaced: write {{instance}} for the number")
    [found] = problems_with(tmp_path, f"{WEB}[command.web.environment]\nPORT = '{word}'")
    assert "command.web.environment.PORT: " in found


@pytest.mark.parametrize("line", ["directory = '/srv/{}'", "environment_file = '/etc/{}.env'", "wrapper = ['w', '{}']"])
def test_placeholder_in_a_key_that_all_instances_share_is_refused(tmp_path: Path, line: str) -> None:
    [found] = problems_with(tmp_path, WEB + line.format("{instance:02}"))
    assert f"command.web.{line.split()[0]}: {{instance}} is not replaced here, only in argv," in found


def test_a_worker_may_have_any_text_in_its_environment(tmp_path: Path) -> None:
    [worker] = read_rest(tmp_path, "[worker.a.environment]\nX = '{instance} %(process_num)d'").programs
    assert worker.environment["X"] == "{instance} %(process_num)d"


@pytest.mark.parametrize(
    ("rest", "key", "found"),
    [
        ("stop_signal = 'SIGINT'", "stop_signal", '(did you mean "INT"?)'),
        ("stop_signal = 'hup'", "stop_signal", '(did you mean "HUP"?)'),
        ("stop_signal = 'KILL'", "stop_signal", 'expected one of "TERM", "INT"'),
        ("reload_signal = 'TERM'", "reload_signal", "TERM is the stop_signal: a reload would stop the command"),
        ("reload_signal = 'HUP'\nreload_command = ['x']", "reload_command", "reload_signal is set too"),
        ("user = 'root'", "user", "a program cannot run as root"),
        ("stdout = '/dev/null'", "stdout", "a device cannot be rotated"),
        ("stderr = '/var/log/my web.log'", "stderr", "use only letters, digits, '.', '_' and '-'"),
        ("stderr = '/var/log/web.log'\ninstances = 2", "stderr", "catmaid-web-1 writes to it too"),
        ("stderr = '/var/log/catmaid/catmaid-health.log'", "stderr", "catmaid-health writes to it too"),
        ("reload_command = ['a=b']", "reload_command", "the first word contains =: env(1), which runs it,"),
        ("launcher = false\nwrapper = ['-x']", "wrapper", "the first word starts with -: env(1)"),
        ("reload_command = ['x', '--password=S3cr3tXyz']", "reload_command", "it contains a password"),
    ],
)
def test_value_that_cannot_work_is_refused_with_its_key(tmp_path: Path, rest: str, key: str, found: str) -> None:
    [problem] = problems_with(tmp_path, WEB + rest)
    assert f": command.web.{key}: " in problem
    assert found in problem


def test_log_of_another_program_is_refused(tmp_path: Path) -> None:
    rest = f"{WEB}stdout = '/var/log/catmaid/catmaid-celery.log'\n[worker.celery]"
    [problem] = problems_with(tmp_path, rest)
    assert problem.endswith(
        "command.web.stdout: catmaid-celery writes to it too, and each would rotate the other's log: name another file"
    )
    both = f"{WEB}stdout = '/dev/stdout'\nstderr = '/dev/stderr'\n[command.ws]\nargv = ['x']\nstdout = '/dev/stdout'"
    assert read_rest(tmp_path, both).programs


@pytest.mark.parametrize("key", ["user", "group"])
def test_user_scope_has_no_other_user(tmp_path: Path, key: str) -> None:
    [problem] = problems(tmp_path, f"{USER_SCOPE}{WEB}{key} = 'daemon'")
    assert problem.endswith(f'command.web.{key}: not allowed with scope = "user": {RUN_AS}')


RUN_AS = "the programs run as the user who installs them"


def test_output_of_the_process_manager_is_refused_under_systemd(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path, f"{SYSTEMD}{WEB}stdout = '/dev/stdout'")
    assert problem.endswith('remove this key, name a file, or use backend = "supervisor"')
    assert str(command(tmp_path, "stdout = '/dev/stdout'").stdout) == "/dev/stdout"


def test_plain_command_with_an_environment_file_is_refused_under_supervisord(tmp_path: Path) -> None:
    rest = f"{WEB}environment_file = '/etc/web/env'\n"
    assert read_rest(tmp_path, rest + "[worker.a]\nlauncher = false").programs
    [problem] = problems_with(tmp_path, rest + "launcher = false")
    assert problem.endswith("the launcher reads environment_file: remove launcher = false, or environment_file")
    assert read_rest(tmp_path, f"{SYSTEMD}{rest}launcher = false").programs


def test_reasons_that_are_about_celery_do_not_apply_to_a_command(tmp_path: Path) -> None:
    """A worker cannot set these, because a stop would lose tasks; a uwsgi may need them."""
    rest = "[command.web.supervisor]\nstopasgroup = true\n[command.web.systemd]\nKillMode = 'control-group'\n"
    program = read_rest(tmp_path, WEB + rest + "Type = 'notify'\nOOMPolicy = 'stop'").programs[0]
    assert program.supervisor_options == {"stopasgroup": "true"}
    assert program.systemd_directives == {"KillMode": ("control-group",), "Type": ("notify",), "OOMPolicy": ("stop",)}
    reasons = {**supervisor_options.RESERVED_OF_COMMANDS, **systemd_directives.RESERVED_OF_COMMANDS}
    assert not [name for name, why in reasons.items() if re.search(r"Celery|\btasks\b|worker", why)]


@pytest.mark.parametrize(
    ("table", "line", "found"),
    [
        ("supervisor", "stopsignal = 'INT'", "cannot be set: use the key stop_signal"),
        ("systemd", "KillSignal = 'INT'", "cannot be set: use the key stop_signal"),
        ("systemd", "ExecReload = '/bin/true'", "cannot be set: use the key reload_signal or reload_command"),
        ("systemd", "KillMode = 'process'", "expected one of mixed, control-group"),
        ("systemd", "Type = ['exec']", "expected one of exec, notify"),
    ],
)
def test_refusal_names_the_key_of_the_command(tmp_path: Path, table: str, line: str, found: str) -> None:
    [problem] = problems_with(tmp_path, f"{WEB}[command.web.{table}]\n{line}")
    assert problem.endswith(found)
