"""`check --lint` judges a program with everything that its process manager reads for it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest

from procman.backends.supervisor import renderer
from procman.errors import ConfigurationError
from procman.lint.find_celery import recognise
from procman.lint.inputs import LintReport
from procman.lint.lint import lint
from procman.model import Kind, Level
from tests.backends.supervisor.projects import reference
from tests.lint.valid_files import VALID_SECTION, VALID_UNIT
from tests.reachable import public_directory


def summary(report: LintReport) -> list[tuple[str, str, int]]:
    return [(each.code, each.file.name, each.line) for each in report.findings]


def unit_with_drop_in(directory: Path, unit: str, drop_in: str) -> tuple[Path, Path]:
    (directory / "site.service.d").mkdir(parents=True)
    files = (directory / "site.service", directory / "site.service.d/override.conf")
    for file, text in zip(files, (unit, drop_in), strict=True):
        file.write_text(text)
    return files


@pytest.mark.parametrize("given", [[0], [1], [0, 1]], ids=["unit", "drop-in", "both"])
def test_unit_is_judged_with_its_drop_ins(tmp_path: Path, given: list[int]) -> None:
    unit = VALID_UNIT.replace("KillMode=mixed\n", "").replace("Restart=always", "Restart=no")
    files = unit_with_drop_in(tmp_path, unit, "[Service]\nKillMode=mixed\nRestart=on-failure\n")
    report = lint([files[number] for number in given])
    assert summary(report) == [("PM907", "override.conf", 3)]
    assert [part.name for part in report.programs] == ["site.service"]
    assert report.files == files


def test_empty_setting_of_a_drop_in_removes_those_before_it(tmp_path: Path) -> None:
    files = unit_with_drop_in(tmp_path, VALID_UNIT, "[Service]\nExecStart=\nExecStart=/usr/bin/web\n")
    report = lint(files[:1])
    assert ([part.name for part in report.programs], [part.name for part in report.others]) == ([], ["site.service"])


def test_drop_in_without_its_unit_is_judged_alone(tmp_path: Path) -> None:
    _, drop_in = unit_with_drop_in(tmp_path, VALID_UNIT, "[Service]\nEnvironment=PGPASSWORD=hunter22\n")
    (tmp_path / "site.service").unlink()
    assert summary(lint([drop_in])) == [("PM922", "override.conf", 2)]


def test_drop_in_of_the_administrator_belongs_to_the_unit_of_a_package(tmp_path: Path) -> None:
    for directory in ("etc", "usr/lib"):
        (tmp_path / directory / "systemd/system").mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/system/site.service").write_text(VALID_UNIT.replace("KillMode=mixed\n", ""))
    drop_in = tmp_path / "etc/systemd/system/site.service.d/override.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nKillMode=mixed\n")
    assert summary(lint([drop_in], root=tmp_path)) == []


def test_template_is_judged_without_an_instance(tmp_path: Path) -> None:
    file = tmp_path / "celery@.service"
    file.write_text(VALID_UNIT.replace("KillMode=mixed", "KillMode=none"))
    assert summary(lint([file])) == [("PM906", "celery@.service", 7)]


def test_words_from_an_environment_file_are_those_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("COMMAND=-A site worker --detach\n")
    file = tmp_path / "site.service"
    file.write_text(
        VALID_UNIT.replace("-A site worker", "$COMMAND").replace("User", f"EnvironmentFile={tmp_path}/env\nUser")
    )
    assert summary(lint([file])) == [("PM945", "site.service", 7)]


@pytest.mark.parametrize(
    ("command", "kind", "codes"),
    [
        ("${CELERY_BIN} -A $CELERY_APP multi start $CELERYD_NODES", Kind.WORKER, ["PM948"]),
        ("exec ${CELERY_BIN} -A ${CELERY_APP} beat", Kind.BEAT, []),
        ("echo $CELERY_APP; exec web", None, []),
    ],
)
def test_celery_is_recognised_without_its_environment_file(
    tmp_path: Path, command: str, kind: Kind | None, codes: list[str]
) -> None:
    file = tmp_path / "site.service"
    unit = VALID_UNIT.replace("/opt/env/bin/celery -A site worker -l info", f"/bin/sh -c '{command}'")
    file.write_text(unit.replace("User", f"EnvironmentFile={tmp_path}/missing\nUser"))
    report = lint([file])
    assert [part.celery for part in (*report.programs, *report.others)] == [kind]
    assert [each.code for each in report.findings] == codes


def supervisord_with(directory: Path, section: str, **own: str) -> tuple[Path, Path]:
    (directory / "conf.d").mkdir()
    main, included = directory / "supervisord.conf", directory / "conf.d/site.conf"
    options = "".join(f"{name}={value}\n" for name, value in own.items())
    main.write_text(f"[supervisord]\n{options}[include]\nfiles=conf.d/*.conf\n")
    included.write_text(section)
    return main, included


def test_included_files_are_judged(tmp_path: Path) -> None:
    main, included = supervisord_with(tmp_path, VALID_SECTION.replace("stopwaitsecs=900", "stopwaitsecs=1"))
    for files in ([main], [included], [main, included], [tmp_path / "conf.d"]):
        assert summary(lint(files)) == [("PM902", "site.conf", 9)]


def test_included_file_that_supervisord_cannot_read_is_critical(tmp_path: Path) -> None:
    main, included = supervisord_with(tmp_path, "[program:a\ncommand=b\n")
    [found] = lint([main]).findings
    assert (found.code, found.file, found.level) == ("PM940", included, Level.CRITICAL)


def test_sections_of_several_files_are_one_program(tmp_path: Path) -> None:
    main, _ = supervisord_with(tmp_path, VALID_SECTION.replace("stopwaitsecs=900\n", ""))
    (tmp_path / "conf.d/later.conf").write_text("[program:site-worker]\nstopwaitsecs=1200\n")
    (tmp_path / "conf.d/zz.conf").write_text("[program:site-worker]\nkillasgroup=false\n")
    assert summary(lint([main])) == [("PM903", "zz.conf", 2)]


def test_programs_of_the_same_name_in_two_directories_are_two(tmp_path: Path) -> None:
    files = [tmp_path / "a/site.conf", tmp_path / "b/site.conf"]
    for file, seconds in zip(files, ("1", "900"), strict=True):
        file.parent.mkdir()
        file.write_text(VALID_SECTION.replace("stopwaitsecs=900", f"stopwaitsecs={seconds}"))
    report = lint(files)
    assert [(each.code, each.file) for each in report.findings] == [("PM902", files[0])]
    assert [part.file for part in report.programs] == files


def test_variables_of_supervisord_and_of_the_section_are_expanded(tmp_path: Path) -> None:
    """As Mayan EDMS does it."""
    section = VALID_SECTION.replace("stopwaitsecs=900", "stopwaitsecs=1").replace(
        "command=/opt/env/bin/celery -A site worker -l info",
        'environment=COMMAND="%(ENV_BIN)scelery -A site worker -n site.%%h"\ncommand=nice -n 2 %(ENV_COMMAND)s',
    )
    main, _ = supervisord_with(tmp_path, section, environment='BIN="/opt/env/bin/"')
    assert summary(lint([main])) == [("PM902", "site.conf", 10)]


def test_only_the_unknown_words_of_a_command_are_not_judged(tmp_path: Path) -> None:
    file = tmp_path / "site.conf"
    file.write_text(VALID_SECTION.replace("-l info", "-l %(ENV_LEVEL)s -B"))
    assert summary(lint([file])) == [("PM946", "site.conf", 2)]


@pytest.mark.parametrize(
    ("own", "expected"), [({}, ["PM925"]), ({"user": "www-data"}, []), ({"user": "root"}, ["PM925"])]
)
def test_program_without_a_user_has_that_of_supervisord(
    tmp_path: Path, own: dict[str, str], expected: list[str]
) -> None:
    main, _ = supervisord_with(tmp_path, VALID_SECTION.replace("user=www-data\n", ""), **own)
    assert [each.code for each in lint([main]).findings] == expected


@pytest.mark.parametrize("command", ["gosu www-data", "setpriv --reuid www-data --clear-groups", "sudo -u www-data"])
def test_command_that_changes_the_user_does_not_run_celery_as_root(tmp_path: Path, command: str) -> None:
    file = tmp_path / "site.conf"
    file.write_text(VALID_SECTION.replace("user=www-data\n", "").replace("command=", f"command={command} "))
    assert lint([file]).findings == ()


def test_procmans_own_program_with_a_group_does_not_run_celery_as_root(tmp_path: Path) -> None:
    project = reference(group="webapps")
    project = replace(project, directories=replace(project.directories, configuration=tmp_path))
    files = [file for file in renderer.render(project).files if file.path.suffix in (".sh", ".conf")]
    for file in files:
        (tmp_path / file.path.name).write_text(file.content)
        (tmp_path / file.path.name).chmod(file.mode)
    assert [part.celery for part in lint([tmp_path]).programs] == [Kind.BEAT, Kind.WORKER]
    assert lint([tmp_path]).findings == ()


def test_directory_is_judged_without_its_other_files(tmp_path: Path) -> None:
    (tmp_path / "celery.conf").write_text('CELERYD_NODES="w1 w2"\n')
    (tmp_path / "README").write_text("[program:x]\n")
    (tmp_path / "site.ini").write_text(VALID_SECTION)
    (tmp_path / "site.service").write_text(VALID_UNIT.replace("worker", "beat"))
    report = lint([tmp_path])
    assert [(part.name, part.celery and part.celery.value) for part in report.programs] == [
        ("program:site-worker", "worker"),
        ("site.service", "beat"),
    ]
    assert [file.name for file in report.files] == ["site.ini", "site.service"]


@pytest.mark.parametrize("wrapper", ["ddtrace-run ", "newrelic-admin run-program ", "gosu www-data ", "nice -n 5 "])
def test_program_behind_a_wrapper_is_judged(tmp_path: Path, wrapper: str) -> None:
    file = tmp_path / "site.conf"
    file.write_text(VALID_SECTION.replace("command=", f"command={wrapper}").replace("=900", "=1"))
    assert summary(lint([file])) == [("PM902", "site.conf", 9)]


def test_script_that_starts_celery_for_one_argument_is_judged_by_it(tmp_path: Path) -> None:
    """As pretix does it."""
    script = tmp_path / "site"
    script.write_text(
        '#!/bin/sh\nif [ "$1" = worker ]; then shift; exec celery -A site worker "$@"; fi\nexec web "$@"\n'
    )
    section = VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", f"{script} worker --detach")
    file = tmp_path / "site.conf"
    file.write_text(f"{section}[program:web]\ncommand={script} web\n")
    report = lint([file])
    assert summary(report) == [("PM945", "site.conf", 2)]
    assert [part.name for part in report.others] == ["program:web"]


@pytest.mark.root("only root can give a file away")
def test_root_reads_a_script_of_the_programs_user_as_that_user() -> None:
    with public_directory() as directory:
        script = directory / "start"
        script.write_text("#!/bin/sh\nexec celery -A site worker --detach\n")
        shutil.chown(script, "nobody")
        words = [str(script)]
        assert recognise("site", words, Path("/"), {}, "nobody").kind is Kind.WORKER
        section = VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", str(script))
        (directory / "site.conf").write_text(section.replace("www-data", "nobody"))
        assert summary(lint([directory / "site.conf"])) == [("PM945", "site.conf", 2)]


CHILD = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("stopping", flush=True))
print("started", flush=True)
while True:
    time.sleep(60)
"""


