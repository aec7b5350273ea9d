"""Programs and files of an existing supervisord are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from procman.backends.supervisor.configuration import discovery
from procman.backends.supervisor.configuration.main_file import DEFAULT_FILES, MainFile, parse_main_file
from procman.backends.supervisor.configuration.sections import sections_of
from procman.errors import ProcmanError
from tests.reachable import as_somebody, public_directory

CATMAID = """\
; as CATMAID's documentation has it
[program:catmaid-app]
command = /opt/catmaid/django/env/bin/uwsgi --ini /opt/catmaid/uwsgi.ini   ; the web server
user = www-data

[program:catmaid-celery]
command = /opt/catmaid/django/projects/mysite/run-celery.sh
user = www-data
redirect_stderr = true

[group:catmaid]
programs=catmaid-app,
  catmaid-celery
"""


def main_file(directory: Path, include: str) -> MainFile:
    text = f"[unix_http_server]\nfile=/run/s.sock\n[supervisord]\n[include]\nfiles = {include}\n"
    return parse_main_file(directory / "supervisord.conf", text)


def test_programs_and_groups_are_read_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "catmaid.conf"
    file.write_text(CATMAID)
    app, celery, group = discovery.read_programs(file)
    assert (app.kind, app.name, app.line) == ("program", "catmaid-app", 2)
    assert app.value("command") == "/opt/catmaid/django/env/bin/uwsgi --ini /opt/catmaid/uwsgi.ini"
    assert (celery.name, celery.line, celery.value("redirect_stderr")) == ("catmaid-celery", 6, "true")
    assert (group.kind, group.line, group.members()) == ("group", 11, ["catmaid-app", "catmaid-celery"])


def test_line_that_resembles_a_header_is_no_section(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("[program:a]\ncommand = x\n  [program:b]\n\n# [program:c]\n[x]\n[program:d]\ncommand=y\n")
    assert [(found.name, found.line) for found in discovery.read_programs(file)] == [("a", 1), ("d", 7)]


def test_repeated_section_is_returned_twice(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("[program:a]\ncommand = x\nuser = one\n[program:a]\nuser = two\n")
    found = discovery.read_programs(file)
    assert [(each.line, each.value("user")) for each in found] == [(1, "one"), (4, "two")]


def test_file_that_supervisord_cannot_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("command = x\n")
    with pytest.raises(
        ProcmanError, match=rf"{file}:1: supervisord cannot read it: there is no \[section\] above this line"
    ):
        discovery.read_programs(file)
    with pytest.raises(ProcmanError, match=r"missing\.conf: cannot be read"):
        discovery.read_programs(tmp_path / "missing.conf")


def test_configurations_are_found_in_supervisors_search_order(tmp_path: Path) -> None:
    for path in ("etc/supervisor/supervisord.conf", "etc/supervisord.conf", "opt/etc/supervisord.conf"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    binary = tmp_path / "opt/bin/supervisord"
    binary.parent.mkdir()
    binary.touch(mode=0o755)
    found = discovery.find_configurations({"PATH": str(binary.parent)}, tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "opt/etc/supervisord.conf",
        "etc/supervisord.conf",
        "etc/supervisor/supervisord.conf",
    ]


def test_configuration_in_an_inaccessible_directory_is_skipped() -> None:
    with public_directory() as root:
        for path in ("etc/supervisor", "opt"):
            (root / path).mkdir(parents=True)
            (root / path).chmod(0o000)
        as_somebody(lambda: _assert_nothing_found(root))


def _assert_nothing_found(root: Path) -> None:
    assert discovery.find_configurations({"PATH": str(root / "opt/bin")}, root) == ()


def test_default_files_are_in_supervisors_search_path() -> None:
    assert [str(path) for path in DEFAULT_FILES] == ServerOptions().searchpaths[-2:]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ("conf.d/*.conf", "conf.d/*.conf"),
        ("single.conf conf.d/*.ini", "conf.d/*.ini"),
        ("*/x.conf a-*-b.conf", "a-*-b.conf"),
        ("conf.d/[ab]*.conf */*.conf", None),
        ("single.conf", None),
    ],
)
def test_include_pattern_needs_one_asterisk_in_the_file_name(
    tmp_path: Path, include: str, expected: str | None
) -> None:
    found = discovery.include_for(main_file(tmp_path, include))
    assert found == (str(tmp_path / expected) if expected else None)


def test_values_are_expanded_as_by_supervisord() -> None:
    [program] = sections_of(
        "[program:worker]\n"
        "command=%(here)s/bin/celery -n %(program_name)s@%%h 'two words'\n"
        """environment=A="x, y",B='%(program_name)s'\n"""
        "directory=%(ENV_HOME)s/catmaid\n"
    )
    here = Path("/etc/supervisor")
    assert discovery.command_of(program, here) == [
        "/etc/supervisor/bin/celery",
        "-n",
        "worker@%h",
        "two words",
    ]
    assert discovery.environment_of(program, here) == {"A": "x, y", "B": "worker"}
    assert discovery.expanded(program, "user", here) == ""
    with pytest.raises(ValueError, match="ENV_HOME"):
        discovery.expanded(program, "directory", here)
