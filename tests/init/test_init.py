"""`procman init` as a whole: a real project with its own Python and Celery, and the files of a host."""

from __future__ import annotations

import errno
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from procman.config.load import load
from procman.config.schema import schema
from procman.errors import ConfigurationError, ProcmanError
from procman.init import health_key
from procman.init.init import InitReport, NewProject, init
from procman.init.write_file import write
from procman.model import Scope, SupervisorMode
from procman.output.init_report import report_lines
from procman.project import Beat, Project, Worker
from tests.celery_cli.test_read_start_script import SEED
from tests.django_projects import DEMO, make_project
from tests.reachable import IS_ROOT, SOMEBODY, as_somebody, public_directory

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.celery

USER = SOMEBODY if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def virtualenv(reachable_python: Path) -> Path:
    return reachable_python.parent.parent


@pytest.fixture(autouse=True)
def trusted_procman(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let root run this procman, whoever owns the checkout."""
    monkeypatch.setattr(health_key, "command_trust_problems", lambda command: [])


@pytest.fixture
def top() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


@pytest.fixture
def catmaid(top: Path, virtualenv: Path) -> Path:
    """Return the directory of a project with CATMAID's layout, with the virtualenv at django/env."""
    (top / "catmaid" / "django").mkdir(parents=True)
    (top / "catmaid" / "django" / "env").symlink_to(virtualenv)
    return top / "catmaid"


def make(catmaid: Path, settings: str = "") -> Path:
    return make_project(catmaid / "django" / "projects", settings, package="mysite")


def run_init(directory: Path, **how: Any) -> NewProject:
    how.setdefault("environment", {})
    how.setdefault("root", directory.parent / "root")
    if how.setdefault("scope", Scope.SYSTEM) is Scope.SYSTEM:
        how.setdefault("user", USER)
    [project] = init(directory, **how).projects
    return project


def loaded(report: NewProject, top: Path) -> Project:
    file = top / "procman.toml"
    file.write_text(report.text)
    return load(file, {"HOME": "/home/x"})


def found(report: NewProject, what: str) -> list[str]:
    return [finding.value for finding in report.findings if finding.what == what]


def test_project_with_catmaids_layout(catmaid: Path, top: Path) -> None:
    media = top / "media"
    media.mkdir()
    projects = make(
        catmaid,
        "CELERY_BROKER_URL = 'amqp://guest:guest@localhost:5672/'\n"
        "CELERY_BEAT_SCHEDULE = {'nightly': {'task': 'x', 'schedule': 86400}}\n"
        f"MEDIA_ROOT = '{media}'\nTMP_DIR = '{media}/crops'\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'HOST': 'localhost'},\n"
        "    'archive': {'ENGINE': 'django.db.backends.mysql', 'HOST': '192.0.2.1'}}\n",
    )
    units, main = top / "root/lib/systemd/system", top / "root/etc/supervisor/supervisord.conf"
    for directory in (units, main.parent, top / "root/run/systemd/system"):
        directory.mkdir(parents=True)
    for name in ("rabbitmq-server", "postgresql", "postgresql@", "mariadb", "redis-server"):
        (units / f"{name}.service").touch()
    main.write_text("[unix_http_server]\nfile=/run/supervisor.sock\n[include]\nfiles = conf.d/*.conf\n")
    report = run_init(catmaid)
    assert (report.fill_in, report.warnings) == ((), ())
    project = loaded(report, top)
    assert (project.name, project.app, project.settings) == ("catmaid", "mysite", "mysite.settings")
    assert (project.directory, project.virtualenv) == (projects, catmaid / "django" / "env")
    assert (project.user, project.scope) == (USER, Scope.SYSTEM)
    assert project.after == ("rabbitmq-server.service", "postgresql.service")
    assert "postgresql.service: database default" in " ".join(report.text.split()).replace(" # ", " ")
    assert project.writable_paths == (media,)
    assert (project.supervisor.mode, project.supervisor.configuration) == (SupervisorMode.EXISTING, main)
    assert [program.name for program in project.programs] == ["catmaid-celery", "catmaid-celery-beat"]
    assert found(report, "broker") == ["amqp://guest:***@localhost:5672/"]
    assert found(report, "periodic task") == ["nightly"]
    assert re.match(r"Python 3\.\d+\.\d+, celery 5\.7\.0, ", found(report, "versions")[0])


def test_units_are_not_ordered_without_systemd(catmaid: Path, top: Path) -> None:
    make(catmaid, "CELERY_BROKER_URL = 'amqp://localhost'\n")
    units = top / "root/lib/systemd/system"
    units.mkdir(parents=True)
    (units / "rabbitmq-server.service").touch()
    assert loaded(run_init(catmaid), top).after == ()


def test_demo_needs_nothing_filled_in_and_fits_the_schema(top: Path, virtualenv: Path) -> None:
    shutil.copytree(DEMO, top / "demo", ignore=shutil.ignore_patterns("var", "__pycache__"))
    (top / "demo" / "var").mkdir()
    (top / "demo" / "var").chmod(0o777)
    (top / "demo" / "var" / "media").mkdir()
    report = run_init(top / "demo", name="catmaid", environment={"VIRTUAL_ENV": str(virtualenv)})
    assert (report.fill_in, report.warnings) == ((), ())
    errors = Draft202012Validator(schema()).iter_errors(tomllib.loads(report.text))
    assert [error.message for error in errors] == []
    project = loaded(report, top)
    assert [program.name for program in project.programs] == ["catmaid-celery", "catmaid-celery-beat"]
    assert project.writable_paths == (
        top / "demo/var/media",
        *(top / "demo/var/broker" / name for name in ("control", "messages", "processed")),
    )


def test_missing_directory_is_not_in_writable_paths_but_reported_with_the_remedy(catmaid: Path, top: Path) -> None:
    upload = top / "upload"
    upload.mkdir()
    make(catmaid, f"MEDIA_ROOT = '{top}/media'\nTMP_DIR = '{top}/media/crops'\nFILE_UPLOAD_TEMP_DIR = '{upload}'\n")
    report = run_init(catmaid)
    assert loaded(report, top).writable_paths == (upload,)
    [note] = report.warnings
    assert f"{top}/media (MEDIA_ROOT) does not exist" in note
    assert "create it and add it there" in note


def test_user_scope_names_no_user(catmaid: Path, top: Path) -> None:
    make(catmaid)
    report = run_init(catmaid, scope=Scope.USER)
    project = loaded(report, top)
    assert (project.scope, project.user) == (Scope.USER, None)
    assert any("run this command as the user of the programs" in warning for warning in report.warnings) == IS_ROOT
    assert project.supervisor.mode is SupervisorMode.EMBEDDED


@pytest.mark.root("needs files of several users")
def test_owner_of_the_project_becomes_the_user(catmaid: Path, top: Path) -> None:
    projects = make(catmaid, "import os\nMEDIA_ROOT = '/uid/%d' % os.geteuid()")
    uid = pwd.getpwnam(SOMEBODY).pw_uid
    os.chown(projects, uid, -1)
    report = run_init(catmaid, user=None)
    assert loaded(report, top).user == SOMEBODY
    assert any(f"/uid/{uid} (MEDIA_ROOT)" in warning for warning in report.warnings)
    assert f"# The owner of {projects}." in report.text


@pytest.mark.root("about root")
@pytest.mark.parametrize("user", [None, "root"])
def test_app_is_never_loaded_as_root(catmaid: Path, user: str | None) -> None:
    projects = make(catmaid)
    (projects / "mysite" / "settings.py").write_text(f"open({str(projects / 'loaded')!r}, 'w')")
    report = run_init(catmaid, user=user)
    assert any("refusing to load the app as root" in warning for warning in report.warnings)
    assert not (projects / "loaded").exists()
    if user is None:
        assert [reason.partition(":")[0] for reason in report.fill_in] == ["project.user"]
        assert '# user = "www-data"' in report.text
        assert any("name a user with --user, and overwrite" in warning for warning in report.warnings)


@pytest.mark.root("about root")
def test_user_who_does_not_exist_is_noted_once(catmaid: Path) -> None:
    make(catmaid)
    report = run_init(catmaid, user="missing")
    expected = (
        "user missing does not exist on this host, so the app is not loaded: create it, or name another with --user"
    )
    assert [warning for warning in report.warnings if "missing" in warning] == [expected]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("import sys; sys.exit(4)", "SystemExit: 4"),
        ("raise ValueError('not today')", "ValueError: not today"),
        (
            "INSTALLED_APPS = ['shop_search']",
            "No module named 'shop_search' (at {catmaid}/django/projects/mysite/settings.py:4)",
        ),
        ("import os; os._exit(3)", "exited with status 3"),
        ("import time; time.sleep(300)", "did not finish within 3 s"),
    ],
)
def test_broken_app_still_gives_a_usable_file(catmaid: Path, top: Path, settings: str, reason: str) -> None:
    make(catmaid, settings)
    report = run_init(catmaid, timeout=3 if "sleep" in settings else 30)
    [warning] = [each for each in report.warnings if reason.format(catmaid=catmaid) in each]
    assert "importlib" not in warning
    assert report.fill_in == ()
    assert [program.name for program in loaded(report, top).programs] == ["catmaid-celery"]


