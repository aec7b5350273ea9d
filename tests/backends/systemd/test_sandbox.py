"""The restrictions of a program, as rated by systemd itself, and its remaining access."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from procman.backends.systemd.sandbox import left_out, read_only, writable_paths
from procman.project import Project
from tests.backends.systemd.projects import SYSTEM_SCOPE, USER_SCOPE, directives_of, project, units_of

UNIT = "catmaid-celery.service"
BEAT = "catmaid-celery-beat.service"


def is_exposed_at_most(tenths: int, unit: str, directory: Path) -> bool:
    """Return whether `systemd-analyze security` rates a unit at most `tenths` / 10; lower is better."""
    path = directory / UNIT
    path.write_text(unit)
    words = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={tenths}", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert f"Overall exposure level for {UNIT}" in done.stdout, done.stderr
    return done.returncode == 0


def unit_of(desired: Project, name: str = UNIT) -> dict[str, list[str]]:
    return directives_of(units_of(desired)[name])


@pytest.mark.parametrize("name", [UNIT, BEAT, "catmaid-flower.service"])
@pytest.mark.parametrize(("sandbox", "bound"), [("default", 20), ("strict", 11)])
def test_exposure_is_within_its_bound(tmp_path: Path, name: str, sandbox: str, bound: int) -> None:
    settings = f'sandbox = "{sandbox}"'
    assert is_exposed_at_most(bound, units_of(project(systemd=settings))[name], tmp_path)


def test_exposure_without_a_sandbox_is_what_a_plain_unit_has(tmp_path: Path) -> None:
    assert not is_exposed_at_most(89, units_of(project(systemd='sandbox = "off"'))[UNIT], tmp_path)


@pytest.mark.parametrize(("version", "bound"), [(240, 27), (247, 20), (257, 20)])
def test_exposure_stays_low_for_an_older_systemd(tmp_path: Path, version: int, bound: int) -> None:
    unit = units_of(project(systemd=f"minimum_version = {version}"))[UNIT]
    assert is_exposed_at_most(bound, unit, tmp_path)


def test_every_line_of_the_sandbox_has_a_comment() -> None:
    text = units_of(project(systemd='sandbox = "strict"'))[UNIT]
    lines = text.partition("# The sandbox.")[2].partition("[Install]")[0].splitlines()
    for before, line in pairwise(lines):
        if line and not line.startswith("#"):
            assert before.startswith("#") or before.partition("=")[0] == line.partition("=")[0]


@pytest.mark.parametrize("sandbox", ["default", "strict"])
def test_what_breaks_numpy_compilers_psutil_or_other_programs_is_never_in_a_profile(sandbox: str) -> None:
    unit = unit_of(project(systemd=f'sandbox = "{sandbox}"'))
    assert not {"MemoryDenyWriteExecute", "ProcSubset", "PrivateNetwork", "RemoveIPC"} & set(unit)


def test_writable_paths_are_writable() -> None:
    desired = project(more='writable_paths = ["/srv/media", "/srv/media/tiles", "/opt/x"]')
    assert unit_of(desired)["ReadWritePaths"] == ["/opt/x /srv/media"]
    assert unit_of(desired, BEAT)["ReadWritePaths"] == ["/opt/x /srv/media /var/lib/catmaid"]


def test_beat_can_write_its_schedule_file() -> None:
    desired = project(rest="").programs
    assert writable_paths(project(), desired[-1]) == [Path("/var/lib/catmaid")]
    assert writable_paths(project(), desired[0]) == []


@pytest.mark.parametrize(
    "more", ['writable_paths = ["/tmp/catmaid"]', 'writable_paths = ["/var/tmp/x"]', 'python_path = ["/tmp/lib"]']
)
def test_project_with_a_path_in_tmp_uses_the_hosts_tmp(more: str) -> None:
    unit = unit_of(project(more=more))
    assert unit["PrivateTmp"] == ["no"]
    assert "/tmp" in unit["ReadWritePaths"][0].split()
    assert "/var/tmp" in unit["ReadWritePaths"][0].split()


def test_tmp_of_the_host_stays_writable_without_a_private_one() -> None:
    # Celery does not start without a writable temporary directory.
    unit = unit_of(project(rest="[worker.celery.systemd]\nPrivateTmp = false\n"))
    assert unit["PrivateTmp"] == ["no"]
    assert unit["ReadWritePaths"] == ["/tmp /var/tmp"]


def test_disconnected_tmp_is_private() -> None:
    asked = 'minimum_version = 257\n[systemd.directives]\nPrivateTmp = "disconnected"'
    text = units_of(project(systemd=asked))[UNIT]
    assert "# A /tmp and /var/tmp of its own, in memory and emptied at stop.\nPrivateTmp=disconnected\n" in text
    assert "ReadWritePaths" not in directives_of(text)


def at_home(systemd: str, more: str = "") -> Project:
    desired = project(systemd=systemd, more=more)
    return replace(desired, directory=Path("/home/anna/projects"), virtualenv=Path("/home/anna/env"))


def test_project_in_a_home_directory_is_readable_by_default() -> None:
    unit = unit_of(at_home("", 'writable_paths = ["/home/anna/media"]'))
    assert unit["ProtectHome"] == ["read-only"]
    assert unit["ReadWritePaths"] == ["/home/anna/media"]


def test_strict_sandbox_hides_home_directories_except_the_project() -> None:
    assert unit_of(project(systemd='sandbox = "strict"'))["ProtectHome"] == ["yes"]
    unit = unit_of(at_home('sandbox = "strict"', 'writable_paths = ["/home/anna/media", "/srv/x"]'))
    assert unit["ProtectHome"] == ["tmpfs"]
    assert unit["BindReadOnlyPaths"] == ['"/home/anna/env" "/home/anna/projects"']
    assert unit["BindPaths"] == ['"/home/anna/media"']
    assert unit["ReadWritePaths"] == ["/srv/x"]


def test_directives_can_be_overridden_for_one_program_or_for_all() -> None:
    rest = """