@pytest.mark.root("su needs root not to ask for a password")
@pytest.mark.parametrize("words", [["runuser", "-u", "nobody", "--"], ["su", "-s", "/bin/sh", "nobody", "-c"]])
def test_su_kills_a_worker_that_needs_time_to_stop(tmp_path: Path, words: list[str]) -> None:
    with public_directory() as directory:
        (directory / "child.py").write_text(CHILD)
        command = ["/usr/bin/python3", f"{directory}/child.py"]
        started = [*words, *(command if words[-1] == "--" else [f"exec {' '.join(command)}"])]
        child = subprocess.Popen(started, stdout=PIPE, stderr=DEVNULL, text=True, start_new_session=True)
        assert child.stdout
        with child:
            assert child.stdout.readline() == "started\n"
            child.terminate()
            assert child.stdout.read() == "stopping\n"
    for option, expected in (("", ["PM902"]), ("stopsignal=INT\n", [])):
        celery = "'exec celery -A site worker'" if words[-1] == "-c" else "celery -A site worker"
        section = VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", f"{' '.join(words)} {celery}")
        (tmp_path / "site.conf").write_text(section + option)
        assert [each.code for each in lint([tmp_path / "site.conf"]).findings] == expected


def test_script_that_ends_in_runuser_is_critical(tmp_path: Path) -> None:
    script = tmp_path / "start"
    script.write_text("#!/bin/sh\nexec /usr/sbin/runuser -u site -- celery -A site worker\n")
    (tmp_path / "site.conf").write_text(
        VALID_SECTION.replace("/opt/env/bin/celery -A site worker -l info", str(script))
    )
    [found] = lint([tmp_path / "site.conf"]).findings
    assert (found.code, found.level) == ("PM902", Level.CRITICAL)
    assert found.why.startswith("runuser kills Celery 2 s after")


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("DB_PASSWORD='%(ENV_DB_PASSWORD)s'", []),
        ("DB_PASSWORD='%(ENV_SHARED)s'", []),
        ("BROKER='amqp://site:%(ENV_DB_PASSWORD)s@localhost//'", []),
        ("BROKER='amqp://site:hunter22@%(ENV_HOST)s//'", ["PM922"]),
    ],
)
def test_variable_of_supervisords_environment_is_no_secret_in_the_file(
    tmp_path: Path, variable: str, expected: list[str]
) -> None:
    section = VALID_SECTION.replace("user=", f"environment={variable}\nuser=")
    main, included = supervisord_with(tmp_path, section, environment='SHARED="site"')
    report = lint([main], environment={"DB_PASSWORD": "hunter22", "HOST": "localhost"})
    assert [(each.code, each.file) for each in report.findings] == [(code, included) for code in expected]