def test_output_of_the_settings_is_ignored(catmaid: Path, top: Path) -> None:
    make(catmaid, "print('[project]\\nname = \"evil\"')")
    report = run_init(catmaid)
    assert "evil" not in repr(report)
    assert loaded(report, top).name == "catmaid"


@pytest.mark.parametrize(
    "settings",
    [
        "CELERY_BROKER_URL = 'amqp://admin:hunter22-secret@localhost//'",
        "CELERY_BROKER_URL = 'amqp://admin:hunter22-secret@localhost//'\nraise ValueError(CELERY_BROKER_URL)",
        "API_TOKEN = 'hunter22-secret'\nMEDIA_ROOT = '/srv/' + API_TOKEN",
        "API_TOKEN = 'hunter22-secret'\nCELERY_TASK_DEFAULT_QUEUE = API_TOKEN",
    ],
)
def test_no_secret_is_reported(catmaid: Path, settings: str) -> None:
    make(catmaid, settings)
    report = run_init(catmaid)
    assert "hunter22" not in repr(report)
    # A path with a hidden part is not usable.
    assert "***" not in report.text


def test_app_is_loaded_with_the_secrets_of_the_imported_file(catmaid: Path, top: Path) -> None:
    make(catmaid, "import os\nif os.environ['API_TOKEN']:\n    raise ValueError('x' + os.environ['API_TOKEN'])")
    old = top / "old.conf"
    python = catmaid / "django" / "env" / "bin" / "celery"
    environment = 'API_TOKEN="hunter22-secret"'
    old.write_text(f"[program:catmaid-celery]\ncommand = {python} -A mysite worker\nenvironment = {environment}\n")
    report = run_init(catmaid, sources=[str(old)], output=top / "procman.toml")
    assert any("ValueError" in warning for warning in report.warnings)
    assert "hunter22" not in repr(report)
    assert report.secrets == {"API_TOKEN": "hunter22-secret"}


