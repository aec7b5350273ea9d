"""Where everything is: paths, the directories of each scope, and which supervisord."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from procman.config.directories import directories_for
from procman.config.peek_identity import read_identity
from procman.errors import ConfigurationError
from procman.model import Scope, SupervisorMode, SupervisorSettings
from procman.project import Beat, Program
from tests.config.documents import PROJECT, problems, problems_with, read, read_rest

USER_SCOPE = PROJECT.replace('user = "www-data"', 'scope = "user"')


def _beat(program: Program) -> Beat:
    assert isinstance(program.options, Beat)
    return program.options


def test_paths_start_from_the_directory_of_the_file(tmp_path: Path) -> None:
    text = PROJECT.replace("/opt/catmaid", "projects/./x").replace("/opt/env", "../env//3")
    project = read(tmp_path, text + 'python_path = ["lib"]\nenvironment_file = "//etc/env"\n[beat]\nschedule_file="s"')
    assert project.directory == tmp_path / "projects" / "x"
    assert project.virtualenv == tmp_path.parent / "env" / "3"
    assert project.python_path == (tmp_path / "lib",)
    assert str(project.environment_file) == "/etc/env"
    assert _beat(project.programs[0]).schedule_file == tmp_path / "s"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "it is empty"),
        (" ", "it is empty"),
        (" a", "it begins or ends with a blank"),
        ("~/a", "write the whole path: ~ means another directory for root than for the user"),
        ("a:b", "it holds a colon, which separates the directories of PATH and PYTHONPATH"),
        ("a\\tb", "it holds a tab"),
    ],
)
def test_path_that_cannot_be_meant_is_refused(tmp_path: Path, value: str, reason: str) -> None:
    (found,) = problems(tmp_path, PROJECT.replace("/opt/env", value) + "[beat]")
    assert (
        found
        == f"FILE:5: project.virtualenv: expected a path without a colon, absolute or relative to this file ({reason})"
    )


def test_relative_path_below_a_directory_that_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "odd\nname"
    odd.mkdir()
    read(odd, PROJECT + "[beat]")
    (found,) = problems(odd, PROJECT.replace("/opt/env", "env") + "[beat]")
    assert found.endswith("(write an absolute path: that of this file holds a line break)")


def test_schedule_is_kept_in_the_projects_own_data(tmp_path: Path) -> None:
    for rest, expected in (
        ("", Path("/var/lib/catmaid/celerybeat-schedule")),
        ('scheduler = "celery.beat:PersistentScheduler"', Path("/var/lib/catmaid/celerybeat-schedule")),
        ('scheduler = "django"', None),
        ('scheduler = "django"\nschedule_file = "/x"', Path("/x")),
    ):
        assert _beat(read_rest(tmp_path, f"[beat]\n{rest}").programs[0]).schedule_file == expected


def test_directories_of_a_user_follow_xdg(tmp_path: Path) -> None:
    environment = {"HOME": "/home/anna", "XDG_STATE_HOME": "/state//x/..", "XDG_CONFIG_HOME": "relative"}
    found = directories_for("catmaid", Scope.USER, environment)
    assert read(tmp_path, USER_SCOPE + "[beat]", environment).directories == found
    assert found.configuration == Path("/home/anna/.config/procman/catmaid")
    assert found.state == Path("/state/procman/catmaid")
    assert {found.logs, found.library} == {found.state / name for name in ("log", "lib")}
    assert found.data == Path("/home/anna/.local/share/catmaid")
    assert found.run("catmaid-celery") == found.state / "run" / "catmaid-celery"


def test_directories_of_the_host_follow_from_the_name_alone() -> None:
    found = directories_for("catmaid", Scope.SYSTEM, {"HOME": "/root", "XDG_STATE_HOME": "/elsewhere"})
    assert found.configuration == Path("/etc/procman/catmaid")
    assert found.state == Path("/var/lib/procman/catmaid")
    assert found.logs == Path("/var/log/catmaid")
    assert found.library == Path("/usr/local/lib/procman/catmaid")
    assert found.data == Path("/var/lib/catmaid")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "HOME is '': in user scope it must name your home directory"),
        ({"HOME": "home"}, "HOME is 'home': in user scope it must name your home directory"),
        ({"HOME": "/a\nb"}, "HOME holds a line break: no file that procman writes can name that directory"),
        (
            {"HOME": "/a", "XDG_STATE_HOME": "/\udcff"},
            "XDG_STATE_HOME holds a character U+DCFF: no file that procman writes can name that directory",
        ),
    ],
)
def test_user_without_a_usable_home_is_told(tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    assert problems(tmp_path, USER_SCOPE + "[beat]", environment) == [f"FILE:6: project.scope: {reason}"]


def test_user_and_group_are_not_for_user_scope(tmp_path: Path) -> None:
    reason = 'not allowed with scope = "user": programs run as whoever installs them'
    assert problems(tmp_path, USER_SCOPE + 'user = "x"\ngroup = "y"\n[beat]') == [
        f"FILE:7: project.user: {reason}",
        f"FILE:8: project.group: {reason}",
    ]


def test_host_needs_a_user(tmp_path: Path) -> None:
    assert problems(tmp_path, PROJECT.replace('user = "www-data"', "") + "[beat]") == [
        'FILE:1: project.user: missing: name the user the programs run as, such as "www-data"'
    ]


DEBIAN = SupervisorSettings(
    SupervisorMode.EXISTING, Path("/etc/supervisor/supervisord.conf"), "/etc/supervisor/conf.d/*.conf"
)


@pytest.mark.parametrize(
    ("supervisor", "expected"),
    [
        ("", DEBIAN),
        ('mode = "existing"', DEBIAN),
        (
            'configuration = "/etc/supervisord.conf"',
            SupervisorSettings(SupervisorMode.EXISTING, Path("/etc/supervisord.conf"), "/etc/supervisord.d/*.ini"),
        ),
        (
            'configuration = "/x"\ninclude = "/y/a*b"',
            SupervisorSettings(SupervisorMode.EXISTING, Path("/x"), "/y/a*b"),
        ),
        (
            'mode = "embedded"',
            SupervisorSettings(
                SupervisorMode.EMBEDDED,
                Path("/etc/procman/supervisor/supervisord.conf"),
                "/etc/procman/supervisor/conf.d/*.conf",
            ),
        ),
    ],
)
def test_supervisord_of_the_host(tmp_path: Path, supervisor: str, expected: SupervisorSettings) -> None:
    assert read_rest(tmp_path, f"[beat]\n[supervisor]\n{supervisor}").supervisor == expected


def test_user_has_a_supervisord_of_ones_own(tmp_path: Path) -> None:
    settings = read(tmp_path, USER_SCOPE + "[beat]").supervisor
    assert settings.mode is SupervisorMode.EMBEDDED
    assert settings.configuration == Path("/home/anna/.config/procman/supervisor/supervisord.conf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            PROJECT + '[beat]\n[supervisor]\nconfiguration = "/x"',
            (
                "FILE:8: supervisor.include: missing: write the pattern that stands in the [include] section of /x, "
                'such as "/etc/supervisor/conf.d/*.conf"'
            ),
        ),
        (
            PROJECT + '[beat]\n[supervisor]\nmode = "embedded"\nconfiguration = "/x"',
            (
                'FILE:10: supervisor.configuration: only with mode = "existing": '
                "procman writes the file of its own supervisord"
            ),
        ),
        (
            USER_SCOPE + '[beat]\n[supervisor]\nmode = "existing"',
            (
                'FILE:8: supervisor.configuration: missing: with scope = "user" name your own supervisord\'s file, '
                'or write mode = "embedded"'
            ),
        ),
        (
            PROJECT + '[beat]\n[supervisor]\nsupervisord = "/opt/procman/bin/supervisord"',
            'FILE:9: supervisor.supervisord: only with mode = "embedded": an existing one has its own start',
        ),
        (
            PROJECT + '[beat]\n[supervisor]\nmode = "embedded"\nextend_stop_timeout = true',
            (
                'FILE:10: supervisor.extend_stop_timeout: only with mode = "existing": the unit of procman\'s own '
                "supervisord waits long enough"
            ),
        ),
        (
            PROJECT + '[beat]\n[supervisor]\nconfiguration = "/x"\ninclude = "/x.d/*.conf"\nextend_stop_timeout = true',
            (
                "FILE:11: supervisor.extend_stop_timeout: procman knows the unit of the host's supervisord alone, if "
                "its file is /etc/supervisor/supervisord.conf or /etc/supervisord.conf: remove it, and write the "
                "drop-in yourself (systemctl edit)"
            ),
        ),
    ],
)
def test_supervisord_that_cannot_be_known_is_asked_for(tmp_path: Path, text: str, expected: str) -> None:
    assert problems(tmp_path, text) == [expected]


@pytest.mark.parametrize(
    "pattern", ["conf.d/*.conf", "/etc/x", "/etc/*/x", "/etc/**", "/e/*/*", "/e/?*", "/e/[ab]*", "/e f/*", "/"]
)
def test_include_that_a_file_name_cannot_be_made_from_is_refused(tmp_path: Path, pattern: str) -> None:
    (found,) = problems_with(tmp_path, f"[beat]\n[supervisor]\ninclude = '{pattern}'")
    assert found.startswith("FILE:9: supervisor.include: expected an absolute path with one * in its last part")


def test_identity_is_read_from_a_file_that_is_wrong_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "procman.toml"
    path.write_text('foo = 1\n[project]\nname = "catmaid"\nscope = "user"\napp = 3')
    assert read_identity(path) == ("catmaid", Scope.USER)
    path.write_text('[project]\nname = "catmaid"')
    assert read_identity(path) == ("catmaid", Scope.SYSTEM)


@pytest.mark.parametrize(
    "text",
    [
        '[project]\nname = "catmaid"\nscope = "user"',
        "  [ project ]  # whose\n\tname='catmaid' # it\n  scope  =  'user'",
        '[other]\nname = "x"\n[project]\nscope = "user"\nname = "catmaid"\n[worker.x]\nname = "y"\nscope = "system"',
        '[project]\n"name" = "catmaid"\n\'scope\' = "user"',
        '[project]\nname = "c\\u0061tmaid"\nscope = "user"',
        'project = { name = "catmaid", scope = "user" }',
        'project.name = "catmaid"\nproject.scope = "user"',
        '[project]\nname = """catmaid"""\nscope = "user"',
        '[environment]\nX = """\n[project]\nname = "x"\n"""\n[project]\nname = "catmaid"\nscope = "user"',
        '["project"]\nname = "catmaid"\nscope = "user"',
        '[project]\nname = "catmaid"\nscope = "user"\n[worker.celery]\nqueues = ["crop\nconcurrency = \n[[[',
        'broken\n[project]\nname = "catmaid"\nscope = "user"\napp = ',
    ],
)
def test_identity_is_read_however_it_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "procman.toml"
    path.write_text(text)
    assert read_identity(path) == ("catmaid", Scope.USER)


NAME = "expected small letters, digits and '-', beginning with a letter, 63 characters at most"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f": project.name: missing: {NAME}"),
        ("[project]", f":1: project.name: missing: {NAME}"),
        ("[project]\nuser = 'x'", f":1: project.name: missing: {NAME}"),
        ("[project]\nname = 1", f":2: project.name: {NAME} (found 1)"),
        ("[project]\nname = 'A'", f":2: project.name: {NAME}"),
        ("[project]\nname = 'x'\nscope = []", ':3: project.scope: expected one of "system", "user" (found a list)'),
        ("[project]\nname = 'x'\nscope = 'z'", ':3: project.scope: expected one of "system", "user"'),
        ("project = 1", ":1: project: expected a table: write [project] on a line, and its keys below it"),
        ("[[project]]\nname = 'x'", ":1: project: expected a table, not a list of them"),
        ("=", ":1: this is not TOML: expected KEY = VALUE"),
        ("a = " + "[" * 5000, ": lists or tables stand too deep in one another"),
    ],
)
def test_identity_that_cannot_be_read_is_explained(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "procman.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read_identity(path)
    assert raised.value.problems[0].startswith(f"{path}{problem}")


def test_identity_is_read_without_what_only_a_mistake_needs() -> None:
    # `status` starts with it, and must not be slower than supervisorctl.
    script = "import sys, procman.config.peek_identity, procman.config.find_file; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"procman.config.keys", "procman.config.value_types", "difflib", "procman.secrets"} & set(
        done.stdout.split()
    )


def test_group_is_not_for_supervisord(tmp_path: Path) -> None:
    [problem] = problems(
        tmp_path, PROJECT.replace('user = "www-data"', 'user = "www-data"\ngroup = "staff"') + "[beat]"
    )
    assert "project.group: supervisord changes the user alone" in problem
