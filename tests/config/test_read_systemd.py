"""`[systemd]`, the keys for systemd only, and the tables of directives."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.config.load import load
from procman.config.systemd_directives import FREE, KNOWN, RESERVED, WRITTEN
from procman.errors import ConfigurationError
from procman.model import BackendName
from procman.project import OLDEST_SYSTEMD, Project, Sandbox, SystemdLog, SystemdSettings
from tests.hostile import HOSTILE

HEAD = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "/opt/catmaid/env"
{project}
[worker.celery]
{worker}
"""


def read(
    base: Path, worker: str = "", rest: str = "", project: str = 'user = "www-data"\nbackend = "systemd"'
) -> Project:
    path = base / "procman.toml"
    path.write_text(HEAD.format(project=project, worker=worker) + rest, encoding="utf-8")
    return load(path, {"HOME": "/home/anna"})


def problems(
    base: Path, worker: str = "", rest: str = "", project: str = 'user = "www-data"\nbackend = "systemd"'
) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read(base, worker, rest, project)
    return "\n".join(raised.value.problems)


def test_unit_is_sandboxed_and_logs_to_the_journal_by_default(tmp_path: Path) -> None:
    project = read(tmp_path)
    assert project.backend is BackendName.SYSTEMD
    assert project.systemd == SystemdSettings(249, Sandbox.DEFAULT, SystemdLog.JOURNAL)
    assert project.directories.units == Path("/etc/systemd/system")


def test_units_of_a_user_are_in_the_directory_of_the_user(tmp_path: Path) -> None:
    project = read(tmp_path, project='backend = "systemd"\nscope = "user"')
    assert project.directories.units == Path("/home/anna/.config/systemd/user")


def test_directives_are_read_with_the_values_of_unit_files(tmp_path: Path) -> None:
    rest = """
[worker.celery.systemd]
ProtectHome = false
LimitNOFILE = 65536
SystemCallFilter = ["@system-service", "~@mount"]
[systemd.directives]
ReadWritePaths = ["/srv/a b", "/srv/ü"]
CPUQuota = "50%"
"""
    project = read(tmp_path, rest=rest)
    assert project.programs[0].systemd_directives == {
        "ProtectHome": ("no",),
        "LimitNOFILE": ("65536",),
        "SystemCallFilter": ("@system-service", "~@mount"),
    }
    assert project.systemd.directives == {"ReadWritePaths": ("/srv/a b", "/srv/ü"), "CPUQuota": ("50%",)}


@pytest.mark.parametrize("table", ["worker.celery.systemd", "systemd.directives"])
def test_reserved_directive_is_refused_with_the_reason(tmp_path: Path, table: str) -> None:
    text = "\n".join(f'{name} = "1"' for name in RESERVED)
    found = problems(tmp_path, rest=f"[{table}]\n{text}\n")
    for name, reason in RESERVED.items():
        assert f"{table}.{name}: cannot be set: {reason}" in found


def test_misspelt_directive_is_refused_with_the_right_spelling(tmp_path: Path) -> None:
    found = problems(tmp_path, rest='[worker.celery.systemd]\nProtecthome = "yes"\n')
    assert "did you mean ProtectHome?" in found.replace('"', "")


def test_hostile_value_of_a_directive_is_refused_or_has_no_special_characters(tmp_path: Path) -> None:
    for value in sorted({*HOSTILE, "a\nUser=root", "yes\r", "yes\u2028no", "\ufdd0"} - {"", "plain", "two words"}):
        quoted = "".join(f"\\U{ord(character):08X}" for character in value if not 0xD800 <= ord(character) < 0xE000)
        try:
            project = read(tmp_path, rest=f'[worker.celery.systemd]\nSystemCallFilter = "{quoted}"\n')
        except ConfigurationError:
            continue
        [text] = project.programs[0].systemd_directives["SystemCallFilter"]
        assert text == value
        assert text == text.strip()
        assert not set(text) & set("\"'\\%$#;\n\r\t")


def test_directive_newer_than_minimum_version_is_refused(tmp_path: Path) -> None:
    rest = '[systemd.directives]\nMemoryZSwapMax = "1G"\n'
    assert "requires systemd 253: set minimum_version = 253 in [systemd]" in problems(tmp_path, rest=rest)
    assert read(tmp_path, rest=rest + "[systemd]\nminimum_version = 253\n").systemd.minimum_version == 253


def test_value_newer_than_minimum_version_is_refused(tmp_path: Path) -> None:
    rest = '[systemd.directives]\nPrivateTmp = "disconnected"\n'
    assert "requires systemd 257: set minimum_version = 257 in [systemd]" in problems(tmp_path, rest=rest)
    assert read(tmp_path, rest=rest + "[systemd]\nminimum_version = 257\n").programs


def test_private_pids_are_refused_with_the_reason(tmp_path: Path) -> None:
    assert "cannot be set: it hides the program's real process ID" in problems(
        tmp_path, rest="[systemd.directives]\nPrivatePIDs = true\n"
    )


def test_directive_that_a_users_systemd_does_not_support_is_refused_in_user_scope(tmp_path: Path) -> None:
    rest = "[systemd.directives]\nPrivateTmp = true\nRestrictRealtime = true\n"
    found = problems(tmp_path, rest=rest, project='backend = "systemd"\nscope = "user"')
    assert "systemd.directives.PrivateTmp: not possible with scope" in found
    assert "RestrictRealtime" not in found


@pytest.mark.parametrize(
    "key", ["memory_high_mib = 100", "memory_max_mib = 100", "cpu_weight = 50", "tasks_max = 100", "nice = -1"]
)
def test_key_that_supervisord_does_not_support_is_refused(tmp_path: Path, key: str) -> None:
    assert read(tmp_path, key).programs
    found = problems(tmp_path, key, project='user = "www-data"')
    assert f"worker.celery.{key.split()[0]}: supervisord does not support this" in found


def test_negative_nice_is_refused_in_user_scope(tmp_path: Path) -> None:
    assert "worker.celery.nice" in problems(tmp_path, "nice = -1", project='backend = "systemd"\nscope = "user"')


def test_memory_high_above_memory_max_is_refused(tmp_path: Path) -> None:
    assert "memory_high_mib: 2 is above memory_max_mib (1)" in problems(
        tmp_path, "memory_high_mib = 2\nmemory_max_mib = 1"
    )


def test_environment_file_without_launcher_is_accepted_only_under_systemd(tmp_path: Path) -> None:
    project = 'user = "www-data"\nenvironment_file = "/etc/celery.env"\n'
    assert "launcher" in problems(tmp_path, "launcher = false", project=project)
    assert read(tmp_path, "launcher = false", project=project + 'backend = "systemd"')


def test_reserved_project_name_is_refused_under_systemd(tmp_path: Path) -> None:
    text = HEAD.format(project='user = "www-data"', worker="").replace("catmaid", "procman")
    (tmp_path / "procman.toml").write_text(text)
    with pytest.raises(ConfigurationError, match="procman is reserved"):
        load(tmp_path / "procman.toml", {})


def test_every_directive_is_either_free_or_reserved() -> None:
    assert set(WRITTEN) <= set(RESERVED)
    assert not set(FREE) & set(RESERVED)
    assert all(directive.since <= 257 for directive in KNOWN.values())


def test_oldest_version_has_the_directives_that_the_units_need() -> None:
    # NEWS of systemd 240: "Type=exec" and "StandardOutput=append:".
    assert OLDEST_SYSTEMD >= 240