def test_app_is_loaded_with_the_file_of_variables_of_an_imported_unit(catmaid: Path, top: Path) -> None:
    make(catmaid, "import os\nCELERY_TASK_DEFAULT_QUEUE = os.environ['QUEUE']")
    variables, unit = top / "site.env", top / "site.service"
    variables.write_text("QUEUE=crop\nAPI_TOKEN=hunter22-secret\n")
    celery = catmaid / "django" / "env" / "bin" / "celery"
    unit.write_text(f"[Service]\nUser={USER}\nEnvironmentFile={variables}\nExecStart={celery} -A mysite worker\n")
    report = run_init(catmaid, sources=[str(unit)], user=None)
    assert found(report, "queues") == ["crop"], report.warnings
    assert loaded(report, top).environment_file == variables
    assert "hunter22" not in repr(report)


def test_queues_of_the_app_and_of_its_routes_are_consumed(catmaid: Path, top: Path) -> None:
    make(
        catmaid,
        "from kombu import Queue\nCELERY_TASK_QUEUES = [Queue('celery'), Queue('slow')]\n"
        "CELERY_TASK_ROUTES = {'x.*': {'queue': 'crop'}}\n",
    )
    report = run_init(catmaid)
    [worker] = loaded(report, top).programs
    assert isinstance(worker.options, Worker)
    assert worker.options.queues == ("celery", "crop", "slow")
    assert "# The app routes tasks to crop, which no worker consumes by default." in report.text


