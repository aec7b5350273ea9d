"""The import of a hand-written supervisord configuration, and the parts that are not imported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procman.celery_cli.start_script import LONGEST_SCRIPT
from procman.config.load import load
from procman.init.draft import Discovery, Draft
from procman.init.import_supervisor import read_existing
from procman.init.write_toml import text_of
from procman.project import Beat, Project, Worker
from tests.celery_cli.test_read_start_script import SEED

BEAT_FILES = "--pidfile=/var/run/catmaid/celery-beat.pid --schedule=/var/run/catmaid/celery-beat-schedule"

CATMAID = """\
[program:catmaid-app]
command = /opt/catmaid/django/env/bin/uwsgi --ini /opt/catmaid/django/projects/mysite/catmaid-uwsgi.ini
user = www-data
stopsignal = INT

[program:catmaid-celery]
command = {script}
user = www-data
stdout_logfile = /opt/catmaid/django/projects/mysite/celery.log
redirect_stderr = true

[program:catmaid-celery-beat]
directory = /opt/catmaid/django/projects/
command = /opt/catmaid/django/env/bin/celery -A mysite beat -l info {beat_files}
user = www-data

[group:catmaid]
programs=catmaid-app,catmaid-celery,catmaid-celery-beat
"""

WORKER = "/env/bin/celery -A mysite worker -l info"


def read(directory: Path, text: str, name: str | None = None, *, manages_supervisord: bool = True) -> Draft:
    file = directory / "old.conf"
    file.write_text(text)
    draft = Draft({"project": {}})
    read_existing(draft, file, Path("/etc/supervisor"), name, manages_supervisord=manages_supervisord)
    return draft


def program(options: str, command: str = WORKER, name: str = "catmaid-celery") -> str:
    return f"[program:{name}]\ncommand = {command}\nuser = www-data\ndirectory = /srv\n{options}\n"


def not_imported(draft: Draft) -> dict[str, str]:
    return {finding.value: finding.note for finding in draft.findings if finding.what == "not imported"}


def loaded(draft: Draft, directory: Path) -> Project:
    """Return the project made from the draft alone."""
    draft.put("supervisor", "mode", "embedded")
    assert draft.fill_in == {}
    file = directory / "procman.toml"
    file.write_text(text_of(draft))
    return load(file, {})


def test_catmaids_documented_programs(tmp_path: Path) -> None:
    script, old = tmp_path / "run-celery.sh", tmp_path / "old.conf"
    script.write_text(SEED)
    draft = read(tmp_path, CATMAID.format(script=script, beat_files=BEAT_FILES))
    project = loaded(draft, tmp_path)
    assert (project.name, project.app, project.settings) == ("catmaid", "mysite", "mysite.settings")
    assert project.directory == Path("/opt/catmaid/django/projects")
    assert project.virtualenv == Path("/opt/catmaid/django/env")
    assert (project.user, project.python_path) == ("www-data", ())
    worker, beat = project.programs
    assert (worker.name, beat.name) == ("catmaid-celery", "catmaid-celery-beat")
    assert (worker.environment, worker.stop_timeout_seconds) == ({}, 600)
    assert isinstance(beat.options, Beat)
    assert beat.options.schedule_file == Path("/var/lib/catmaid/celerybeat-schedule")
    reasons = not_imported(draft)
    assert "supervisorctl cannot find a program in a group" in reasons["[group:catmaid]"]
    assert "stale pid file" in reasons["[program:catmaid-celery-beat] --pidfile"]
    assert "a boot empties this directory" in reasons["[program:catmaid-celery-beat] schedule in /var/run/catmaid"]
    assert (
        "root opens the log"
        in reasons["[program:catmaid-celery] stdout_logfile = /opt/catmaid/django/projects/mysite/celery.log"]
    )
    assert Discovery("not imported", "[program:catmaid-app]", "not a Celery worker or beat") in draft.findings
    assert [finding.what for finding in draft.findings].count("changed") == 1
    assert draft.warnings == [
        f"supervisord still runs the programs of {old}: `procman install --replace {old}` adopts them"
    ]


def test_no_adoption_is_suggested_from_a_supervisord_that_procman_does_not_control(tmp_path: Path) -> None:
    [note] = read(tmp_path, program("stopwaitsecs = 700"), manages_supervisord=False).warnings
    assert "--replace" not in note
    assert 'mode = "existing"' in note
    assert "stop the programs there and move the file away" in note


def test_options_of_supervisord_become_keys(tmp_path: Path) -> None:
    options = (
        "stopwaitsecs = 1800\nautostart = false\nstartsecs = 20\numask = 027\nstdout_logfile_maxbytes = 20MB\n"
        "stdout_logfile_backups = 3\npriority = 5\nstdout_syslog = true\nautorestart = true\nstopasgroup = false\n"
    )
    draft = read(tmp_path, program(options, f"{WORKER} -Q crop,default -c 2 -E -n crop@%%h --time-limit=60"))
    [worker] = loaded(draft, tmp_path).programs
    assert (worker.stop_timeout_seconds, worker.autostart, worker.start_seconds, worker.umask) == (
        1800,
        False,
        20,
        0o27,
    )
    assert (worker.log_max_mib, worker.log_backups) == (20, 3)
    assert worker.supervisor_options == {"priority": "5", "stdout_syslog": "true"}
    assert isinstance(worker.options, Worker)
    assert worker.options.queues == ("crop", "default")
    assert (worker.options.concurrency, worker.options.events, worker.options.node_name) == (2, True, "crop@%h")
    assert worker.options.time_limit_seconds == 60
    assert not_imported(draft) == {}


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("stopasgroup = true", "kills the tasks that they run"),
        ("killasgroup = false", "leaves its pool processes behind"),
        ("autorestart = unexpected", "must be restarted, whatever its exit status"),
        ("stopsignal = QUIT", "procman relies on TERM"),
        ("startsecs = 1", "would count as started"),
        ("startretries = 3", "so that the broker can recover"),
        ("group = www-data", "unknown option, which supervisord ignores"),
        ("stdout_logfile_maxbytes = 0", "fills the disk"),
        ("stopwaitsecs = soon", "stop_timeout_seconds cannot have this value"),
        ("stdout_capture_maxbytes = lots", "expected a number of bytes"),
    ],
)
def test_option_is_not_imported_with_the_reason(tmp_path: Path, option: str, reason: str) -> None:
    draft = read(tmp_path, program(option))
    assert reason in not_imported(draft)[f"[program:catmaid-celery] {option}"]
    loaded(draft, tmp_path)


@pytest.mark.parametrize(
    ("seconds", "becomes", "is_noted"), [(10, 600, True), (599, 600, True), (600, 600, False), (1800, 1800, False)]
)
def test_stop_timeout_shorter_than_the_default_is_not_imported(
    tmp_path: Path, seconds: int, becomes: int, is_noted: bool
) -> None:
    draft = read(tmp_path, program(f"stopwaitsecs = {seconds}"))
    assert [each.stop_timeout_seconds for each in loaded(draft, tmp_path).programs] == [becomes]
    note = f"supervisord killed running tasks after {seconds} s; procman waits 600 s"
    changed = Discovery("changed", f"[program:catmaid-celery] stopwaitsecs = {seconds}", note)
    assert (changed in draft.findings) == is_noted


def test_variables_become_keys_and_environment(tmp_path: Path) -> None:
    environment = (
        'environment = DJANGO_SETTINGS_MODULE="mysite.production",PYTHONPATH="/srv:/srv/lib:",HOME="/root",'
        'C_FORCE_ROOT="1",OMP_NUM_THREADS="2",PATH="/env/bin:/usr/bin:/opt/tools/bin"'
    )
    draft = read(tmp_path, program(environment))
    project = loaded(draft, tmp_path)
    assert (project.settings, project.python_path) == ("mysite.production", (Path("/srv/lib"),))
    assert project.programs[0].environment == {"OMP_NUM_THREADS": "2", "PATH": "/usr/bin:/opt/tools/bin"}
    assert "should not run as root" in not_imported(draft)["[program:catmaid-celery] C_FORCE_ROOT"]


def test_variables_of_all_programs_are_moved_to_environment(tmp_path: Path) -> None:
    both = program('environment = A="1",B="2"') + program('environment = A="1",B="3"', name="catmaid-crop")
    draft = read(tmp_path, both)
    assert draft.tables["environment"] == {"A": "1"}
    crop, celery = sorted(loaded(draft, tmp_path).programs, key=lambda each: each.environment["B"], reverse=True)
    assert (celery.environment, crop.environment) == ({"A": "1", "B": "2"}, {"A": "1", "B": "3"})


def test_secrets_are_kept_for_the_environment_file(tmp_path: Path) -> None:
    options = 'environment = PGPASSWORD="hunter22",API_TOKEN="hunter22",A="1"'
    command = f"{WORKER} -b amqp://me:hunter22@host// --result-backend=redis://:hunter22@host --my-token=hunter22"
    draft = read(tmp_path, program(f"{options}\nbroker = amqp://me:hunter22@host//", command))
    assert draft.secrets == {
        "PGPASSWORD": "hunter22",
        "API_TOKEN": "hunter22",
        "CELERY_BROKER_URL": "amqp://me:hunter22@host//",
        "CELERY_RESULT_BACKEND": "redis://:hunter22@host",
    }
    assert "hunter22" not in repr(draft) + text_of(draft)
    assert draft.tables["environment"] == {"A": "1"}
    assert "[program:catmaid-celery] --my-token" in not_imported(draft)
    note = "it becomes the variable CELERY_BROKER_URL, because every user can read command lines"
    assert Discovery("changed", "[program:catmaid-celery] -b", note) in draft.findings


def test_programs_with_different_secrets_get_the_first(tmp_path: Path) -> None:
    both = program('environment = API_TOKEN="hunter21"') + program('environment = API_TOKEN="hunter22"', name="x-crop")
    draft = read(tmp_path, both)
    assert draft.secrets == {"API_TOKEN": "hunter21"}
    assert any("[program:x-crop] has a different API_TOKEN" in warning for warning in draft.warnings)
    assert "hunter2" not in repr(draft)


def test_secret_that_no_environment_file_can_contain_is_not_imported(tmp_path: Path) -> None:
    draft = read(tmp_path, program('environment = API-TOKEN="hunter22",PROCMAN_SECRET="hunter22"'))
    assert draft.secrets == {}
    assert {"[program:catmaid-celery] API-TOKEN", "[program:catmaid-celery] PROCMAN_SECRET"} <= not_imported(
        draft
    ).keys()


@pytest.mark.parametrize(
    ("names", "project", "programs"),
    [
        (["shop-celery", "shop-celery-beat"], "shop", ["shop-celery", "shop-celery-beat"]),
        (["shop-server-celery"], "shop-server", ["shop-server-celery"]),
        (["shop_worker", "shop_beat"], None, []),
        (["shop-worker"], "shop", ["shop-worker"]),
    ],
)
def test_project_is_named_after_its_programs(
    tmp_path: Path, names: list[str], project: str | None, programs: list[str]
) -> None:
    commands = {name: "/env/bin/celery -A x beat" if name.endswith("beat") else WORKER for name in names}
    draft = read(tmp_path, "".join(program("", command, name) for name, command in commands.items()))
    assert draft.text("project", "name") == project
    if project:
        assert [each.name for each in loaded(draft, tmp_path).programs] == programs


def test_new_name_of_a_program_is_reported(tmp_path: Path) -> None:
    draft = read(tmp_path, program("", name="Old_Worker"), "shop")
    assert [each.name for each in loaded(draft, tmp_path).programs] == ["shop-old-worker"]
    note = "its new name is shop-old-worker"
    assert Discovery("imported", "[program:Old_Worker] becomes [worker.old-worker]", note) in draft.findings


def test_new_name_has_a_placeholder_while_the_name_of_the_project_is_unknown(tmp_path: Path) -> None:
    draft = read(tmp_path, program("", name="legacy"))
    found = Discovery("imported", "[program:legacy] becomes [worker.legacy]", "its new name is NAME-legacy")
    assert found in draft.findings


def test_several_processes_become_instances(tmp_path: Path) -> None:
    options = "numprocs = 3\nprocess_name = %(program_name)s_%(process_num)02d"
    draft = read(tmp_path, program(options, f"{WORKER} -n w%(process_num)s@%%h"))
    programs = loaded(draft, tmp_path).programs
    assert [each.name for each in programs] == ["catmaid-celery-1", "catmaid-celery-2", "catmaid-celery-3"]
    names = [each.options.node_name for each in programs if isinstance(each.options, Worker)]
    assert names == ["catmaid-celery-1@%h", "catmaid-celery-2@%h", "catmaid-celery-3@%h"]


def test_beat_inside_a_worker_becomes_a_beat(tmp_path: Path) -> None:
    draft = read(tmp_path, program("", f"{WORKER} -B -s /var/lib/x/schedule"))
    worker, beat = loaded(draft, tmp_path).programs
    assert (worker.name, beat.name) == ("catmaid-celery", "catmaid-celery-beat")
    assert isinstance(beat.options, Beat)
    assert beat.options.schedule_file == Path("/var/lib/x/schedule")


@pytest.mark.parametrize(("place", "is_kept"), [("/var/tmp/x", True), ("/tmp/x", False), ("/dev/shm/x", False)])
def test_schedule_is_not_imported_only_if_a_boot_removes_it(tmp_path: Path, place: str, is_kept: bool) -> None:
    draft = read(tmp_path, program("", f"{WORKER} -B -s {place}/schedule"))
    assert (draft.tables["beat"].get("schedule_file") is not None) == is_kept
    assert any(f"schedule in {place}" in what for what in not_imported(draft)) != is_kept


def test_old_directory_of_the_schedule_is_reported(tmp_path: Path) -> None:
    draft = read(tmp_path, program("", "/env/bin/celery -A mysite beat", "catmaid-celery-beat"))
    assert "copy the file there" in not_imported(draft)["[program:catmaid-celery-beat] schedule in /srv"]


def test_second_beat_is_not_imported(tmp_path: Path) -> None:
    beat = "/env/bin/celery -A mysite beat"
    draft = read(tmp_path, program("", beat, "catmaid-celery-beat") + program("", beat, "catmaid-beat2"))
    assert len(loaded(draft, tmp_path).programs) == 1
    assert any(
        "[program:catmaid-beat2] is a second beat, which would send every task twice" in text for text in draft.warnings
    )


def test_programs_of_different_users_are_reported(tmp_path: Path) -> None:
    draft = read(tmp_path, program("") + program("", name="catmaid-crop").replace("www-data", "crop"))
    assert loaded(draft, tmp_path).user == "www-data"
    assert (
        "[program:catmaid-crop] has a different user, crop: a project has only one, and www-data is used"
        in draft.warnings
    )


def test_duplicate_section_is_one_program(tmp_path: Path) -> None:
    draft = read(tmp_path, program("stopwaitsecs = 5") + "[program:catmaid-celery]\nstopwaitsecs = 700\n")
    assert [each.stop_timeout_seconds for each in loaded(draft, tmp_path).programs] == [700]


@pytest.mark.parametrize("command", ["{script}", "/bin/bash {script}", "sh -e {script}"])
def test_start_script_is_read_with_and_without_a_shell(tmp_path: Path, command: str) -> None:
    script = tmp_path / "run celery.sh"
    script.write_text(SEED.replace("exec celery", "umask 027\ncelery").rstrip() + " -c 3 >> /var/log/x 2>&1\n")
    script = script.rename(tmp_path / "run.sh")
    draft = read(tmp_path, program("", command.format(script=script)))
    project = loaded(draft, tmp_path)
    assert project.directory == Path("/opt/catmaid/django/projects")
    assert project.programs[0].umask == 0o27
    assert "a stop reached only the shell" in not_imported(draft)["[program:catmaid-celery] a shell without exec"]
    assert {"[program:catmaid-celery] 2>&1", "[program:catmaid-celery] >> /var/log/x"} <= set(not_imported(draft))


def test_script_on_the_command_line_is_read(tmp_path: Path) -> None:
    draft = read(tmp_path, program("", "bash -c 'cd /opt/x && exec /env/bin/celery -A mysite worker -c 2'"))
    project = loaded(draft, tmp_path)
    assert project.directory == Path("/opt/x")
    assert isinstance(project.programs[0].options, Worker)
    assert project.programs[0].options.concurrency == 2


def test_variable_with_a_control_character_is_not_imported(tmp_path: Path) -> None:
    draft = read(tmp_path, program('environment = A="x\ty",B="1"'))
    assert loaded(draft, tmp_path).programs[0].environment == {"B": "1"}
    assert not_imported(draft) == {"[program:catmaid-celery] A": "its value contains a tab"}


@pytest.mark.parametrize("kind", ["fifo", "directory", "program", "missing", "huge"])
def test_unreadable_start_script_is_ignored(tmp_path: Path, kind: str) -> None:
    script = tmp_path / "celery-start"
    match kind:
        case "fifo":
            os.mkfifo(script)
        case "directory":
            script.mkdir()
        case "program":
            script.write_bytes(b"\x7fELF\0celery worker")
        case "huge":
            script.write_text("exec celery -A x worker\n" + "#" * LONGEST_SCRIPT)
    assert read(tmp_path, program("", str(script))).tables == {"project": {}}


def test_unsupported_syntax_is_reported(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\n. /etc/catmaid/env\nexec celery -A mysite worker -c $(nproc)\n")
    draft = read(tmp_path, program("", str(script)) + program("", "%(ENV_HOME)s/celery worker", "other"))
    where = "the start script of [program:catmaid-celery]"
    assert draft.warnings[:3] == [
        f"{where}, line 2: it reads /etc/catmaid/env, which may set unknown variables",
        f"{where}, line 3: `exec celery -A mysite worker -c $(nproc)` needs a shell to evaluate",
        f"{where}: no Celery worker or beat found",
    ]
    [problem] = [warning for warning in draft.warnings if "cannot parse [program:other]" in warning]
    assert problem.endswith("'command' contains names ('ENV_HOME') which cannot be expanded"), "without its value"
    assert "old.conf: no Celery worker or beat found" in draft.warnings[4]


def test_file_without_celery_imports_nothing(tmp_path: Path) -> None:
    draft = read(tmp_path, "[program:web]\ncommand = /bin/web\n")
    assert draft.tables == {"project": {}}
    assert draft.warnings == [f"{tmp_path}/old.conf: no Celery worker or beat found"]
