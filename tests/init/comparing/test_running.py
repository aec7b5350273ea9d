"""A running process of an existing program is evidence beside its files."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from procman.accounts import group_name, user_name
from procman.host import process
from procman.init.comparing.behaviour import Running, node_name
from procman.init.comparing.compare import Comparison, compare, identity
from procman.init.comparing.running import running_process
from procman.init.importing.existing import Existing
from procman.model import Kind
from tests.init.comparing.test_compare import (
    KNOWN,
    OLD,
    TEXT,
    different,
    project,
    tables,
    under_systemd,
    unexplained,
    with_words,
)

CELERY = """\
#!{python}
import os, time
for _ in range({children}):
    if os.fork() == 0:
        break
os.write(1, b"up\\n")
time.sleep(60)
"""
"""A `celery` whose processes have the command line of a worker with its pool."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that runs words in which `celery` is such a script, and waits until it is up."""
    started: list[subprocess.Popen[str]] = []
    script = tmp_path / "bin" / "celery"
    script.parent.mkdir()
    script.write_text(CELERY.format(python=sys.executable, children=2))
    script.chmod(0o755)

    def run(line: str, **more: Any) -> subprocess.Popen[str]:
        words = shlex.split(line.replace("celery ", f"{script} ", 1))
        begun = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True, **more)
        started.append(begun)
        assert begun.stdout
        assert [begun.stdout.readline() for _ in range(3)] == ["up\n"] * 3
        return begun

    yield run
    for each in started:
        os.killpg(each.pid, signal.SIGKILL)
        each.communicate()


def program(line: str) -> Existing:
    return with_words(OLD[Kind.WORKER], shlex.split(line))


def test_everything_of_the_main_process_is_read(start: Start, tmp_path: Path) -> None:
    line = "celery -A mysite worker -Q crop"
    begun = start(line, cwd=tmp_path, env={"A": "1"}, umask=0o027, preexec_fn=lambda: os.nice(3))
    found = running_process(program(line), [begun.pid])
    assert found == Running(
        begun.pid,
        gethostname(),
        tuple(process.arguments(begun.pid)),
        {"A": "1"},
        virtualenv=str(Path(sys.executable).parents[1]),
        directory=str(tmp_path),
        user=user_name(os.geteuid()),
        group=group_name(os.getegid()),
        umask="027",
        nice=str(os.getpriority(os.PRIO_PROCESS, 0) + 3),
    )
    assert found.words[-4:] == ("mysite", "worker", "-Q", "crop")


def test_directories_have_the_names_of_the_files(start: Start, tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "current").symlink_to("releases")
    begun = start("celery -A mysite worker", cwd=tmp_path / "current")
    old = replace(program("celery -A mysite worker"), directory=None)
    in_files = running_process(replace(old, directory=tmp_path / "current"), [begun.pid])
    in_project = running_process(old, [begun.pid], [tmp_path / "current"])
    assert in_files == in_project
    assert in_files is not None
    assert in_files.directory == str(tmp_path / "current")
    unnamed = running_process(old, [begun.pid])
    assert unnamed is not None
    assert unnamed.directory == str(tmp_path / "releases")


def test_celery_behind_a_shell_is_found(start: Start) -> None:
    line = "celery -A mysite worker"
    begun = start("/bin/sh -c 'celery -A mysite worker; true'")
    found = running_process(program(line), [begun.pid])
    assert found is not None
    assert found.pid != begun.pid


def test_each_node_is_found_among_all(start: Start) -> None:
    pids = {node: start(f"celery -A mysite worker -n {node}@{gethostname()}").pid for node in ("fast", "slow")}
    for node, pid in pids.items():
        found = running_process(program(f"celery -A mysite worker -n {node}@%h"), pids.values())
        assert found is not None
        assert found.pid == pid
    assert running_process(program("celery -A mysite worker -n other@%h"), pids.values()) is None


def test_programs_with_one_node_name_differ_in_their_options(start: Start) -> None:
    pids = {queue: start(f"celery -A mysite worker -Q {queue}").pid for queue in ("fast", "slow")}
    for queue, pid in pids.items():
        # What runs them may be among the processes, too.
        found = running_process(program(f"celery -A mysite worker -Q {queue}"), [pid, *pids.values()])
        assert found is not None
        assert found.pid == pid
    assert running_process(program("celery -A mysite worker -Q other"), pids.values()) is None


def test_a_program_that_does_not_run_has_no_process(start: Start) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        assert running_process(program("celery -A mysite worker"), [other.pid]) is None
        assert running_process(program("celery -A mysite worker"), []) is None
    finally:
        other.kill()
        other.wait()


# What the process shows is compared instead of what the files promise ------------------------------------------------