def test_app_with_one_queue_needs_no_queues(catmaid: Path, top: Path) -> None:
    make(catmaid)
    report = run_init(catmaid)
    [worker] = loaded(report, top).programs
    assert isinstance(worker.options, Worker)
    assert (worker.options.queues, worker.options.concurrency) == ((), None)
    assert '# queues = ["crop"]' in report.text


def test_scheduler_with_a_database_has_no_schedule_file(catmaid: Path, top: Path) -> None:
    make(catmaid, "CELERY_BEAT_SCHEDULER = 'django_celery_beat.schedulers:DatabaseScheduler'")
    _, beat = loaded(run_init(catmaid), top).programs
    assert isinstance(beat.options, Beat)
    assert beat.options.scheduler == "django_celery_beat.schedulers:DatabaseScheduler"
    assert beat.options.schedule_file is None


def test_stop_waits_longer_than_the_longest_task(catmaid: Path, top: Path) -> None:
    make(catmaid, "CELERY_TASK_TIME_LIMIT = 3600")
    assert [program.stop_timeout_seconds for program in loaded(run_init(catmaid), top).programs] == [3620]


def test_missing_client_library_is_reported(catmaid: Path) -> None:
    make(catmaid, "CELERY_BROKER_URL = 'redis://localhost'")
    report = run_init(catmaid)
    assert sum("pip install 'celery[redis]'" in line for line in report_lines(_report(report), None)) == 1


def _report(project: NewProject) -> InitReport:
    return InitReport((project,), Scope.SYSTEM)


@pytest.mark.parametrize(
    ("settings", "zone"),
    [
        ("TIME_ZONE = 'Europe/Berlin'", "Europe/Berlin"),
        ("TIME_ZONE = 'Europe/Berlin'\nCELERY_TIMEZONE = 'UTC'", "UTC"),
    ],
)
def test_schedule_is_shown_with_its_time_zone(catmaid: Path, settings: str, zone: str) -> None:
    nightly = "{'nightly': {'task': 'x', 'schedule': crontab(hour=3, minute=0)}}"
    make(catmaid, f"from celery.schedules import crontab\nCELERY_BEAT_SCHEDULE = {nightly}\n{settings}\n")
    report = run_init(catmaid)
    assert found(report, "time zone") == [zone]
    assert [each.note for each in report.findings if each.what == "periodic task"] == ["cron 0 3 * * *"]


def test_settings_that_the_app_sets_itself_are_reported(catmaid: Path) -> None:
    projects = make(catmaid)
    (projects / "mysite" / "other.py").write_text("CELERY_BROKER_URL = 'memory://'\n")
    app = projects / "mysite" / "celery.py"
    app.write_text(
        "import os\nother = 'mysite.other'\nos.environ['DJANGO_SETTINGS_MODULE'] = other\n" + app.read_text()
    )
    report = run_init(catmaid)
    assert found(report, "broker") == ["memory://"]
    assert any(
        "uses the settings mysite.other and ignores DJANGO_SETTINGS_MODULE" in warning for warning in report.warnings
    )


def test_unknown_values_have_to_be_filled_in(catmaid: Path, top: Path) -> None:
    make_project(catmaid / "one", "", package="one")
    make_project(catmaid / "two", "", package="two")
    report = run_init(catmaid)
    assert [line.partition(":")[0] for line in report.fill_in] == ["project.directory", "project.app"]
    assert f"{catmaid}/one, {catmaid}/two" in report.fill_in[0]
    with pytest.raises(ConfigurationError, match=r"project\.app: missing"):
        loaded(report, top)
    one = run_init(catmaid / "one", environment={"VIRTUAL_ENV": str(catmaid / "django" / "env")})
    assert loaded(one, top).app == "one"


