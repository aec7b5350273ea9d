"""Supervisord and systemd files as people write them, and the findings of `check --lint`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procman.errors import ConfigurationError
from procman.lint.lint import lint
from procman.lint.registry import LINT
from procman.model import Level
from tests.lint.valid_files import VALID_SECTION, VALID_UNIT, codes, judged

UNITS = Path(__file__).parent.parent.parent / "units"

SHIPPED_WITH_CELERY = """\
; A worker, in the manner of the example that Celery ships for supervisord.
[program:celery]
command=celery -A proj worker --loglevel=INFO
directory=/path/to/project
user=nobody
numprocs=1
stdout_logfile=/var/log/celery/worker.log
stderr_logfile=/var/log/celery/worker.log
autostart=true
autorestart=true
startsecs=10
; Finish running tasks.
stopwaitsecs = 600
; Send the signal to the whole group.
stopasgroup=true
priority=1000
"""


@pytest.mark.parametrize(("text", "name"), [(VALID_SECTION, "site.conf"), (VALID_UNIT, "site.service")])
def test_valid_file_has_no_findings(tmp_path: Path, text: str, name: str) -> None:
    assert judged(tmp_path, text, name) == []


def test_celerys_own_example_loses_running_tasks_by_one_option(tmp_path: Path) -> None:
    found = judged(tmp_path, SHIPPED_WITH_CELERY)
    [worst] = [each for each in found if each.level is Level.CRITICAL]
    assert (worst.code, worst.line, worst.option) == ("PM901", 15, "stopasgroup")
    assert "their running tasks are lost" in worst.why
    assert worst.remedy.startswith("stopasgroup=false")
    assert codes(found) == ["PM908", "PM901"]


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (("stopwaitsecs=900\n", ""), "PM902", 2),
        (("stopwaitsecs=900", "stopwaitsecs=30"), "PM902", 9),
        (("stopwaitsecs=900", "stopwaitsecs=0"), "PM902", 9),
        (("stopwaitsecs=900", "stopwaitsecs=-1"), "PM902", 9),
        (("killasgroup=true\n", ""), "PM903", 2),
        (("startsecs=10", "stopsignal=QUIT\nstartsecs=10"), "PM904", 7),
        (("/opt/env/bin/celery", "/bin/sh -c 'cd /opt && celery"), "PM905", 2),
        (("autorestart=true", "autorestart=unexpected"), "PM907", 6),
        (("startretries=1000", "startretries=5"), "PM908", 8),
        (("startsecs=10", "startsecs=2"), "PM909", 7),
        (("-l info", "-b amqp://me:hunter22@localhost//"), "PM921", 2),
        (("user=", "environment=A='1',BROKER_URL='amqp://me:hunter22@localhost//'\nuser="), "PM922", 4),
        (("user=", "environment=PGPASSWORD='20231199'\nuser="), "PM922", 4),
        (("-l info", "--api-key hunter22"), "PM921", 2),
        (("user=www-data\n", ""), "PM925", 2),
        (("user=", "group=www-data\nuser="), "PM941", 4),
        (("-l info", "-l info -n w@%h"), "PM942", 2),
        (("user=", 'environment=A="one ;two"\nuser='), "PM943", 4),
        (("user=", "numprocs=2\nprocess_name=%(program_name)s_%(process_num)s\nuser="), "PM944", 4),
        (("-l info", "--pidfile=/run/site.pid"), "PM945", 2),
        (("-l info", "-B"), "PM946", 2),
        (("worker -l info", "beat -s /var/run/site/schedule"), "PM947", 2),
    ],
)
def test_one_fault_in_a_section_is_one_finding(tmp_path: Path, change: tuple[str, str], code: str, line: int) -> None:
    text = VALID_SECTION.replace(*change)
    if change[1].startswith("/bin/sh"):
        text = text.replace("-l info", "-l info'")
    found = {each.code: each for each in judged(tmp_path, text)}
    assert set(found) == {code}
    assert (found[code].line, found[code].program) == (line, "program:site-worker")
    assert "hunter22" not in str(found)


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (("TimeoutStopSec=15min\n", ""), "PM902", 6),
        (("TimeoutStopSec=15min", "TimeoutStopSec=1m 30s"), "PM902", 8),
        (("TimeoutStopSec=15min", "TimeoutStopSec=2 minutes"), "PM902", 8),
        (("TimeoutStopSec=15min", "TimeoutStopSec=15min\nTimeoutSec=5"), "PM902", 9),
        (("RestartSec=5", "RestartSec=5\nKillSignal=SIGQUIT"), "PM904", 11),
        (("/opt/env/bin/celery", "/bin/sh -c 'celery"), "PM905", 6),
        (("KillMode=mixed\n", ""), "PM906", 6),
        (("KillMode=mixed", "KillMode=process"), "PM906", 7),
        (("Restart=always", "Restart=on-failure"), "PM907", 9),
        (("[Unit]\nStartLimitIntervalSec=0\n\n[Service]", "[Service]\nStartLimitIntervalSec=0"), "PM908", 2),
        (("-l info", "-b amqp://me:hunter22@localhost//"), "PM921", 6),
        (("User=", "Environment=A=1 'BROKER_URL=amqp://me:hunter22@localhost//'\nUser="), "PM922", 5),
        (("User=", "Environment=MYSQL_PWD=hunter22\nUser="), "PM922", 5),
        (("User=www-data\n", ""), "PM925", 5),
        (("User=", "Environment=A=50%40\nUser="), "PM942", 5),
        (("-l info", "-l info -n w@%h"), "PM942", 6),
        (("worker -l info", "multi start 2 -l info"), "PM948", 6),
    ],
)
def test_one_fault_in_a_unit_is_one_finding(tmp_path: Path, change: tuple[str, str], code: str, line: int) -> None:
    text = VALID_UNIT.replace(*change)
    if change[1].startswith("/bin/sh"):
        text = text.replace("-l info", "-l info'")
    found = {each.code: each for each in judged(tmp_path, text, "site.service")}
    assert set(found) == {code}
    assert (found[code].line, found[code].program) == (line, "site.service")
    assert "hunter22" not in str(found)


def test_unit_without_a_pause_between_starts_is_a_finding(tmp_path: Path) -> None:
    text = VALID_UNIT.replace("RestartSec=5\n", "").replace("StartLimitIntervalSec=0", "")
    assert codes(judged(tmp_path, text, "site.service")) == ["PM908"]


@pytest.mark.parametrize(("mode", "words"), [("mixed", "are killed"), ("process", "orphan"), ("control-group", "")])
def test_consequence_of_a_shell_in_a_unit_depends_on_the_kill_mode(tmp_path: Path, mode: str, words: str) -> None:
    text = VALID_UNIT.replace("/opt/env/bin/celery -A site worker -l info", "/bin/sh -c 'celery -A site beat'")
    found = judged(tmp_path, text.replace("KillMode=mixed", f"KillMode={mode}"), "site.service")
    shells = [each for each in found if each.code == "PM905"]
    assert len(shells) == bool(words)
    assert all(words in each.why for each in shells)


def test_drop_in_is_not_judged_by_missing_settings(tmp_path: Path) -> None:
    assert judged(tmp_path, "[Service]\nTimeoutStopSec=630\n", "override.conf") == []


@pytest.mark.parametrize(
    ("last", "expected"), [("celery -A site worker", ["PM905"]), ("exec celery -A site worker", [])]
)
def test_start_script_is_read(tmp_path: Path, last: str, expected: list[str]) -> None:
    script = tmp_path / "start-celery"
    script.write_text(f"#!/bin/bash\nset -e\ncd /opt/site\nsource env/bin/activate\n{last} -l info\n")
    text = VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", str(script))
    found = judged(tmp_path, text)
    assert codes(found) == expected
    assert [each.level for each in found] == [Level.CRITICAL] * len(expected)


@pytest.mark.parametrize("last", ['exec celery "$@"', "exec celery $@", 'if [ "$1" = -A ]; then exec celery "$@"; fi'])
def test_arguments_of_a_start_script_are_judged_as_those_of_celery(tmp_path: Path, last: str) -> None:
    script = tmp_path / "start-celery"
    script.write_text(f"#!/bin/bash\n{last}\n")
    direct = VALID_SECTION.replace("-l info", "-l info -n worker").replace(
        "stopwaitsecs", "stopsignal=KILL\nstopwaitsecs"
    )
    behind = direct.replace("/opt/env/bin/celery", str(script))
    assert codes(judged(tmp_path, behind)) == codes(judged(tmp_path, direct))
    assert "PM904" in codes(judged(tmp_path, behind))


def test_secret_in_a_private_file_that_a_start_script_reads_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("export BROKER_URL=amqp://me:hunter22@localhost//\n")
    (tmp_path / "env").chmod(0o600)
    script = tmp_path / "start-celery"
    script.write_text(f"#!/bin/sh\n. {tmp_path}/env\nexec celery -A site worker -l info\n")
    text = VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", str(script))
    assert judged(tmp_path, text) == []


def test_secret_in_a_world_readable_start_script_is_critical(tmp_path: Path) -> None:
    script = tmp_path / "start-celery"
    script.write_text(
        "#!/bin/sh\nexport BROKER_URL=amqp://me:hunter22@localhost//\nexec celery -A site worker -l info\n"
    )
    text = VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", str(script))
    [found] = judged(tmp_path, text)
    assert (found.code, found.level) == ("PM922", Level.CRITICAL)
    assert "hunter22" not in str(found)
    script.chmod(0o750)
    assert judged(tmp_path, text) == []


def test_unreadable_start_script_is_a_warning(tmp_path: Path) -> None:
    text = VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", "/opt/no/start-celery.sh")
    [found] = judged(tmp_path, text)
    assert (found.code, found.level) == ("PM905", Level.WARNING)
    assert "cannot be read" in found.why


def test_start_script_that_is_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "start-celery.sh")
    text = VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", str(tmp_path / "start-celery.sh"))
    assert codes(judged(tmp_path, text)) == ["PM905"]


@pytest.mark.root("only root can give a directory away")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        (VALID_SECTION.replace("/var/log/site.log", "DIRECTORY/site.log"), "site.conf"),
        (f"{VALID_UNIT}StandardOutput=append:DIRECTORY/site.log\n", "site.service"),
    ],
)
def test_log_in_a_directory_of_the_user_is_critical(tmp_path: Path, text: str, name: str) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    text = text.replace("DIRECTORY", str(logs))
    assert judged(tmp_path, text, name) == []
    os.chown(logs, 65534, 65534)
    [found] = judged(tmp_path, text, name)
    assert (found.code, found.level) == ("PM924", Level.CRITICAL)


def test_secret_in_a_private_supervisord_file_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "celery.conf"
    file.write_text(VALID_SECTION.replace("user=", "environment=BROKER_PASSWORD='hunter22'\nuser="))
    assert codes(list(lint([file]).findings)) == ["PM922"]
    file.chmod(0o600)
    assert lint([file]).findings == ()


def test_world_readable_environment_file_is_a_finding(tmp_path: Path) -> None:
    secrets = tmp_path / "celery.env"
    secrets.write_text("CELERY_BROKER_URL=amqp://me:hunter22@localhost//\n")
    text = f"{VALID_UNIT}EnvironmentFile=-{secrets}\n"
    assert codes(judged(tmp_path, text, "site.service")) == ["PM923"]
    secrets.chmod(0o600)
    assert judged(tmp_path, text, "site.service") == []


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("[inet_http_server]\nport=127.0.0.1:9001\n", Level.CRITICAL),
        ("[inet_http_server]\nport=*:9001\nusername=me\npassword=hunter22\n", Level.WARNING),
        ("[inet_http_server]\nport=127.0.0.1:9001\nusername=me\npassword=hunter22\n", None),
        ("[unix_http_server]\nfile=/run/s.sock\nchmod=0777\n", Level.CRITICAL),
        ("[unix_http_server]\nfile=/run/s.sock\nchmod=0770\n", None),
    ],
)
def test_unprotected_access_to_supervisord_is_a_finding(tmp_path: Path, text: str, level: Level | None) -> None:
    assert [(each.code, each.level) for each in judged(tmp_path, text)] == ([("PM926", level)] if level else [])


def test_group_hides_the_names_of_its_programs(tmp_path: Path) -> None:
    found = judged(tmp_path, f"{VALID_SECTION}\n[group:site]\nprograms=site-worker,web\n")
    assert [(each.code, each.line) for each in found] == [("PM944", 13)]
    assert judged(tmp_path, f"{VALID_SECTION}\n[group:site]\nprograms=web\n") == []


def test_program_without_celery_is_judged_only_by_its_secrets(tmp_path: Path) -> None:
    text = "[program:web]\ncommand=/usr/bin/web --password=hunter22\nstopasgroup=true\n"
    assert codes(judged(tmp_path, text)) == ["PM921"]


def test_file_that_supervisord_cannot_read_is_critical(tmp_path: Path) -> None:
    [found] = judged(tmp_path, "[program:a\ncommand=b\n")
    assert (found.code, found.level, found.line) == ("PM940", Level.CRITICAL, 1)
    [found] = judged(tmp_path, "[program:a]\ncommand=b\nPASSWORD hunter2\n")
    assert (found.line, found.why) == (
        3,
        "supervisord cannot read the file and would not start: this line is neither a [section] nor NAME=VALUE",
    )


def test_all_unreadable_files_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        lint([tmp_path / "none.conf", tmp_path / "other.conf"])
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("celeryd", 'CELERYD_NODES="w1 w2"\n'),
        ("Procfile", "worker: celery -A site worker\n"),
        ("values.yaml", "worker:\n  command: celery -A site worker\n"),
        ("run.sh", "#!/bin/sh\nexec celery -A site worker\n"),
    ],
)
def test_file_of_another_format_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        lint([tmp_path / name])
    assert caught.value.problems == (
        f"{tmp_path / name}: not a file of supervisord, systemd, Compose, Docker or Kubernetes",
    )
    assert "procman init --from" in caught.value.hint


def test_procman_toml_is_refused_with_the_command_that_checks_it(tmp_path: Path) -> None:
    file = tmp_path / "procman.toml"
    file.write_text('[project]\nname = "site"\n')
    with pytest.raises(ConfigurationError, match=f"; `procman check --config {file}` checks a procman.toml"):
        lint([file])


def test_files_that_procman_writes_have_no_findings() -> None:
    files = [*UNITS.rglob("*.conf"), *UNITS.rglob("*.service"), *UNITS.rglob("*.target")]
    found = lint(files).findings
    assert len(files) >= 6
    # The start scripts exist only after an install.
    assert [each for each in found if not (each.code == "PM905" and "cannot be read" in each.why)] == []


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("-A site worker -n x@%%h", "-A site.celery worker --hostname=x@%%n.%%d", Level.CRITICAL),
        ("-A site worker", "-A site worker -n celery@%%h", Level.CRITICAL),
        ("-A site worker -n x@%%h", "-A shop worker -n x@%%h", Level.WARNING),
        ("-A site worker -n x@%%h", "-A site worker -n y@%%h", None),
        ("-A site worker -n x@%%h", "-A site beat", None),
    ],
)
def test_workers_of_all_files_with_one_node_name_are_reported(
    tmp_path: Path, one: str, other: str, level: Level | None
) -> None:
    section, unit = tmp_path / "one.conf", tmp_path / "two.service"
    section.write_text(VALID_SECTION.replace("-A site worker -l info", one))
    unit.write_text(VALID_UNIT.replace("-A site worker -l info", other))
    found = [each for each in lint([section, unit]).findings if each.code == "PM949"]
    assert [each.level for each in found] == ([level] if level else [])
    if found:
        assert (found[0].file, found[0].line) == (unit, 6)
        assert f"program:site-worker ({section}:2) has the node name" in found[0].why


@pytest.mark.parametrize(
    ("nodes", "expected"), [("w1 w2", ["w1@%h", "w2@%h"]), ("w2 w3", ["w2@%h"]), ("w3 w4", []), ("--x:y:z=1 w1", [])]
)
def test_nodes_of_celery_multi_have_node_names_too(tmp_path: Path, nodes: str, expected: list[str]) -> None:
    for name, words in (("one", "w1 w2"), ("two", nodes)):
        unit = VALID_UNIT.replace("worker -l info", f"multi start {words} --pidfile=/run/site/%%n.pid")
        (tmp_path / f"{name}.service").write_text(unit)
    found = [each for each in lint([tmp_path]).findings if each.code == "PM949"]
    assert [each.why.partition(" too:")[0].rpartition(" ")[2] for each in found] == expected
    assert {each.level for each in found} <= {Level.CRITICAL}
    (tmp_path / "two.service").write_text((tmp_path / "two.service").read_text().replace("-A site", "-A shop"))
    assert {each.level for each in lint([tmp_path]).findings if each.code == "PM949"} <= {Level.WARNING}


def test_node_names_of_templates_are_those_of_their_instances(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}@.service").write_text(VALID_UNIT.replace("-l info", "-n %i@%%h"))
    assert lint([tmp_path]).findings == ()


def test_files_that_define_the_same_program_are_no_two_workers(tmp_path: Path) -> None:
    files = [tmp_path / "one.conf", tmp_path / "two.conf"]
    for file in files:
        file.write_text(VALID_SECTION)
    assert [each for each in lint(files).findings if each.code == "PM949"] == []


def test_every_rule_is_broken_by_a_test() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [rule.code for rule in LINT if rule.code not in text] == []


def test_files_of_a_directory_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    (tmp_path / "site.conf").write_text(VALID_SECTION)
    (tmp_path / "broken.conf").write_bytes(b"\0")
    os.mkfifo(tmp_path / "pipe.conf")
    with pytest.raises(ConfigurationError, match=r"broken\.conf: not a text file"):
        lint([tmp_path])


def test_paths_of_findings_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("site.conf", VALID_SECTION), ("site.service", VALID_UNIT)):
        (tmp_path / name).write_text(text.replace("stopwaitsecs=900\n", "").replace("TimeoutStopSec=15min\n", ""))
    found = lint([Path("site.conf"), Path("site.service")]).findings
    assert [each.file for each in found if each.code == "PM902"] == [tmp_path / "site.conf", tmp_path / "site.service"]