[systemd.directives]
ProtectProc = "default"
LimitNOFILE = 4096
[worker.celery.systemd]
SystemCallFilter = ["@system-service", "~@mount"]
ProtectProc = "noaccess"
DeviceAllow = "/dev/nvidia0 rw"
"""
    desired = project(rest=rest)
    unit = unit_of(desired)
    assert unit["SystemCallFilter"] == ["@system-service", "~@mount"]
    assert unit["ProtectProc"] == ["noaccess"]
    assert unit["LimitNOFILE"] == ["4096"]
    assert unit["DeviceAllow"] == ["/dev/nvidia0 rw"]
    assert unit_of(desired, BEAT)["ProtectProc"] == ["default"]
    assert unit_of(desired, BEAT)["SystemCallFilter"] == ["@system-service", "~@privileged"]


def test_paths_in_procman_toml_add_to_the_profile() -> None:
    rest = '[worker.celery.systemd]\nReadWritePaths = ["-/srv/a b", "/srv/c"]\n'
    unit = unit_of(project(more='writable_paths = ["/srv/media"]', rest=rest))
    assert unit["ReadWritePaths"] == ["/srv/media", '"-/srv/a b" /srv/c']


def test_without_a_sandbox_directives_apply_and_refused_calls_are_errors() -> None:
    unit = unit_of(project(systemd='sandbox = "off"', rest="[worker.celery.systemd]\nNoNewPrivileges = true\n"))
    assert unit["NoNewPrivileges"] == ["yes"]
    assert unit["SystemCallErrorNumber"] == ["EPERM"]
    assert not {"ProtectSystem", "PrivateTmp", "SystemCallFilter"} & set(unit)


def test_user_scope_renders_supported_directives_and_names_the_others() -> None:
    desired = project(scope=USER_SCOPE)
    unit = unit_of(desired)
    assert {"NoNewPrivileges", "SystemCallFilter", "RestrictNamespaces", "RestrictAddressFamilies"} <= set(unit)
    assert not {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "CapabilityBoundingSet"} & set(unit)
    assert {"ProtectSystem", "ProtectHome", "PrivateTmp"} <= set(left_out(desired))
    assert left_out(project(scope=SYSTEM_SCOPE)) == []
    assert left_out(project(systemd="minimum_version = 240")) == [
        "ProtectHostname",
        "ProtectClock",
        "ProtectKernelLogs",
        "ProtectProc",
        "RestrictSUIDSGID",
    ]


def test_written_paths_that_become_read_only_are_found() -> None:
    desired = project(more='writable_paths = ["/srv/media"]')
    worker = desired.programs[0]
    written = [
        "/srv/media/1.tif",
        "/var/lib/procman/catmaid/run/catmaid-celery/lock",
        "/tmp/x",
        "/dev/null",
        "/proc/self/x",
    ]
    refused = ["/srv/other/x", "/home/anna/x", "/var/lib/procman/catmaid/run/catmaid-flower/lock", "/srv/media2/x"]
    assert read_only(desired, worker, map(Path, [*written, *refused])) == sorted(map(Path, refused))
    assert read_only(project(systemd='sandbox = "off"'), worker, [Path("/srv/other/x")]) == []
    assert read_only(project(scope=USER_SCOPE), worker, [Path("/srv/other/x")]) == []