def test_secret_of_supervisord_itself_is_reported(tmp_path: Path) -> None:
    main, _ = supervisord_with(tmp_path, VALID_SECTION, environment='DB_PASSWORD="hunter22"')
    assert summary(lint([main])) == [("PM922", "supervisord.conf", 2)]


def test_environment_file_with_a_specifier_is_searched_for_secrets(tmp_path: Path) -> None:
    (tmp_path / "site.env").write_text("DB_PASSWORD=hunter22\n")
    file = tmp_path / "site.service"
    file.write_text(VALID_UNIT.replace("User=", f"EnvironmentFile=-{tmp_path}/%p.env\nUser="))
    assert summary(lint([file])) == [("PM923", "site.service", 5)]


def test_unit_whose_setting_becomes_too_long_is_refused(tmp_path: Path) -> None:
    file = tmp_path / f"{'a' * 200}.service"
    file.write_text(VALID_UNIT.replace("-l info", "%n" * 50_000))
    with pytest.raises(ConfigurationError, match="a setting cannot be read: it becomes longer than"):
        lint([file])


def test_pattern_that_matches_every_file_of_a_host_is_not_searched(tmp_path: Path) -> None:
    endless = "/*" * 8
    (tmp_path / "site.conf").write_text(f"{VALID_SECTION}[include]\nfiles = {endless}\n")
    with pytest.raises(ConfigurationError) as refused:
        lint([tmp_path / "site.conf"])
    [problem] = refused.value.problems
    assert problem.endswith(f"site.conf:12: {endless} has wildcards in more than 3 of its parts")
    (tmp_path / "site.service").write_text(f"{VALID_UNIT}EnvironmentFile={endless}\n")
    assert summary(lint([tmp_path / "site.service"])) == []
