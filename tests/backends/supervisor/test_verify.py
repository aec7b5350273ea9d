"""Supervisor's own parser reads a rendering, together with all other files, before an install (R6)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.supervisor import renderer
from procman.backends.supervisor.configuration.takeover import remaining
from procman.backends.supervisor.verify import unread, verify
from procman.model import SupervisorMode, SupervisorSettings
from procman.project import Rendering
from tests.backends.supervisor import projects
from tests.backends.supervisor.real_supervisord import as_nobody

MAIN = """[unix_http_server]
file=/run/s ; comment

[supervisord]
logfile={directory}/supervisord.log
pidfile={directory}/supervisord.pid

[include]
files = {directory}/conf.d/*.conf
"""


class Host:
    """The files of a supervisord, including unmanaged ones, and a project to be installed; nothing is running."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sections = directory / "conf.d"
        self.sections.mkdir()
        self.main = directory / "supervisord.conf"
        self.main.write_text(MAIN.format(directory=directory))
        settings = SupervisorSettings(SupervisorMode.EXISTING, self.main, f"{self.sections}/*.conf")
        base = projects.reference()
        places = replace(
            base.directories, logs=directory / "log/catmaid", configuration=directory / "etc", state=directory / "state"
        )
        self.project = replace(base, supervisor=settings, user=None, directories=places)

    @property
    def rendering(self) -> Rendering:
        return renderer.render(self.project)

    def theirs(self, text: str, name: str = "theirs.conf") -> Path:
        """Write an unmanaged file."""
        file = self.sections / name
        file.write_text(text)
        return file

    def problems(self, **arguments: object) -> list[str]:
        """Return the problems of installing the project."""
        return verify(self.project, self.rendering, **arguments)  # type: ignore[arg-type]

    def section(self, number: int = 0) -> Path:
        """Return the path of a section of the project."""
        return [file.path for file in self.rendering.files if file.section][number]

    def edited(self, old: str, new: str) -> Rendering:
        """Return the rendering of a changed template, with `new` in place of `old`."""
        changed = [
            replace(file, content=file.content.replace(old, new)) if file.section else file
            for file in self.rendering.files
        ]
        assert changed != list(self.rendering.files)
        return replace(self.rendering, files=tuple(changed))


@pytest.fixture
def host() -> Iterator[Host]:
    directory = Path(tempfile.mkdtemp(prefix="pv", dir="/tmp"))
    directory.chmod(0o755)
    yield Host(directory)
    shutil.rmtree(directory)


def test_first_install_into_an_empty_directory_is_valid(host: Host) -> None:
    before = sorted(host.directory.rglob("*"))
    assert host.problems() == []
    assert sorted(host.directory.rglob("*")) == before


def test_install_beside_unmanaged_sections_is_valid(host: Host) -> None:
    host.theirs("[program:web]\ncommand=sleep 1\nstdout_logfile=%(here)s/web.log\n[group:site]\nprograms=web\n")
    host.theirs(
        "[eventlistener:mail]\ncommand=%(here)s/mail\nevents=TICK_60\nresult_handler=mailer.of:theirs\n"
        "[fcgi-program:php]\ncommand=php\nsocket=tcp://localhost:9002\n[program:p]\ncommand=x\n"
        "process_name=%(program_name)s_%(process_num)02d\nnumprocs=3\nenvironment=A=%(ENV_NOT_OURS)s\n"
        "[rpcinterface:theirs]\nsupervisor.rpcinterface_factory=not.there:factory\n",
        "b ; c%.conf",
    )
    assert host.problems() == []


def test_process_of_an_unmanaged_program_may_have_the_name_of_a_program(host: Host) -> None:
    host.theirs("[program:x]\ncommand=x\nprocess_name=catmaid-celery\n")
    assert host.problems() == []


def test_second_install_is_valid(host: Host) -> None:
    for file in host.rendering.files:
        if file.section:
            file.path.write_text(file.content)
    assert host.problems() == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[program:catmaid-celery]\ncommand=x\n", 1),
        ("[program:a]\ncommand=x\n\n[program: catmaid-celery ] ; x\ncommand=x\n", 4),
        ("[fcgi-program:catmaid-celery]\ncommand=x\nsocket=tcp://localhost:9002\n", 1),
        ("[eventlistener:catmaid-celery]\ncommand=x\nevents=TICK_5\n", 1),
        ("\n[group:catmaid]\nprograms=catmaid-celery,catmaid-celery-beat\n", 2),
        ("[program:a]\ncommand=x\n[group:catmaid-celery]\nprograms=a\n", 3),
    ],
)
def test_unmanaged_section_that_names_a_program_is_refused(host: Host, text: str, line: int) -> None:
    file = host.theirs(text)
    [problem] = host.problems()
    assert problem.startswith(f"{file}:{line}: ")
    assert f"procman install --replace {file}" in problem


def test_section_in_the_main_file_that_names_a_program_is_refused(host: Host) -> None:
    host.main.write_text(host.main.read_text() + "[program:catmaid-celery]\ncommand=x\n")
    [problem] = host.problems()
    assert problem.startswith(f"{host.main}:10: ")


def test_every_clash_is_reported_in_one_run(host: Host) -> None:
    host.theirs("[program:catmaid-celery]\ncommand=x\n[program:catmaid-celery-beat]\ncommand=x\n")
    host.theirs("[group:g]\nprograms=catmaid-celery\n", "more.conf")
    assert len(host.problems()) == 3


def test_program_of_another_procman_project_cannot_be_adopted(host: Host) -> None:
    host.theirs("; Written by procman for other: x\n[program:catmaid-celery]\ncommand=x\n")
    [problem] = host.problems()
    assert "--replace" not in problem
    assert "rename" in problem


def test_rest_of_an_adopted_file_is_valid(host: Host) -> None:
    file = host.theirs(
        "[program:catmaid-app]\ncommand=x\n[program:catmaid-celery]\ncommand=x\n"
        "[group:catmaid]\nprograms=catmaid-app,catmaid-celery\n"
    )
    names = {program.name for program in host.project.programs}
    assert host.problems()
    assert host.problems(adopted={file: remaining(file, names)}) == []
    assert host.problems(adopted={file: None}) == []
    assert file.read_text().count("catmaid-celery") == 2


def test_only_files_that_the_supervisord_reads_are_adopted(host: Host) -> None:
    link = host.directory / "link.d"
    link.symlink_to(host.sections)
    read = [
        host.main,
        host.sections / "theirs.conf",
        link / "theirs.conf",
        *(file.path for file in host.rendering.files),
    ]
    other = host.directory / "other.d" / "theirs.conf"
    [problem] = unread(host.project, host.rendering, [*read, other])
    assert problem.startswith(f"{other} is not read by the supervisord of {host.main}")
    assert 'mode = "existing"' in problem
    assert "move the file away" in problem


def test_file_that_will_be_removed_does_not_count(host: Host) -> None:
    file = host.theirs("[program:catmaid-celery]\ncommand=x\n")
    assert host.problems(removed=[file]) == []


def test_file_behind_a_symbolic_link_is_the_same_file(host: Host) -> None:
    link = host.directory / "link"
    link.symlink_to(host.sections)
    host.main.write_text(host.main.read_text().replace("conf.d/*.conf", "link/*.conf"))
    file = host.theirs("[program:catmaid-celery]\ncommand=x\n")
    assert len(host.problems()) == 1
    assert host.problems(removed=[file]) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("rubbish\n", ":1:"),
        ("[program:x]\nrubbish\n", ":2:"),
        ("[program:x]\n", ":1:"),
        ("[program:y]\ncommand=x\n[program:x]\ncommand=x\nstartsecs=soon\n", ":3:"),
        ("[program:x]\ncommand=x\nuser=nobody-of-that-name\n", ":1:"),
        ("[program:x]\ncommand=%(nothing)s\n", ":1:"),
        ("[group:g]\nprograms=missing\n", ":1:"),
        ("[program:x]\ncommand=x\nstdout_logfile=/nonexistent/x.log\n", ":1:"),
        ("[eventlistener:x]\ncommand=x\n", ":1:"),
    ],
)
def test_invalid_unmanaged_file_is_named(host: Host, text: str, where: str) -> None:
    file = host.theirs(text)
    [problem] = host.problems()
    assert problem.startswith(f"{file}:")
    assert where in problem


@pytest.mark.parametrize("name", ["a b.conf", "a ; b.conf", "50%.conf", "[x].conf", "ä.conf", "a'b.conf"])
def test_file_with_a_strange_name_is_read(host: Host, name: str) -> None:
    host.theirs("[program:x]\ncommand=x\n", name)
    assert host.problems() == []
    file = host.theirs("[program:x]\n", name)
    [problem] = host.problems()
    assert problem.startswith(f"{file}:1: ")


def test_here_is_the_directory_of_the_file_that_uses_it(host: Host) -> None:
    (host.directory / "logs").mkdir()
    (host.sections / "logs.d").mkdir()
    host.main.write_text(host.main.read_text() + "[program:m]\ncommand=x\nstdout_logfile=%(here)s/logs/m.log\n")
    text = "[program:x]\ncommand=x\nstdout_logfile=%(here)s/logs.d/x.log\n"
    file = host.theirs(text)
    assert host.problems() == []
    assert host.problems(adopted={file: text + "; changed\n"}) == []


def test_invalid_main_file_is_named(host: Host) -> None:
    host.main.write_text(host.main.read_text().replace("[supervisord]", "[supervisord]\nminfds=many"))
    [problem] = host.problems()
    assert problem.startswith(f"{host.main}:")


def test_invalid_program_in_the_main_file_is_named(host: Host) -> None:
    host.main.write_text(host.main.read_text() + "[program:x]\n")
    [problem] = host.problems()
    assert problem.startswith(f"{host.main}:10: ")
    assert f"(file: '{host.main}')" in problem


def test_missing_main_file_is_named(host: Host) -> None:
    host.main.unlink()
    [problem] = host.problems()
    assert problem.startswith(f"{host.main}:")


def test_file_that_is_not_utf8_is_named(host: Host) -> None:
    file = host.theirs("")
    file.write_bytes(b"[program:x]\ncommand=caf\xe9\n")
    [problem] = host.problems()
    assert problem.startswith(f"{file}: ")
    assert "byte 23" in problem


def test_entries_that_supervisord_skips_are_skipped(host: Host) -> None:
    (host.sections / "directory.conf").mkdir()
    (host.sections / "nowhere.conf").symlink_to("/nonexistent")
    host.theirs("rubbish", ".hidden.conf")
    host.theirs("rubbish", "x.conf~")
    assert host.problems() == []


def test_every_invalid_file_is_reported_in_one_run(host: Host) -> None:
    host.theirs("rubbish\n", "a.conf")
    host.theirs("rubbish\n", "b.conf")
    assert len(host.problems()) == 2


@pytest.mark.parametrize(
    ("include", "remedy"),
    [
        ("[include]\nfiles = {directory}/other/*.conf\n", "files = {directory}/other/*.conf {sections}/*.conf"),
        ("[include]\nfiles = {directory}/conf.d/*.ini\n", "files = {directory}/conf.d/*.ini {sections}/*.conf"),
        ("", "[include] and files = {sections}/*.conf"),
    ],
)
def test_include_that_does_not_match_is_reported_with_the_line_to_add(host: Host, include: str, remedy: str) -> None:
    text = MAIN.partition("[include]")[0] + include
    host.main.write_text(text.format(directory=host.directory))
    [problem] = host.problems()
    assert problem.startswith(f"{host.main}: supervisord would not read {host.section()}")
    assert remedy.format(directory=host.directory, sections=host.sections) in problem


@pytest.mark.parametrize("pattern", ["conf.d/*.conf", "%(here)s/conf.d/*", "conf.?/c*.conf other/*"])
def test_include_is_read_as_by_supervisord(host: Host, pattern: str) -> None:
    host.main.write_text(host.main.read_text().replace(f"{host.sections}/*.conf", pattern))
    assert host.problems() == []
    host.theirs("[group:g]\nprograms=catmaid-celery\n", "c.conf")
    assert len(host.problems()) == 1


@pytest.mark.parametrize(
    ("option", "value"), [("user", "nobody"), ("directory", "/"), ("stopwaitsecs", "10"), ("stopasgroup", "true")]
)
def test_default_section_that_changes_a_program_is_found(host: Host, option: str, value: str) -> None:
    file = host.theirs(f"[DEFAULT]\n{option}={value}\n")
    rendering = host.rendering
    if option in ("stopwaitsecs", "stopasgroup"):
        # Options in procman's own file are not affected.
        assert verify(host.project, rendering) == []
        return
    problems = verify(host.project, rendering)
    assert len(problems) == len(host.project.programs)
    assert all(f"[DEFAULT] in {file}:1" in problem for problem in problems)


@pytest.mark.parametrize(
    ("old", "new", "printed"),
    [
        ("stopasgroup=false", "stopasgroup=true", "stopasgroup must be false"),
        ("killasgroup=true", "killasgroup=false", "killasgroup must be true"),
        ("autostart=true", "process_name=%(program_name)s-%(process_num)d\nnumprocs=2", "must define the program"),
        ("autostart=true", "autostart=maybe", "not a valid boolean"),
        ("command=", ";command=", "does not specify a command"),
        ("autostart=true", "autostart=true\n[supervisord]\nminfds=3", "[supervisord] is not allowed here"),
        ("autostart=true", "autostart=true\n[program:more]\ncommand=x", "more:more is not managed by procman, but"),
        ("redirect_stderr=true", "redirect_stderr=true\nstderr_logfile=/tmp/x", "stderr_logfile has also been set"),
    ],
)
def test_template_that_breaks_the_contract_is_refused(host: Host, old: str, new: str, printed: str) -> None:
    problems = verify(host.project, host.edited(old, new))
    assert any(printed in problem for problem in problems), problems


def test_template_that_changes_an_unmanaged_program_is_refused(host: Host) -> None:
    host.theirs("[program:web]\ncommand=x\n")
    rendering = host.edited(
        "[program:catmaid-celery]", "[program:web]\ncommand=x\npriority=7\n[program:catmaid-celery]"
    )
    [problem] = verify(host.project, rendering)
    assert "web:web" in problem
    assert "would change" in problem


def test_log_directory_that_will_not_exist_is_refused(host: Host) -> None:
    rendering = host.edited(f"={host.project.directories.logs}", "=/nonexistent")
    [problem] = verify(host.project, rendering)
    assert problem.startswith(f"{host.sections}/catmaid-celery")
    assert "/nonexistent" in problem


def test_user_that_does_not_exist_is_refused(host: Host) -> None:
    host.project = replace(host.project, user="nobody-of-that-name", group=None)
    [problem] = host.problems()
    assert "nobody-of-that-name" in problem
    assert ".conf:2: " in problem


def test_embedded_supervisord_is_verified_before_its_files_exist(tmp_path: Path) -> None:
    project = projects.embedded(tmp_path, Path("/nonexistent"))
    assert verify(project, renderer.render(project)) == []


def test_nothing_of_the_configuration_is_imported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(host.directory))
    (host.directory / "trap.py").write_text(f"open({str(host.directory / 'sprung')!r}, 'w')\ndef f(): pass\n")
    host.theirs("[rpcinterface:x]\nsupervisor.rpcinterface_factory=trap:f\n")
    assert host.problems() == []
    assert not (host.directory / "sprung").exists()


@pytest.mark.root("becomes another user")
class TestWithoutRights:
    """The view of an administrator who forgot sudo."""

    def as_nobody(self, host: Host) -> list[str]:
        project, rendering = host.project, host.rendering
        problems = as_nobody(lambda: verify(project, rendering))
        assert isinstance(problems, list)
        return problems

    def test_readable_files_suffice(self, host: Host) -> None:
        host.theirs("[program:web]\ncommand=x\n")
        assert self.as_nobody(host) == []

    def test_unreadable_file_is_named(self, host: Host) -> None:
        file = host.theirs("[program:web]\ncommand=x\n")
        file.chmod(0o600)
        [problem] = self.as_nobody(host)
        assert problem.startswith(f"{file}: cannot be read")
        assert "sudo" in problem

    def test_unreadable_directory_is_named(self, host: Host) -> None:
        host.sections.chmod(0o700)
        problems = self.as_nobody(host)
        assert any(problem.startswith(f"{host.sections}: cannot be read") for problem in problems)

    def test_unreadable_main_file_is_named(self, host: Host) -> None:
        host.main.chmod(0o600)
        [problem] = self.as_nobody(host)
        assert problem.startswith(f"{host.main}: cannot be read")

    def test_inaccessible_log_directory_is_accepted(self, host: Host) -> None:
        (host.directory / "private/log").mkdir(parents=True)
        (host.directory / "private").chmod(0o700)
        host.theirs(f"[program:web]\ncommand=x\nstdout_logfile={host.directory}/private/log/web.log\n")
        assert self.as_nobody(host) == []
