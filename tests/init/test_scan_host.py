"""The search of the host for supervisord."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from procman.backends.supervisor.configuration.discovery import find_configurations, find_configurations_around
from procman.init import scan_host
from procman.init.draft import Draft
from procman.init.scan_host import (
    choose_supervisord,
    main_file_of,
    main_files,
    set_systemd_version,
)
from procman.model import Scope

MAIN = "[unix_http_server]\nfile=/run/supervisor.sock\n[supervisord]\n[include]\nfiles = conf.d/*.conf\n"


def install(root: Path, path: str, text: str = MAIN) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def choose(root: Path, scope: Scope = Scope.SYSTEM) -> Draft:
    draft = Draft()
    choose_supervisord(draft, scope, main_files(find_configurations({}, root), draft), root)
    return draft


def test_supervisord_of_debian_is_used(tmp_path: Path) -> None:
    file = install(tmp_path, "etc/supervisor/supervisord.conf")
    draft = choose(tmp_path)
    assert draft.tables["supervisor"] == {
        "mode": "existing",
        "configuration": str(file),
        "include": f"{file.parent}/conf.d/*.conf",
    }
    assert draft.warnings == []


def test_host_without_supervisord_gets_procmans_own(tmp_path: Path) -> None:
    assert choose(tmp_path).tables["supervisor"] == {"mode": "embedded"}


def test_user_scope_never_uses_the_supervisord_of_the_host(tmp_path: Path) -> None:
    install(tmp_path, "etc/supervisor/supervisord.conf")
    assert choose(tmp_path, Scope.USER).tables["supervisor"] == {"mode": "embedded"}


def test_systemd_starts_procmans_own_supervisord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    command = Path(sys.executable).with_name("supervisord")
    user = choose(tmp_path, Scope.USER).tables["supervisor"]
    assert user == {"mode": "embedded", "supervisord": str(command)}
    monkeypatch.setattr(scan_host, "trust_problems", lambda path, trusted: ["every user can write to it"])
    draft = choose(tmp_path)
    assert draft.tables["supervisor"] == {"mode": "embedded"}
    assert any("every user can write to it" in warning for warning in draft.warnings)


@pytest.mark.parametrize(("version", "written"), [(257, 257), (240, 240), (239, None)])
def test_version_of_a_running_systemd_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, written: int | None
) -> None:
    monkeypatch.setattr(scan_host, "version", lambda: version)
    draft = Draft()
    set_systemd_version(draft, tmp_path)
    assert draft.tables == {}, "systemd is not running"
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    set_systemd_version(draft, tmp_path)
    assert draft.get("systemd", "minimum_version") == written
    assert draft.fill_in == {}


def test_supervisord_without_include_pattern_is_skipped_with_the_reason(tmp_path: Path) -> None:
    first = install(tmp_path, "etc/supervisord.conf", MAIN.partition("[include]")[0])
    second = install(tmp_path, "etc/supervisor/supervisord.conf")
    draft = choose(tmp_path)
    assert draft.get("supervisor", "configuration") == str(second)
    assert any(str(first) in warning and "[include]" in warning for warning in draft.warnings)


def test_supervisord_that_includes_the_file_has_precedence_in_any_scope(tmp_path: Path) -> None:
    install(tmp_path, "etc/supervisord.conf")
    mine = install(tmp_path, "home/supervisord.conf")
    file = install(tmp_path, "home/conf.d/catmaid.conf", "")
    [reader] = main_files(find_configurations_around(file), Draft())
    for scope in Scope:
        draft = Draft()
        choose_supervisord(draft, scope, main_files(find_configurations({}, tmp_path), draft), tmp_path, reader)
        assert draft.tables["supervisor"] == {
            "mode": "existing",
            "configuration": str(mine),
            "include": f"{mine.parent}/conf.d/*.conf",
        }
        assert draft.warnings == []


def test_supervisord_that_includes_the_file_without_a_pattern_needs_a_change(tmp_path: Path) -> None:
    mine = install(tmp_path, "home/supervisord.conf", MAIN.replace("conf.d/*.conf", "catmaid.conf"))
    [reader] = main_files(find_configurations_around(install(tmp_path, "home/catmaid.conf", "")), Draft())
    draft = Draft()
    choose_supervisord(draft, Scope.SYSTEM, [], tmp_path, reader)
    assert draft.get("supervisor", "configuration") == str(mine)
    assert draft.warnings == [
        f"{mine} does not include {mine.parent}/conf.d/*.conf yet: add it to files in its [include] section"
    ]


def test_second_supervisord_is_reported(tmp_path: Path) -> None:
    first = install(tmp_path, "etc/supervisord.conf")
    second = install(tmp_path, "etc/supervisor/supervisord.conf")
    draft = choose(tmp_path)
    assert draft.get("supervisor", "configuration") == str(first)
    assert draft.warnings == [f"{second} is another supervisord configuration; {first} is used"]


def test_unreadable_configuration_is_reported(tmp_path: Path) -> None:
    file = install(tmp_path, "etc/supervisord.conf", "no section\n")
    draft = choose(tmp_path)
    assert draft.get("supervisor", "mode") == "embedded"
    assert str(file) in draft.warnings[0]


def test_file_belongs_to_the_supervisord_that_includes_it(tmp_path: Path) -> None:
    install(tmp_path, "etc/supervisord.conf", MAIN.replace("conf.d/*.conf", "supervisord.d/*.ini"))
    debian = install(tmp_path, "etc/supervisor/supervisord.conf")
    mains = main_files(find_configurations({}, tmp_path), Draft())
    catmaid = install(tmp_path, "etc/supervisor/conf.d/catmaid.conf", "")
    main = main_file_of(catmaid, mains)
    assert main
    assert main.path == debian
    assert main_file_of(debian, mains) == main
    assert main_file_of(tmp_path / "other.conf", mains) is None