@pytest.mark.parametrize(
    ("options", "problem"),
    [({}, "no manage.py and no Celery app found there or below"), ({"app": "tasks"}, "no module tasks found there")],
)
def test_directory_without_a_project_is_an_error(top: Path, options: dict[str, str], problem: str) -> None:
    (top / "empty" / "below").mkdir(parents=True)
    with pytest.raises(ProcmanError, match=rf"{top}/empty: {problem}") as error:
        run_init(top / "empty", **options)
    assert "procman init DIRECTORY" in error.value.hint


def test_options_override_findings(catmaid: Path, top: Path) -> None:
    projects = make(catmaid)
    (projects / "mysite" / "second.py").write_text("from mysite.celery import app as second\n")
    project = loaded(run_init(catmaid, name="images", app="mysite.second:second"), top)
    assert (project.name, project.app) == ("images", "mysite.second:second")


def test_all_invalid_options_are_reported(catmaid: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run_init(catmaid, name="No Name", app="-x")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["--name No Name", "--app -x"]


@pytest.mark.parametrize(
    ("path", "name"),
    [("opt/CATMAID_2/src", "catmaid-2"), ("opt/shop/django/projects", "shop"), ("opt/catmaid", "catmaid")],
)
def test_project_is_named_after_its_directory(top: Path, path: str, name: str) -> None:
    make_project(top / path, "", package="mysite")
    assert found(run_init(top / path), "name") == [name]


def test_existing_programs_are_imported_and_completed(catmaid: Path, top: Path, virtualenv: Path) -> None:
    projects = make(catmaid, "CELERY_BEAT_SCHEDULE = {'nightly': {'task': 'x', 'schedule': 86400}}")
    script = top / "run-celery.sh"
    seed = SEED.replace("/opt/catmaid", str(catmaid)).replace("-l info", "-l debug -Q celery,crop")
    script.write_text(seed)
    main = top / "supervisord.conf"
    main.write_text("[unix_http_server]\nfile=/run/supervisor.sock\n[include]\nfiles = conf.d/*.conf\n")
    old = top / "conf.d" / "old.conf"
    old.parent.mkdir()
    old.write_text(
        f"[program:catmaid-celery]\ncommand = {script}\nuser = {USER}\n[group:catmaid]\nprograms=catmaid-celery"
    )
    report = run_init(top, user=None, sources=[str(old)])
    project = loaded(report, top)
    assert (project.name, project.directory, project.user) == ("catmaid", projects, USER)
    [worker] = project.programs
    assert (worker.name, worker.adopts) == ("catmaid-celery", (f"supervisor:{old}:catmaid-celery",))
    assert isinstance(worker.options, Worker)
    assert (worker.options.loglevel, worker.options.queues) == ("debug", ("celery", "crop"))
    assert (project.supervisor.mode, project.supervisor.configuration) == (SupervisorMode.EXISTING, main)
    # A beat may run on another host.
    assert any("no beat was imported: add [beat]" in warning for warning in report.warnings)


def test_nothing_is_added_to_an_imported_worker(catmaid: Path, top: Path) -> None:
    make(catmaid, "CELERY_TASK_ROUTES = {'x.*': {'queue': 'crop'}}\n")
    old = top / "old.conf"
    old.write_text(f"[program:catmaid-celery]\ncommand = celery -A mysite worker\nuser = {USER}\n")
    report = run_init(catmaid, user=None, sources=[str(old)])
    project = loaded(report, top)
    [worker] = project.programs
    assert isinstance(worker.options, Worker)
    assert (worker.options.queues, project.settings) == ((), None)
    assert "no worker consumes queue crop" in report.warnings


def test_unknown_supervisord_of_an_imported_file_is_reported(catmaid: Path) -> None:
    make(catmaid)
    old = catmaid / "conf.d" / "old.conf"
    old.parent.mkdir()
    old.write_text(f"[program:catmaid-celery]\ncommand = celery -A mysite worker\nuser = {USER}\n")
    report = run_init(catmaid, user=None, sources=[str(old)])
    assert any(f"no supervisord.conf that includes {old} was found" in warning for warning in report.warnings)


def test_existing_file_is_overwritten_only_with_force(tmp_path: Path) -> None:
    file = tmp_path / "procman.toml"
    write("one", file, force=False, environment={})
    with pytest.raises(ProcmanError, match="already exists") as caught:
        write("two", file, force=False, environment={})
    assert "--force" in caught.value.hint
    assert file.read_text() == "one"
    write("two", file, force=True, environment={})
    assert file.read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["procman.toml"]


@pytest.mark.parametrize("force", [True, False])
def test_link_in_place_of_the_file_is_not_followed(tmp_path: Path, force: bool) -> None:
    (tmp_path / "precious").write_text("precious")
    file = tmp_path / "procman.toml"
    file.symlink_to(tmp_path / "precious")
    if force:
        write("text", file, force=True, environment={})
        assert not file.is_symlink()
    else:
        with pytest.raises(ProcmanError, match="already exists"):
            write("text", file, force=False, environment={})
    assert (tmp_path / "precious").read_text() == "precious"


def test_missing_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ProcmanError, match=r"cannot write .*missing/procman\.toml: No such file") as caught:
        write("text", tmp_path / "missing" / "procman.toml", force=False, environment={})
    assert caught.value.hint == f"Create the directory first: mkdir -p {tmp_path}/missing"


