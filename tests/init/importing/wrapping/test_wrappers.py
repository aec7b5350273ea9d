"""Each wrapper in front of Celery becomes a key, or is left out or refused with the reason; nothing is run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from procman.init.importing.readers.read_supervisord import read
from procman.init.importing.understand import Understood, understood
from procman.init.virtualenvs import path_hash
from procman.model import Kind
from tests.tables import for_each

PLACE = "/etc/supervisor/conf.d/shop.conf:2"
CELERY = "/opt/shop/env/bin/celery -A shop worker -Q mail"
PYTHON = "/opt/shop/env/bin/python"


def of(line: str, directory: Path = Path("/opt/shop/src"), **environment: str) -> Understood:
    return understood(shlex.split(line), environment, directory, place=PLACE)


def is_the_worker(found: Understood) -> bool:
    """Return whether the worker of CELERY was found, with everything that its command line sets."""
    command = found.command
    return command is not None and (command.kind.value, command.project.get("app"), command.values) == (
        "worker",
        "shop",
        {"queues": ["mail"]},
    )


@for_each(
    ("line", "wrapper"),
    [
        ("ddtrace-run {}", ["ddtrace-run"]),
        ("/opt/shop/env/bin/ddtrace-run -p {}", ["ddtrace-run", "-p"]),
        ("/opt/other/bin/ddtrace-run {}", ["/opt/other/bin/ddtrace-run"]),
        ("newrelic-admin run-program {}", ["newrelic-admin", "run-program"]),
        ("newrelic-admin run-python -m celery -A shop worker -Q mail", ["newrelic-admin", "run-program"]),
        ("opentelemetry-instrument --service_name shop {}", ["opentelemetry-instrument", "--service_name", "shop"]),
        ("newrelic-admin run-program ddtrace-run {}", ["newrelic-admin", "run-program", "ddtrace-run"]),
        ("stdbuf -o L -- {}", ["stdbuf", "-o", "L", "--"]),
        ("ionice -c2 -n 7 {}", ["ionice", "-c2", "-n", "7"]),
        ("taskset -c 0-3 {}", ["taskset", "-c", "0-3"]),
        ("chrt -b 0 {}", ["chrt", "-b", "0"]),
        ("setpriv --no-new-privs {}", ["setpriv", "--no-new-privs"]),
    ],
)
def test_wrapper_that_execs_becomes_the_key(line: str, wrapper: list[str]) -> None:
    found = of(line.format(CELERY))
    assert is_the_worker(found)
    assert list(found.wrapper) == wrapper
    assert found.remarks == ()


@for_each(
    ("line", "fields"),
    [
        ("nice {}", {"values": {"nice": 10}}),
        ("nice -n 5 {}", {"values": {"nice": 5}}),
        ("nice -n5 {}", {"values": {"nice": 5}}),
        ("nice -5 {}", {"values": {"nice": 5}}),
        ("nice --adjustment=-3 {}", {"values": {"nice": -3}}),
        ("nice -n 4 nice -n 3 {}", {"values": {"nice": 7}}),
        ("gosu mail {}", {"user": "mail"}),
        ("gosu mail:adm {}", {"user": "mail", "group": "adm"}),
        ("su-exec mail {}", {"user": "mail"}),
        ("setuidgid mail {}", {"user": "mail"}),
        ("chpst -u mail:adm -n 4 {}", {"user": "mail", "group": "adm", "values": {"nice": 4}}),
        ("setpriv --reuid=mail --regid adm --init-groups {}", {"user": "mail", "group": "adm"}),
        ("sudo -E -u mail -g adm {}", {"user": "mail", "group": "adm"}),
        ("runuser -u mail -- {}", {"user": "mail"}),
        ("runuser mail -c '{}'", {"user": "mail"}),
        ("su -s /bin/sh -c 'exec {}' mail", {"user": "mail"}),
        ("su - mail -c 'exec {}'", {"user": "mail"}),
        ("env A=1 B='x y' {}", {"environment": {"A": "1", "B": "x y", "OLD": "1"}}),
        ("env -u OLD A=1 {}", {"environment": {"A": "1"}}),
        ("env -i A=1 {}", {"environment": {"A": "1"}}),
        ("env -C /srv {}", {"directory": Path("/srv")}),
        ("/usr/bin/env -S '{}'", {}),
        ("exec {}", {}),
        ("newrelic-admin run-program gosu mail nice -n 2 {}", {"user": "mail", "values": {"nice": 2}}),
    ],
)
def test_wrapper_with_a_key_of_its_own_becomes_that_key(line: str, fields: dict[str, Any]) -> None:
    expected = {"user": None, "group": None, "values": {}, "environment": {"OLD": "1"}} | fields
    found = of(line.format(CELERY), OLD="1")
    assert is_the_worker(found)
    assert {name: getattr(found, name) for name in expected} == expected


@for_each(
    ("line", "shown", "consequence"),
    [
        ("timeout -k 5 --preserve-status 86400 {}", "timeout -k 5 --preserve-status 86400", "max_tasks_per_child"),
        ("flock -n -w 3 /run/celery {}", "flock -n -w 3 /run/celery", "the launcher's own lock"),
        ("flock /run/x -c 'exec {}'", "flock /run/x", "the launcher's own lock"),
        ("single-beat {}", "single-beat", "if several hosts run this beat, enable it on one of them"),
        ("dumb-init -- {}", "dumb-init --", "signals its main process"),
        ("tini -g -- {}", "tini -g --", "signals its main process"),
        ("catchsegv {}", "catchsegv", "PYTHONFAULTHANDLER=1"),
        ("nohup {}", "nohup", "without a terminal"),
        ("watchmedo auto-restart -d . -p '*.py' -- {}", "watchmedo auto-restart -d . -p *.py --", "even during a task"),
        ("dockerize -wait tcp://db:1 {}", "dockerize -wait tcp://db:1", "wait for their broker themselves"),
    ],
)
def test_wrapper_that_procman_replaces_is_left_out_with_the_reason(line: str, shown: str, consequence: str) -> None:
    found = of(line.format(CELERY))
    assert is_the_worker(found)
    assert found.wrapper == ()
    remark = found.remarks[0]
    assert (remark.place, remark.what) == (PLACE, shown)
    assert consequence in remark.consequence


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("xvfb-run -a {}", "xvfb-run: it stays as the parent of Celery"),
        ("chroot /srv/jail {}", "chroot: procman does not start programs in another root directory"),
        ("docker run --rm shop {}", "docker: it starts Celery in a container"),
        ("/srv/env/bin/airflow celery worker -q high", "airflow: its worker also serves logs"),
        ("gosu mail xvfb-run {}", "run Xvfb as a [command] of its own"),
    ],
)
def test_wrapper_without_a_counterpart_is_refused_with_the_reason(line: str, reason: str) -> None:
    found = of(line.format(CELERY))
    assert found.command is None
    assert reason in found.problem


def test_start_script_that_cannot_be_read_is_no_command_line_of_the_project() -> None:
    found = of("/srv/bin/run.sh celery worker")
    assert found.command
    assert (found.wrapper, found.command.project) == (("/srv/bin/run.sh",), {})


def test_unknown_wrapper_becomes_the_key_and_is_left_to_the_check() -> None:
    found = of(f"/usr/local/bin/with-secrets --path celery {CELERY}")
    assert is_the_worker(found)
    assert found.wrapper == ("/usr/local/bin/with-secrets", "--path", "celery")
    [remark] = found.remarks
    assert remark.doubtful
    assert "PM788" in remark.consequence


def test_program_that_loads_celery_as_a_module_is_left_out() -> None:
    found = of("coverage run -m celery -A shop worker -Q mail")
    assert (found.command and found.command.values, found.wrapper) == ({"queues": ["mail"]}, ())
    [remark] = found.remarks
    assert (remark.what, remark.doubtful) == ("coverage run -m", True)


def test_unknown_wrapper_with_a_password_is_only_left_out() -> None:
    found = of(f"with-secrets --token=hunter22 -- {CELERY}")
    assert found.wrapper == ()
    [remark] = found.remarks
    assert "it is left out" in remark.consequence
    assert "hunter22" not in repr(found)


def test_password_of_a_wrapper_is_neither_kept_nor_shown() -> None:
    found = of(f"opentelemetry-instrument --exporter_otlp_endpoint https://me:hunter22@collector {CELERY}")
    assert is_the_worker(found)
    assert found.wrapper == ()
    assert "hunter22" not in str(found)
    assert "set a variable in the environment file" in found.remarks[0].consequence


def test_wrapper_in_a_start_script_and_around_it(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text(f'#!/bin/sh\ncd /srv\nexport A=1\nexec newrelic-admin run-program {CELERY} "$@"\n')
    found = of(f"gosu mail nice -n 3 {script} -c 4")
    assert found.command
    assert found.command.values == {"queues": ["mail"], "concurrency": 4}
    assert (found.wrapper, found.user, found.values) == (("newrelic-admin", "run-program"), "mail", {"nice": 3})
    assert (found.directory, found.environment) == (Path("/srv"), {"A": "1"})


@pytest.mark.parametrize(
    "line", ["nice -n 5 uwsgi --ini x", "timeout 5 daphne", "python manage.py runserver", "", "env"]
)
def test_program_that_does_not_start_celery_keeps_its_words(line: str) -> None:
    found = of(line)
    assert (found.words, found.command, found.problem, found.remarks) == (tuple(shlex.split(line)), None, "", ())


@pytest.mark.parametrize(
    "words", [["\0"], ["nice", "-n", "x"], ["gosu"], ["su"], ["env", "-S", "'"], ["uv", "run"], ["chpst"]]
)
def test_malformed_command_is_none_of_celery(words: list[str]) -> None:
    assert understood(words, {}, None, place=PLACE).command is None


def test_endless_wrappers_end() -> None:
    assert of("nice " * 5000 + CELERY).command is None


# Python and the project's own command lines --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ("", {}),
        ("-u", {}),
        ("-B -O", {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONOPTIMIZE": "1"}),
        ("-OO", {"PYTHONOPTIMIZE": "2"}),
        ("-W error -Wignore::DeprecationWarning", {"PYTHONWARNINGS": "error,ignore::DeprecationWarning"}),
        ("-X dev -X tracemalloc=5", {"PYTHONDEVMODE": "1", "PYTHONTRACEMALLOC": "5"}),
    ],
)
@pytest.mark.parametrize("started", ["-m celery", "/opt/shop/env/bin/celery"])
def test_options_of_python_become_variables(options: str, variables: dict[str, str], started: str) -> None:
    found = of(f"{PYTHON} {options} {started} -A shop worker -Q mail")
    assert is_the_worker(found)
    assert found.command
    assert found.command.project["virtualenv"] == "/opt/shop/env"
    assert found.environment == variables
    assert found.remarks == ()


def test_option_of_python_without_a_variable_is_reported() -> None:
    [remark] = of(f"{PYTHON} -I -m celery -A shop worker -Q mail").remarks
    assert (remark.what, remark.consequence) == ("python -I", "the launcher starts Python without options")


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        (f"{PYTHON} manage.py celery worker -Q mail", None),
        (f"{PYTHON} -u manage.py celery --settings=x.settings worker -Q mail", "x.settings"),
        (f"{PYTHON} manage.py celeryd -Q mail --traceback", None),
        ("/opt/shop/env/bin/nautobot-server celery worker -Q mail", None),
        ("/opt/shop/env/bin/nautobot-server --config /etc/x celery worker -Q mail", None),
        ("ddtrace-run /opt/shop/env/bin/django-admin celery worker -Q mail --settings x.settings", "x.settings"),
    ],
)
def test_app_of_the_projects_own_command_line_is_left_open(line: str, settings: str | None) -> None:
    found = of(line)
    assert found.command
    assert (found.command.project, found.command.values) == ({"virtualenv": "/opt/shop/env"}, {"queues": ["mail"]})
    [remark] = found.remarks
    assert remark.doubtful
    assert "needs the app that this command loads" in remark.consequence
    assert found.environment.get("DJANGO_SETTINGS_MODULE") == settings


def test_settings_are_those_of_manage_py_unless_a_variable_names_others(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n')
    line = f"{PYTHON} manage.py celery worker"
    assert of(line, tmp_path).environment == {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    own = {"DJANGO_SETTINGS_MODULE": "shop.production"}
    assert of(line, tmp_path, **own).environment == own


# uv, poetry, pipenv and conda ----------------------------------------------------------------------------------------


def virtualenv(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "pyvenv.cfg").touch()
    (directory / "conda-meta").mkdir()
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "code"
    (project / "src").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "My.Shop"\n')
    (project / "Pipfile").touch()
    return project


RUN = "celery -A shop worker -Q mail"


@pytest.mark.parametrize(
    "runner", ["/usr/local/bin/uv run --frozen", "uv run --no-sync --", "poetry run", "pipenv run"]
)
def test_virtualenv_beside_the_project_is_found(project: Path, runner: str) -> None:
    own = virtualenv(project / ".venv")
    found = of(f"{runner} {RUN}", project / "src")
    assert is_the_worker(found)
    assert found.command
    assert found.command.project["virtualenv"] == str(own)
    [remark] = found.remarks
    assert (remark.changed, str(own) in remark.consequence) == (True, True)


def test_directories_and_files_of_uv_are_kept(project: Path) -> None:
    own = virtualenv(project / "venv")
    line = f"uv run --directory {project}/src --env-file .env --env-file=/etc/shop.env --with flower python -m {RUN}"
    found = of(line, Path("/"), UV_PROJECT_ENVIRONMENT="venv")
    assert found.command
    assert found.command.project["virtualenv"] == str(own)
    assert found.directory == project / "src"
    assert found.environment_files == (project / "src/.env", Path("/etc/shop.env"))
    assert "uv installs flower at each start" in found.remarks[0].consequence


def test_hash_is_the_one_in_the_names_of_poetry_and_pipenv() -> None:
    """As poetry 2.5.1 and pipenv 2026.10.3 named the virtualenvs of these paths."""
    assert path_hash("/tmp/wr/proj") == "Zca02Xh5"
    assert path_hash("/tmp/wr/proj/Pipfile") == "ssNJrSr3"


@pytest.mark.parametrize(
    ("runner", "place", "hashed"),
    [
        ("poetry run", ".cache/pypoetry/virtualenvs/my-shop-{}-py3.11", "{project}"),
        ("pipenv run", ".local/share/virtualenvs/code-{}", "{project}/Pipfile"),
    ],
)
def test_virtualenv_is_found_by_the_name_that_its_tool_gives_it(
    project: Path, runner: str, place: str, hashed: str
) -> None:
    own = virtualenv(project.parent / place.format(path_hash(hashed.format(project=project))))
    found = of(f"{runner} {RUN}", project, HOME=str(project.parent))
    assert found.command
    assert found.command.project["virtualenv"] == str(own)


def test_pipenv_reads_the_variables_beside_the_pipfile(project: Path) -> None:
    (project / ".env").touch()
    assert of(f"pipenv run {RUN}", project).environment_files == (project / ".env",)


@pytest.mark.parametrize("option", ["-n shop", "--name=shop", "-p {root}/envs/shop"])
def test_environment_of_conda_is_found(tmp_path: Path, option: str) -> None:
    own = virtualenv(tmp_path / "envs/shop")
    line = f"{tmp_path}/bin/conda run --no-capture-output {option.format(root=tmp_path)} --cwd /srv {RUN}"
    found = of(line)
    assert is_the_worker(found)
    assert found.command
    assert found.command.project["virtualenv"] == str(own)
    assert found.directory == Path("/srv")


@pytest.mark.parametrize("runner", ["uv run", "poetry run", "pipenv run", "conda run -n shop"])
def test_virtualenv_that_is_not_found_is_asked_for(tmp_path: Path, runner: str) -> None:
    found = of(f"{runner} {RUN}", tmp_path, HOME=str(tmp_path))
    assert is_the_worker(found)
    assert found.command
    assert "virtualenv" not in found.command.project
    assert [remark.consequence for remark in found.remarks if remark.doubtful] == [
        "its virtualenv was not found here: set the key virtualenv to it"
    ]


def test_every_program_of_a_file_keeps_its_queue_behind_its_wrapper(tmp_path: Path) -> None:
    commands = {
        "one": "ddtrace-run {}",
        "two": "newrelic-admin run-program {}",
        "three": "/usr/local/bin/uv run --env-file .env celery -A shop worker",
        "four": "gosu www-data {}",
        "five": "timeout 86400 {}",
        "six": f"{PYTHON} manage.py celery worker",
        "seven": "flock -n /run/shop/w7 {}",
    }
    sections = [
        f"[program:{name}]\ncommand={line.format('/opt/shop/env/bin/celery -A shop worker')} -Q {name}\n"
        for name, line in commands.items()
    ]
    file = tmp_path / "shop.conf"
    file.write_text("".join(sections) + "[program:beat]\ncommand=single-beat /opt/shop/env/bin/celery -A shop beat\n")
    *workers, beat = read([file], {}, tmp_path).programs
    assert [each.command and each.command.values["queues"] for each in workers] == [[name] for name in commands]
    assert [each.wrapper for each in workers] == [("ddtrace-run",), ("newrelic-admin", "run-program"), *[()] * 5]
    assert [each.user for each in workers] == [None, None, None, "www-data", None, None, None]
    assert beat.command
    assert beat.command.kind is Kind.BEAT


def test_files_of_this_host_are_not_those_of_a_container(project: Path) -> None:
    virtualenv(project / ".venv")
    (project / ".env").touch()
    found = understood(shlex.split(f"tini -- pipenv run {RUN}"), {}, project, place=PLACE, sees_files=False)
    assert is_the_worker(found)
    assert found.command
    assert "virtualenv" not in found.command.project
    assert found.environment_files == ()


def test_entry_point_of_an_image_is_left_out() -> None:
    line = f"/entrypoint.sh {RUN}"
    found = understood(shlex.split(line), {}, Path("/app"), place=PLACE, sees_files=False)
    assert is_the_worker(found)
    assert (found.wrapper, found.remarks[0].what) == ((), "/entrypoint.sh")
