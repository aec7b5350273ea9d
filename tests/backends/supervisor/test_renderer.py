"""supervisord reads the rendered files as intended."""

from __future__ import annotations

import re
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from procman.agent import BESIDE_LAUNCHER
from procman.backends.supervisor import renderer
from procman.backends.supervisor.embedded import SOCKET_BYTES, SUFFIX_BYTES
from procman.errors import ProcmanError
from procman.project import Command
from procman.version import VERSION
from tests.backends.supervisor.projects import embedded, reference, rendered, sections, with_programs
from tests.hostile import HOSTILE
from tests.read_by_supervisor import MAIN_SECTIONS, VERSIONS, Reader, reader

LOGS = Path("/var/log/catmaid")
NAMES = ["catmaid-celery", "catmaid-celery-beat"]


@pytest.fixture(scope="module", params=VERSIONS)
def supervisor(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """supervisor's own reader, in every version in turn."""
    with reader(request.param) as started:
        yield started


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory for logs, which must exist for supervisord."""
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="pm", dir="/tmp") as name:
        yield Path(name)


def test_supervisord_reads_the_options_that_the_contracts_need(supervisor: Reader, logs: Path) -> None:
    directories = replace(reference().directories, logs=logs)
    programs = supervisor.read(sections(reference(directories=directories)))["programs"]
    worker = programs["catmaid-celery:catmaid-celery"]
    assert worker == {
        "argv": ["/etc/procman/catmaid/catmaid-celery.sh"],
        "user": "www-data",
        "autostart": True,
        "autorestart": "RestartUnconditionally",
        "startsecs": 10,
        "startretries": 1_000_000,
        "stopsignal": 15,
        "stopwaitsecs": 3600,
        "stopasgroup": False,
        "killasgroup": True,
        "redirect_stderr": True,
        "stdout_logfile": f"{logs}/catmaid-celery.log",
        "stdout_logfile_maxbytes": 50 * 1024 * 1024,
        "stdout_logfile_backups": 10,
        "stderr_logfile": None,
        "stderr_logfile_maxbytes": 50 * 1024 * 1024,
        "priority": 900,
        "environment": {},
        "exitcodes": [0],
        "serverurl": None,
    }
    beat = programs["catmaid-celery-beat:catmaid-celery-beat"]
    assert beat["stopwaitsecs"] == 60
    assert beat["priority"] > worker["priority"], "workers are there before beat sends, and after it has stopped"


def test_every_program_is_its_own_group(supervisor: Reader, logs: Path) -> None:
    # Otherwise `supervisorctl restart catmaid-celery` reports "no such process".
    project = reference(directories=replace(reference().directories, logs=logs))
    answer = supervisor.read(sections(project))
    assert answer["sections"] == [*MAIN_SECTIONS, *[f"program:{name}" for name in NAMES]]
    assert list(answer["programs"]) == [f"{name}:{name}" for name in NAMES]


@pytest.mark.parametrize("value", [value for value in HOSTILE if value and len(value) < 200])
def test_hostile_directories_and_options_are_read_back(supervisor: Reader, tmp_path: Path, value: str) -> None:
    logs = tmp_path / value.replace("/", "|")
    project = reference()
    project = with_programs(project, supervisor_options={"serverurl": value})
    project = replace(project, directories=replace(project.directories, configuration=Path("/etc", value), logs=logs))
    answer = supervisor.read(sections(project), directories=[logs])
    assert list(answer.get("programs", answer)) == [f"{name}:{name}" for name in NAMES]
    worker = answer["programs"]["catmaid-celery:catmaid-celery"]
    assert worker["argv"] == [str(Path("/etc", value, "catmaid-celery.sh"))]
    assert worker["stdout_logfile"] == str(logs / "catmaid-celery.log")
    assert worker["serverurl"] == (None if value == "AUTO" else value)


def test_free_option_is_written_once(supervisor: Reader, logs: Path) -> None:
    project = with_programs(
        reference(directories=replace(reference().directories, logs=logs)),
        supervisor_options={"priority": "7", "startretries": "5", "exitcodes": "0,2"},
    )
    text = sections(replace(project, programs=project.programs[:1]))
    read = supervisor.read(text)["programs"]["catmaid-celery:catmaid-celery"]
    assert (read["priority"], read["startretries"], read["exitcodes"]) == (7, 5, [0, 2])
    options = [line.split("=")[0] for line in text.splitlines() if not line.startswith((";", "["))]
    assert len(options) == len(set(options))


@pytest.mark.parametrize("name", ["home", "my home", "100%", "%(here)s", "a ;b", "it's", "é"])
def test_supervisord_of_a_user_is_read_back(supervisor: Reader, tmp_path: Path, short: Path, name: str) -> None:
    home = short / name
    project = embedded(tmp_path, home)
    main = rendered(project)[str(project.supervisor.configuration)].content
    directories = [directory.path for directory in renderer.render(project).directories]
    answer = supervisor.read(sections(project), main=main, directories=directories)
    assert "error" not in answer
    state = home / ".local/state/procman/supervisor"
    assert answer["supervisord"] == {
        "logfile": str(state / "supervisord.log"),
        "pidfile": str(state / "supervisord.pid"),
        "childlogdir": str(state),
        "minfds": 4096,
        "sockets": [str(state / "supervisor.sock")],
        "serverurl": f"unix://{state}/supervisor.sock",
    }
    assert "inet_http_server" not in answer["sections"], "nothing listens on TCP (S4)"
    assert list(answer["programs"]) == ["demo-celery:demo-celery", "demo-celery-beat:demo-celery-beat"]
    assert answer["programs"]["demo-celery:demo-celery"]["user"] is None


def test_home_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    longest = SOCKET_BYTES - SUFFIX_BYTES - len("//.local/state/procman/supervisor/supervisor.sock")
    renderer.render(embedded(tmp_path, Path("/", "x" * longest)))
    with pytest.raises(ProcmanError, match="the path of this socket"):
        renderer.render(embedded(tmp_path, Path("/", "x" * (longest + 1))))


@pytest.mark.parametrize("name", ["[x]", "a*", "a?"])
def test_home_with_a_supervisord_pattern_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProcmanError, match="as a pattern"):
        renderer.render(embedded(tmp_path, Path("/home", name)))


def test_every_file_is_in_a_directory_of_procman_or_the_distribution() -> None:
    rendering = renderer.render(reference())
    made = {directory.path for directory in rendering.directories} | {Path("/etc/supervisor/conf.d")}
    assert {file.path.parent for file in rendering.files} <= made


@pytest.mark.parametrize("scope", ["system", "user"])
def test_parents_come_before_children(tmp_path: Path, scope: str) -> None:
    project = reference() if scope == "system" else embedded(tmp_path, Path("/home/me"))
    paths = [directory.path for directory in renderer.render(project).directories]
    assert len(paths) == len(set(paths))
    for number, path in enumerate(paths):
        assert not any(path.is_relative_to(later) for later in paths[number + 1 :])


def test_root_owns_the_files_that_root_reads_or_opens() -> None:
    # Root would write through a symbolic link that the service user creates in the directory of a log.
    rendering = renderer.render(reference())
    assert {(file.owner, file.group, file.mode & 0o022) for file in rendering.files} == {("root", "root", 0)}
    owners = {str(each.path): (each.owner, oct(each.mode)) for each in rendering.directories}
    assert owners["/var/log/catmaid"] == ("root", "0o755")
    assert owners["/var/lib/procman/catmaid/run"] == ("root", "0o755")
    assert {path for path, (owner, _) in owners.items() if owner == "www-data"} == {
        "/var/lib/procman/catmaid/run/catmaid-celery",
        "/var/lib/procman/catmaid/run/catmaid-celery-beat",
        "/var/lib/catmaid",
    }


def test_only_scripts_are_executable() -> None:
    modes = {path: file.mode for path, file in rendered(reference()).items()}
    assert {path for path, mode in modes.items() if mode == 0o755} == {
        "/etc/procman/catmaid/catmaid-celery.sh",
        "/etc/procman/catmaid/catmaid-celery-beat.sh",
    }
    assert set(modes.values()) == {0o755, 0o644}


def test_agent_restarts_nothing() -> None:
    by_restart = {path: file.restarts for path, file in rendered(reference()).items()}
    assert [path for path, restarts in by_restart.items() if not restarts] == [
        f"/usr/local/lib/procman/catmaid/{name}" for name in (*BESIDE_LAUNCHER, "launcher.py")
    ]


def test_each_file_names_the_programs_it_concerns() -> None:
    concerned = {Path(path).name: file.programs for path, file in rendered(reference()).items()}
    assert concerned == {
        **dict.fromkeys((*BESIDE_LAUNCHER, "launcher.py"), ("catmaid-celery", "catmaid-celery-beat")),
        "catmaid-celery.conf": ("catmaid-celery",),
        "catmaid-celery.sh": ("catmaid-celery",),
        "catmaid-celery-beat.conf": ("catmaid-celery-beat",),
        "catmaid-celery-beat.sh": ("catmaid-celery-beat",),
    }


def test_launcher_is_omitted_if_no_program_uses_it() -> None:
    assert not any(path.endswith(".py") for path in rendered(with_programs(reference(), launcher=False)))


def test_rendering_is_deterministic_and_contains_no_version() -> None:
    once, again = renderer.render(reference()), renderer.render(reference())
    assert once == again
    assert not [file.path for file in once.files if VERSION in file.content]


def test_users_template_is_used(tmp_path: Path) -> None:
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "start.sh.j2").write_text("exec {{ argv | shell_words }}\n")
    text = rendered(reference(templates=tmp_path))["/etc/procman/catmaid/catmaid-celery.sh"].content
    assert text.startswith(
        "exec /opt/catmaid/django/env/bin/python /usr/local/lib/procman/catmaid/launcher.py -A mysite"
    )


def test_section_of_a_command_has_its_signal_user_and_logs(supervisor: Reader, logs: Path) -> None:
    directories = replace(reference().directories, logs=logs)
    command = Command(("uwsgi",), stop_signal="QUIT", stdout=Path("/dev/stdout"), stderr=logs / "web.err", user="web")
    project = with_programs(reference(directories=directories), options=command, supervisor_options=GROUP)
    programs = supervisor.read(sections(project))["programs"]
    assert {each["stopsignal"] for each in programs.values()} == {signal.SIGQUIT}
    for each in programs.values():
        assert (each["user"], each["redirect_stderr"], each["stopasgroup"]) == ("web", False, True)
        assert (each["stdout_logfile"], each["stdout_logfile_maxbytes"]) == ("/dev/stdout", 0)
        assert (each["stderr_logfile"], each["stderr_logfile_maxbytes"]) == (f"{logs}/web.err", 50 * 1024 * 1024)


GROUP = {"stopasgroup": "true"}


def test_section_of_a_command_does_not_mention_what_only_a_worker_has(logs: Path) -> None:
    text = sections(with_programs(reference(), options=Command(("uwsgi",))))
    assert not re.search("Celery|pool|tasks", text.partition("[eventlistener")[0])