@pytest.mark.parametrize("force", [True, False])
def test_directory_in_place_of_the_file_is_reported_as_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProcmanError, match=r"^there is a directory$") as caught:
        write("text", Path("there"), force=force, environment={})
    assert caught.value.hint == "Name a file: there/procman.toml"
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_failed_overwrite_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "procman.toml"
    file.write_text("one")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ProcmanError) as caught:
        write("two", file, force=True, environment={})
    assert caught.value.message == f"cannot write {file}: No space left on device"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("procman.toml", "one")]


def test_directory_that_needs_root_is_answered_with_sudo(top: Path) -> None:
    (top / "closed").mkdir(mode=0o555)

    def refused() -> None:
        with pytest.raises(ProcmanError, match="Permission denied") as caught:
            write("text", top / "closed" / "procman.toml", force=False, environment={})
        assert "sudo" in caught.value.hint

    as_somebody(refused)


@pytest.mark.root("about root")
def test_file_that_root_would_refuse_is_reported(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(top, pwd.getpwnam(SOMEBODY).pw_uid, -1)
    monkeypatch.chdir(top)
    [problem] = write("text", Path("procman.toml"), force=False, environment={})
    assert f"belongs to the user {SOMEBODY}" in problem


@pytest.mark.parametrize(
    ("code", "app", "filled_in"),
    [
        ("", "shop.core", ()),
        ("raise ValueError('not configured')\n", None, ("project.app: perhaps shop.core, but it could not be loaded",)),
    ],
)
def test_app_behind_the_projects_own_command_line_is_loaded(
    top: Path, reachable_python: Path, code: str, app: str | None, filled_in: tuple[str, ...]
) -> None:
    virtualenv, place = top / "venv", top / "service"
    place.mkdir()
    subprocess.run([reachable_python.resolve(), "-m", "venv", "--without-pip", virtualenv], check=True)
    [packages] = virtualenv.glob("lib/python3*/site-packages")
    [with_celery] = reachable_python.parent.parent.glob("lib/python3*/site-packages")
    (packages / "celery.pth").write_text(f"{with_celery}\n")
    core = packages / "shop" / "core"
    core.mkdir(parents=True)
    (core / "celery.py").write_text(f"from celery import Celery\n{code}app = Celery('shop', broker='memory://')\n")
    for package in (core, core.parent):
        (package / "__init__.py").touch()
    server = virtualenv / "bin" / "shop-server"
    server.write_text(f"#!{virtualenv}/bin/python\nimport sys\nfrom shop.cli import main\nsys.exit(main())\n")
    file = top / "shop.conf"
    file.write_text(f"[program:shop]\ncommand={server} celery worker\ndirectory={place}\nuser={USER}\n")
    project = run_init(top / "service", sources=[str(file)])
    assert tomllib.loads(project.text)["project"].get("app") == app
    assert project.fill_in == filled_in
