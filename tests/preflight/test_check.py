"""`procman check` with a real Celery, as another user if the tests run as root: results, and secrets never shown."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from procman.config.load import load
from procman.errors import ProcmanError
from procman.host.process_table import look_at
from procman.launch import launch_of
from procman.model import Kind, Level, Result
from procman.preflight.check import blocking, check
from procman.preflight.gather_processes import other_programs
from procman.project import Project
from tests.agent.wrappers import make_wrappers
from tests.django_projects import DEMO, make_project
from tests.product import eventually
from tests.reachable import IS_ROOT, SOMEBODY, as_somebody, public_directory

pytestmark = pytest.mark.celery

CANARY = "hunter22-of-the-broker"

TOML = """
[project]
name = "check-me"
app = "{app}"
directory = "{directory}"
virtualenv = "{virtualenv}"
settings = "{app}.settings"
{scope}
{project}
[environment]
DEMO_DATA_DIRECTORY = "{data}"
{environment}
[worker.celery]
{worker}
[beat]
schedule_file = "{data}/schedule/celerybeat"
{rest}
[supervisor]
mode = "embedded"
"""


@pytest.fixture
def virtualenv(reachable_python: Path) -> Path:
    return reachable_python.parent.parent


class Site:
    """A project in a directory that its user can reach."""

    def __init__(self, directory: Path, virtualenv: Path) -> None:
        self.directory = directory
        self.virtualenv = virtualenv
        self.data = directory / "data"
        (self.data / "schedule").mkdir(parents=True)
        self.give(self.data)

    def give(self, path: Path) -> None:
        """Give `path` and everything below it to the programs' user."""
        account = pwd.getpwnam(SOMEBODY) if IS_ROOT else pwd.getpwuid(os.geteuid())
        for each in (path, *path.rglob("*")):
            os.chown(each, account.pw_uid, account.pw_gid)

    def project(self, code: Path, app: str, **texts: str) -> Project:
        """Return the project of the code in `code`; `texts` are lines of its tables."""
        values = dict.fromkeys(("project", "environment", "worker", "rest"), "") | texts
        scope = f'user = "{SOMEBODY}"' if IS_ROOT else 'scope = "user"'
        file = self.directory / "procman.toml"
        file.write_text(
            TOML.format(app=app, directory=code, virtualenv=self.virtualenv, scope=scope, data=self.data, **values)
        )
        return load(file, {"HOME": str(self.directory)})

    def demo(self, **texts: str) -> Project:
        """Return the demo project."""
        code = self.directory / "demo"
        if not code.exists():
            shutil.copytree(DEMO, code, ignore=shutil.ignore_patterns("var", "__pycache__"))
        return self.project(code, "mysite", **texts)

    def made(self, settings: str, **texts: str) -> Project:
        """Return a project with the text `settings` in its settings module."""
        return self.project(make_project(self.directory / "code", settings), "site1", **texts)


@pytest.fixture
def site(virtualenv: Path) -> Iterator[Site]:
    with public_directory() as directory:
        yield Site(directory, virtualenv)


def found(results: list[Result], code: str) -> list[Result]:
    return [result for result in results if result.code == code and result.level is not Level.OK]


def test_demo_has_no_critical_result_and_only_expected_warnings(site: Site) -> None:
    accept = 'accept = ["PM715", "PM724", "PM743"]'
    results = check(site.demo(project=f'writable_paths = ["{site.data}"]\n{accept}'))
    assert blocking(results) == []
    # A development broker, a schedule below /tmp, and the limits of this host.
    assert {result.code for result in results if result.accepted} == {"PM724", "PM743"}
    warned = {result.code for result in results if result.level is not Level.OK}
    assert warned <= {"PM605", "PM773"}
    [ended] = found(results, "PM605")
    assert ended.detail == "accept names PM715, but this warning no longer occurs"
    passed = {result.code for result in results if result.level is Level.OK}
    assert passed >= {"PM701", "PM702", "PM711", "PM721", "PM731", "PM741", "PM742", "PM755", "PM771"}
    [imported] = [result for result in results if result.code == "PM711"]
    assert "4 tasks" in imported.detail