OLD_WORKER = OLD[Kind.WORKER]
SEEN = Running(
    7,
    gethostname(),
    OLD_WORKER.words,
    OLD_WORKER.environment,
    directory="/srv/mysite",
    user="www-data",
    group="www-data",
    umask="027",
    nice="5",
)


def compared(seen: Running) -> Comparison:
    known = replace(KNOWN, running={identity(OLD_WORKER): seen})
    return compare(tables(), project(), known)[0]


def test_a_process_that_is_as_its_files_changes_nothing() -> None:
    found = compared(SEEN)
    assert (found.pid, different(found), found.is_explained) == (7, set(), True)


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        (replace(SEEN, words=(*OLD_WORKER.words[:-2], "-I", "lost", "--", "a=1")), "--include"),
        (replace(SEEN, virtualenv="/srv/other"), "virtualenv"),
        (replace(SEEN, environment={**SEEN.environment, "DJANGO_SETTINGS_MODULE": "other"}), "DJANGO_SETTINGS_MODULE"),
        (replace(SEEN, directory="/srv/other"), "directory"),
        (replace(SEEN, user="celery"), "user"),
        (replace(SEEN, group="celery"), "group"),
        (replace(SEEN, umask="077"), "umask"),
        (replace(SEEN, nice="7"), "nice"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_another_value_of_the_process_is_exactly_that_difference(seen: Running, name: str) -> None:
    found = compared(seen)
    assert (different(found), unexplained(found)) == ({name}, {name})
    assert [value.name for value in found.differences if not value.in_files] == [name]


def test_variables_of_supervisord_itself_are_passed_on_to_both() -> None:
    more = {"FROM_ROOT": "1", "SUPERVISOR_ENABLED": "1", "HOME": "/root", "SHLVL": "1"}
    found = compared(replace(SEEN, environment={**SEEN.environment, **more}))
    assert different(found) == {"SUPERVISOR_ENABLED"}
    assert found.is_explained


@pytest.mark.parametrize(("more", "is_known"), [(["--executable=/srv/env/bin/python"], True), ([], False)])
def test_variables_that_celery_multi_passes_on_have_a_reason(more: list[str], is_known: bool) -> None:
    words = (*OLD_WORKER.words[:-2], *more, *OLD_WORKER.words[-2:])
    known = replace(
        KNOWN, running={identity(OLD_WORKER): replace(SEEN, words=words, environment={**SEEN.environment, "TZ": "UTC"})}
    )
    found = compare(tables(), under_systemd(), known)[0]
    assert unexplained(found) == (set() if is_known else {"TZ"})


def test_variables_of_a_login_session_have_a_reason() -> None:
    """Celery's init script starts its nodes with `su`, and pam_systemd begins a session for it."""
    names = ("XDG_SESSION_ID", "XDG_SESSION_TYPE", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
    session = {"XDG_CONFIG_HOME": "/srv", **dict.fromkeys(names, "of the session")}
    known = replace(KNOWN, running={identity(OLD_WORKER): replace(SEEN, environment={**SEEN.environment, **session})})
    found = compare(tables(), under_systemd(), known)[0]
    assert {*names} < different(found)
    assert unexplained(found) == {"XDG_CONFIG_HOME"}


@pytest.mark.parametrize(("more", "is_known"), [("/usr/local/games:/usr/games", True), ("/srv/tools", False)])
def test_the_path_of_a_login_has_a_reason(more: str, is_known: bool) -> None:
    path = f"/usr/local/bin:/usr/bin:/bin:{more}"
    known = replace(
        KNOWN, running={identity(OLD_WORKER): replace(SEEN, environment={**SEEN.environment, "PATH": path})}
    )
    found = compare(tables(), project(TEXT.replace('PATH = "/opt/bin"', "")), known)[0]
    assert unexplained(found) == (set() if is_known else {"PATH"})


def test_a_title_in_place_of_the_command_line_hides_only_that() -> None:
    seen = replace(SEEN, words=("[celeryd: crop@host:MainProcess]",), environment={}, nice="7")
    assert different(compared(seen)) == {"nice"}


def test_a_node_name_with_the_name_of_this_host_is_as_its_files() -> None:
    words = [each.replace("crop@%h", f"crop@{gethostname()}") for each in OLD_WORKER.words]
    assert different(compared(replace(SEEN, words=tuple(words)))) == set()
    words = [each.replace("crop@%h", "crop@other.example") for each in OLD_WORKER.words]
    assert unexplained(compared(replace(SEEN, words=tuple(words)))) == {"--hostname"}


@pytest.mark.parametrize(
    ("name", "expanded"), [("a@%h", "a@web.example.org"), ("a%%@%n", "a%@web"), ("a@%d", "a@example.org")]
)
def test_a_node_name_is_expanded_as_celery_does(name: str, expanded: str) -> None:
    assert node_name({"--hostname": name}, "web.example.org") == expanded