def test_programs_with_another_environment_get_their_own_query(site: Site) -> None:
    rest = '[worker.other]\n[worker.other.environment]\nCELERY_BROKER_URL = "memory://"\n'
    results = check(site.demo(rest=rest))
    assert len([result for result in results if result.code == "PM711"]) == 2
    [broker] = found(results, "PM724") if not IS_ROOT else found(results, "PM724")[1:]
    assert (broker.program, broker.level) == ("check-me-other", Level.CRITICAL)


def test_broken_settings_module_is_reported_with_its_last_line_and_without_secrets(site: Site) -> None:
    settings = f'BROKER = "amqp://me:{CANARY}@localhost//"\nSECRET_KEY = "{CANARY}"\nprint(BROKER)\nBROKER.port'
    results = check(site.made(settings))
    [error] = blocking(results)
    assert error.code == "PM711"
    assert "AttributeError" in error.detail
    assert "settings.py:7" in error.hint
    assert error.detail.endswith("settings.py:7)")
    assert CANARY not in str(results)


PRINTS = """
import os, sys
print("login failed for", os.environ["DB_PASSWORD"], os.environ["SALT"], file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize("ending", ["os._exit(3)", "raise ValueError(os.environ['SALT'])", "os.kill(0, 9)"])
def test_secrets_of_the_environment_file_are_not_shown_when_the_app_prints_them(site: Site, ending: str) -> None:
    file = site.directory / "celery.env"
    file.write_text(f"DB_PASSWORD='p@ss/w {CANARY}'\nSALT=X2{CANARY}\nNAME=catmaid\n")
    results = check(site.made(PRINTS + ending, project=f'environment_file = "{file}"'))
    shown = str(results)
    assert CANARY not in shown
    assert "p@ss/w" not in shown
    assert "site1" in shown
    if "_exit" in ending:
        assert "login failed for *** ***" in shown


def test_megabytes_of_hostile_output_do_not_keep_the_check_busy(site: Site) -> None:
    settings = "import os, sys\nsys.stderr.write('a.' * 1_500_000)\nsys.stderr.flush()\nos._exit(3)"
    [error] = blocking(check(site.made(settings)))
    assert "exited with status 3 while loading the app" in error.detail
    assert "more characters" in error.hint
    assert len(error.hint) < 5000


def test_detached_process_of_an_app_ends_with_the_check_and_no_probe_is_killed(site: Site) -> None:
    seconds = str(200_000 + os.getpid())
    # The probes of the app, the broker and the paths run at the same time, and end one after the other.
    settings = f"import os\nos.system('setsid sleep {seconds} > /dev/null 2>&1 &')\n"
    results = check(site.made(settings))
    assert found(results, "PM711") == []
    assert found(results, "PM721")
    assert subprocess.run(["pgrep", "-f", f"sleep {seconds}"], check=False, stdout=subprocess.DEVNULL).returncode == 1


def test_hanging_app_is_killed_in_time(site: Site) -> None:
    [error] = blocking(check(site.made("import time; time.sleep(600)"), timeout=3))
    assert error.code == "PM711"
    assert f"{site.virtualenv}/bin/python (site1) did not finish within 3 s" in error.detail


def test_refused_connection_is_reported_without_the_password(site: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"amqp://me:{CANARY}@127.0.0.1:{free.getsockname()[1]}//"
        results = check(site.made(f'CELERY_BROKER_URL = "{url}"'))
    [error] = blocking(results)
    assert error.code == "PM721"
    assert "nothing listens there" in error.detail
    assert "***" in error.detail
    assert CANARY not in str(results)


def test_more_pool_processes_than_files_and_memory_allow_are_reported(site: Site) -> None:
    settings = 'CELERY_BROKER_URL = "amqp://127.0.0.1:9//"\nCELERY_WORKER_CONCURRENCY = 700'
    results = check(site.made(settings, worker="memory_restart_mib = 100"))
    [files], [memory] = found(results, "PM764"), found(results, "PM765")
    assert (files.level, memory.level) == (Level.CRITICAL, Level.WARNING)
    assert "opens about 4219 files for 700 pool processes, of at most 4096" in files.detail
    assert memory.detail.startswith("with 700 pool processes it needs at least 70")


def test_unknown_host_name_of_a_broker_is_reported(site: Site) -> None:
    [error] = blocking(check(site.made('CELERY_BROKER_URL = "amqp://no-such-host.invalid//"')))
    assert error.code == "PM721"
    assert "host name cannot be resolved" in error.detail


def test_missing_client_library_is_reported_once(site: Site) -> None:
    [error] = blocking(check(site.made('CELERY_BROKER_URL = "redis://localhost/0"')))
    assert error.code == "PM722"
    assert "celery[redis]" in error.hint


def test_broken_result_backend_is_reported_with_its_line_and_without_the_password(site: Site) -> None:
    results = check(site.made(f'CELERY_RESULT_BACKEND = "redis://:{CANARY}#@localhost"'))
    [error] = found(results, "PM728")
    assert error.level is Level.CRITICAL
    assert "no module named redis" in error.detail
    assert error.hint.endswith("/bin/pip install 'celery[redis]'")
    [error] = found(check(site.made(f'CELERY_RESULT_BACKEND = "nosuch://:{CANARY}#@localhost"')), "PM728")
    assert "settings.py:4" in error.hint
    assert CANARY not in str(results) + str(error)


def test_option_unknown_to_this_celery_is_critical(site: Site) -> None:
    [error] = blocking(check(site.demo(worker='extra_arguments = ["--unheard-of=1"]')))
    assert (error.code, error.program) == ("PM731", "check-me-celery")
    assert "unheard-of" in error.detail


def test_each_wrapper_is_tried_as_the_user(site: Site) -> None:
    wrappers = site.directory / "wrappers"
    make_wrappers(wrappers)
    more = "".join(f'[worker.{name}]\nwrapper = ["{wrappers}/{name}"]\n' for name in ("fork", "none"))
    results = check(site.demo(worker=f'wrapper = ["{wrappers}/instrument"]', rest=more))
    tried = {result.program: (result.level, result.detail) for result in results if result.code == "PM788"}
    assert tried["check-me-celery"] == (Level.OK, f"{wrappers}/instrument replaces itself with the program")
    level, detail = tried["check-me-fork"]
    assert level is Level.CRITICAL
    assert f"{wrappers}/fork starts the program as its child instead of replacing itself with it (exec)" in detail
    level, detail = tried["check-me-none"]
    assert level is Level.CRITICAL
    assert f"cannot run the wrapper {wrappers}/none: No such file or directory" in detail


def test_app_sees_the_environment_file(site: Site) -> None:
    file = site.directory / "celery.env"
    file.write_text(f"CELERY_BROKER_URL=amqp://me:{CANARY}@no-such-host.invalid//\n")
    file.chmod(0o640)
    site.give(file)
    results = check(site.demo(project=f'environment_file = "{file}"'))
    [error] = blocking(results)
    assert error.code == "PM721"
    assert "no-such-host.invalid" in error.detail
    assert CANARY not in str(results)


def test_environment_file_with_an_invalid_line_and_readable_for_every_user(site: Site) -> None:
    file = site.directory / "celery.env"
    file.write_text(f"A=1\nexport PASSWORD={CANARY}\n")
    file.chmod(0o644)
    results = check(site.demo(project=f'environment_file = "{file}"'))
    assert [result.code for result in blocking(results)] == ["PM705"]
    assert "celery.env:2:" in blocking(results)[0].detail
    assert found(results, "PM706")
    assert CANARY not in str(results)


def test_variables_that_break_the_supervision_block_an_install(site: Site) -> None:
    file = site.directory / "celery.env"
    file.write_text("A=1\nCELERY_WORKER_DETACH=1\nMAINPID=1\nCELERY_WORKER_POOL=solo\n")
    file.chmod(0o640)
    site.give(file)
    results = check(site.demo(project=f'environment_file = "{file}"'))
    assert [(each.code, each.detail.partition(": Celery")[0].partition(": only")[0]) for each in blocking(results)] == [
        ("PM705", f"{file}:2: remove CELERY_WORKER_DETACH"),
        ("PM705", f"{file}:3: remove MAINPID"),
    ]
    [option] = found(results, "PM707")
    assert option.detail.startswith(f"{file}:4: CELERY_WORKER_POOL: Celery reads it as the option --pool")
    assert option.hint == "Remove it, and set the key pool in [worker.celery]."


def test_line_that_a_web_process_reads_differently_is_a_warning(site: Site) -> None:
    file = site.directory / "celery.env"
    file.write_text(f"A=1\nB='{CANARY}' # keep\n")
    file.chmod(0o640)
    site.give(file)
    results = check(site.demo(project=f'environment_file = "{file}"'))
    [warning] = found(results, "PM708")
    assert warning.detail.startswith(f"{file}:2: python-dotenv reads another value")
    assert CANARY not in str(results)


def test_environment_file_that_the_launcher_would_not_read_is_critical(site: Site) -> None:
    file = site.directory / "celery.env"
    file.write_text("A=" + "b" * (1 << 20))
    file.chmod(0o640)
    site.give(file)
    [error] = blocking(check(site.demo(project=f'environment_file = "{file}"')))
    assert (error.code, error.detail.partition(";")[0]) == ("PM705", f"{file}: larger than 1048576 bytes")


def test_missing_environment_file_is_reported_with_its_remedy(site: Site) -> None:
    file = site.directory / "celery.env"
    [error] = blocking(check(site.demo(project=f'environment_file = "{file}"')))
    assert (error.code, error.detail) == ("PM705", f"cannot read {file}: No such file or directory")
    assert error.hint.startswith(f"Create {file} with NAME=value lines")


@pytest.mark.root("only root runs programs as another user")
def test_environment_file_that_the_user_cannot_read(site: Site) -> None:
    file = site.directory / "celery.env"
    file.write_text("A=1\n")
    file.chmod(0o600)
    project = site.demo(project=f'environment_file = "{file}"')
    [error] = blocking(check(project))
    assert error.code == "PM705"
    assert f"{SOMEBODY} cannot read {file}" in error.detail


def test_root_does_not_follow_a_link_of_the_user_to_its_own_file(site: Site) -> None:
    secret = site.directory / "secret"
    secret.write_text(f"PASSWORD={CANARY}\n")
    secret.chmod(0o000 if not IS_ROOT else 0o600)
    (site.data / "celery.env").symlink_to(secret)
    settings = f'import os; open("{site.data}/seen", "a").write(os.environ.get("PASSWORD", "none "))'
    results = check(site.made(settings, project=f'environment_file = "{site.data}/celery.env"'))
    assert "PM705" in {result.code for result in blocking(results)}
    assert CANARY not in str(results)
    assert set((site.data / "seen").read_text().split()) == {"none"}


def test_corrupt_schedule_is_renamed_only_on_request(site: Site) -> None:
    schedule = site.data / "schedule/celerybeat"
    schedule.write_text("no schedule")
    site.give(schedule)
    project = site.demo()
    [reported] = found(check(project), "PM745")
    assert reported.level is Level.WARNING
    assert schedule.exists()
    results = check(project, set_aside=True)
    [reported] = found(results, "PM745")
    assert f"{schedule} was renamed to {schedule}.corrupt-1" in reported.detail
    assert not schedule.exists()
    assert Path(f"{schedule}.corrupt-1").read_text() == "no schedule"


def test_directory_that_the_user_cannot_write_is_critical(site: Site) -> None:
    (site.data / "schedule").chmod(0o500)
    if IS_ROOT:
        os.chown(site.data / "schedule", 0, 0)
    closed = site.directory / "closed"
    closed.mkdir(mode=0o500)
    project = site.demo(project=f'writable_paths = ["{closed}", "{site.directory}/none"]')
    assert sorted(result.code for result in blocking(check(project))) == ["PM742", "PM752", "PM752"]


def test_directory_below_media_root_that_another_user_made_is_a_warning(site: Site) -> None:
    media, more = site.data / "media", site.data / "more"
    for path in (media / "crop", media / "tmp", media / "lost+found", more / "export", more / "shared/others"):
        path.mkdir(parents=True)
    site.give(site.data)
    closed = [media / "crop", media / "lost+found", more / "export", more / "shared/others"]
    for path in closed:
        path.chmod(0o500)
        if IS_ROOT:
            os.chown(path, 0, 0)
    (media / "static").symlink_to(closed[0])
    (more / "shared").chmod(0o1777)
    settings = f'MEDIA_ROOT = "{media}"\nCELERY_BROKER_URL = "memory://"'
    results = check(site.made(settings, project=f'writable_paths = ["{more}", "{more}/shared"]'))
    owner = "root" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name
    [in_more], [in_media] = found(results, "PM752"), found(results, "PM753")
    assert in_more.level is in_media.level is Level.WARNING
    assert f" cannot write to export in {more} of writable_paths (owner {owner})" in in_more.detail
    assert f" cannot write to crop in {media} of MEDIA_ROOT (owner {owner})" in in_media.detail
    for path in closed:
        path.chmod(0o700)


def test_command_is_looked_up_as_by_the_launcher(site: Site) -> None:
    commands = {"there": "./manage.py", "gone": "./nothing.py", "found": "python", "unknown": "no-such-command"}
    rest = "".join(f'[command.{name}]\nargv = ["{word}"]\n' for name, word in commands.items())
    results = blocking(check(site.demo(rest=rest)))
    (site.directory / "demo/manage.py").chmod(0o755)
    assert [(each.code, each.program) for each in results if each.program != "check-me-there"] == [
        ("PM704", "check-me-gone"),
        ("PM704", "check-me-unknown"),
    ]
    assert "check-me-there" not in {each.program for each in blocking(check(site.demo(rest=rest)))}


def test_executable_of_a_reload_command_is_looked_up_the_same_way(site: Site) -> None:
    reloads = {"found": "python", "unknown": "no-such-command"}
    rest = "".join(
        f'[command.{name}]\nargv = ["python"]\nreload_command = ["{word}"]\n' for name, word in reloads.items()
    )
    [warning] = found(check(site.demo(rest=rest)), "PM704")
    assert (warning.program, warning.level) == ("check-me-unknown", Level.WARNING)
    assert "cannot run no-such-command, the reload_command" in warning.detail


def test_flower_that_is_not_installed_is_critical(site: Site) -> None:
    argv = '["python", "-m", "celery", "-A", "mysite", "flower", "--address=127.0.0.1"]'
    results = blocking(
        check(
            site.demo(
                rest=f'[command.flower]\nargv = {argv}\n[command.report]\nargv = ["python", "-m", "celery", "report"]\n'
            )
        )
    )
    [error] = found(results, "PM704")
    assert (error.program, error.level) == ("check-me-flower", Level.CRITICAL)
    assert "Celery has no command flower" in error.detail
    assert error.hint.endswith("/bin/pip install flower")


def test_missing_celery_is_critical(site: Site) -> None:
    empty = site.directory / "empty"
    python = Path("/usr/bin/python3") if IS_ROOT else Path(sys.executable)
    subprocess.run([python, "-m", "venv", "--without-pip", empty], check=True)
    site.virtualenv = empty
    assert {result.code for result in blocking(check(site.demo()))} == {"PM702", "PM711"}


def test_missing_virtualenv_is_one_result(site: Site) -> None:
    site.virtualenv = site.directory / "nowhere"
    [error] = blocking(check(site.demo()))
    assert error.code == "PM701"
    assert error.detail == f"cannot run {site.virtualenv}/bin/python (to check paths): No such file or directory"


@pytest.mark.root("only in system scope")
def test_missing_user_is_one_result(site: Site) -> None:
    [error] = blocking(check(replace(site.demo(), user="no-such-user")))
    assert error.code == "PM771"


@pytest.mark.root("only root would run code as root")
def test_code_of_programs_that_run_as_root_is_not_loaded(site: Site) -> None:
    project = replace(site.made(f'open("{site.directory}/loaded", "w")'), user="root")
    results = check(project)
    assert blocking(results) == []
    assert found(results, "PM716")
    assert not (site.directory / "loaded").exists()


def test_another_user_learns_who_can_run_the_checks(site: Site) -> None:
    project = replace(site.demo(), user="root")

    def manages_supervisord() -> None:
        with pytest.raises(ProcmanError, match="only root"):
            check(project)

    as_somebody(manages_supervisord)


@pytest.mark.parametrize(
    ("words", "is_beat", "is_of_app"),
    [
        ("celery -A mysite beat", True, True),
        ("celery -A mysite.celery:app worker -B", True, True),
        ("celery -A mysite worker", False, True),
        ("celery -A others beat", True, False),
        ("launcher.py -A mysite beat", True, True),
    ],
)
def test_another_worker_or_beat_is_found(site: Site, words: str, is_beat: bool, is_of_app: bool) -> None:
    project = site.demo()
    script, *arguments = words.split()
    (site.directory / script).write_text("import time; time.sleep(60)\n")
    line = [sys.executable, str(site.directory / script), *arguments]
    with subprocess.Popen(line, cwd=project.directory) as process:
        try:
            # Before it executes Python, it is a copy of this process.
            eventually(lambda: str(site.directory / script) in Path(f"/proc/{process.pid}/cmdline").read_text(), words)
            reported = [each for each in other_programs(project) if each.pid == process.pid]
        finally:
            process.kill()
    [other] = reported
    assert (other.kind is Kind.BEAT or other.with_beat, other.is_of_app) == (is_beat, is_of_app)
    assert other.is_procmans == words.startswith("launcher.py")
    assert other.directory == str(project.directory)


def test_beat_of_another_project_has_another_app(site: Site) -> None:
    (site.directory / "celery").write_text("import time; time.sleep(60)\n")
    line = [sys.executable, str(site.directory / "celery"), "-A", "mysite", "beat"]
    with subprocess.Popen(line, cwd="/") as process:
        try:
            eventually(lambda: "mysite" in Path(f"/proc/{process.pid}/cmdline").read_text(), "it is Python")
            reported = [each for each in other_programs(site.demo()) if each.pid == process.pid]
        finally:
            process.kill()
    assert [each.is_of_app for each in reported] == [False]


def test_own_beat_is_not_another_beat_with_or_without_its_launcher(site: Site) -> None:
    project = site.demo()
    project = replace(project, directories=replace(project.directories, library=site.directory))
    without = replace(project, programs=tuple(replace(each, launcher=False) for each in project.programs))
    for ours, script in ((project, "launcher.py"), (without, "celery")):
        (site.directory / script).write_text("import time; time.sleep(60)\n")
        [arguments] = [launch_of(ours, each).argv[1:] for each in ours.programs if each.key == "beat"]
        words = arguments if ours is project else (str(site.directory / script), *arguments)
        with subprocess.Popen([sys.executable, *words], cwd=project.directory) as process:
            try:
                eventually(lambda: "mysite" in Path(f"/proc/{process.pid}/cmdline").read_text(), "it is Python")
                assert process.pid in look_at((), [str(site.directory)])
                reported = [each for each in other_programs(ours) if each.pid == process.pid]
            finally:
                process.kill()
        assert reported == []


def test_check_writes_nothing(site: Site) -> None:
    project = site.demo()
    check(project)  # the demo creates the directories of its own broker
    before = {path: path.lstat().st_mtime_ns for path in site.directory.rglob("*") if "__pycache__" not in path.parts}
    check(project)
    after = {path: path.lstat().st_mtime_ns for path in site.directory.rglob("*") if "__pycache__" not in path.parts}
    assert after == before


COMPANIONS = """
[command.web]
argv = ["./serve"]
user = "daemon"
directory = "{data}"
environment_file = "{file}"
[command.wrapped]
argv = ["true"]
user = "daemon"
environment_file = "{own}"
wrapper = ["{wrapper}"]
[command.nobody]
argv = ["true"]
user = "no-such-user"
"""


@pytest.mark.root("only root runs programs as another user")
def test_commands_are_judged_as_their_own_users(site: Site) -> None:
    """The worker's user can run, enter and read all of it; the command's user cannot."""
    file, serve = site.directory / "web.env", site.data / "serve"
    file.write_text("A=1\n")
    serve.write_text("#!/bin/sh\n")
    serve.chmod(0o755)
    site.give(file)
    site.give(site.data)
    file.chmod(0o640)
    site.data.chmod(0o700)
    own, secrets, wrapper, seen = (site.directory / name for name in ("own.env", "all.env", "wrapper", "seen"))
    own.write_text("OWN=1\n")
    secrets.write_text(f"PASSWORD={CANARY}\n")
    wrapper.write_text(f'#!/bin/sh\nenv >> {seen}\nexec "$@"\n')
    wrapper.chmod(0o755)
    seen.touch()
    seen.chmod(0o666)
    rest = COMPANIONS.format(data=site.data, file=file, own=own, wrapper=wrapper)
    results = check(site.made("", rest=rest, project=f'environment_file = "{secrets}"'))
    # The secrets of the workers are not for another user.
    assert "OWN=1" in seen.read_text()
    assert CANARY not in seen.read_text()
    assert {(each.code, each.program) for each in blocking(results) if each.program} == {
        ("PM704", "check-me-web"),
        ("PM705", "check-me-web"),
        ("PM751", "check-me-web"),
        ("PM771", "check-me-nobody"),
    }
    [unread] = found(results, "PM705")
    assert unread.detail.startswith(f"cannot read {file} as daemon: ")
