"""The supervisord of a project: an existing one with its include pattern, or procman's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.model import SupervisorMode, SupervisorSettings
from tests.config.documents import PROJECT, USER_SCOPE, problems, problems_with, read, read_rest

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


def test_user_scope_has_its_own_supervisord(tmp_path: Path) -> None:
    settings = read(tmp_path, USER_SCOPE + "[beat]").supervisor
    assert settings.mode is SupervisorMode.EMBEDDED
    assert settings.configuration == Path("/home/anna/.config/procman/supervisor/supervisord.conf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            PROJECT + '[beat]\n[supervisor]\nconfiguration = "/x"',
            (
                "FILE:8: supervisor.include: missing: copy the pattern from the [include] section of /x, "
                'such as "/etc/supervisor/conf.d/*.conf"'
            ),
        ),
        (
            PROJECT + '[beat]\n[supervisor]\nmode = "embedded"\nconfiguration = "/x"',
            (
                'FILE:10: supervisor.configuration: only allowed with mode = "existing": '
                "procman writes the file of its own supervisord"
            ),
        ),
        (
            USER_SCOPE + '[beat]\n[supervisor]\nmode = "existing"',
            (
                'FILE:8: supervisor.configuration: missing: with scope = "user", name the file of your own '
                'supervisord, or set mode = "embedded"'
            ),
        ),
        (
            PROJECT + '[beat]\n[supervisor]\nsupervisord = "/opt/procman/bin/supervisord"',
            (
                'FILE:9: supervisor.supervisord: only allowed with mode = "embedded": '
                "procman does not start an existing supervisord"
            ),
        ),
        (
            PROJECT + '[beat]\n[supervisor]\nmode = "embedded"\nextend_stop_timeout = true',
            (
                'FILE:10: supervisor.extend_stop_timeout: only allowed with mode = "existing": the unit of '
                "procman's own supervisord waits long enough"
            ),
        ),
        (
            PROJECT + '[beat]\n[supervisor]\nconfiguration = "/x"\ninclude = "/x.d/*.conf"\nextend_stop_timeout = true',
            (
                "FILE:11: supervisor.extend_stop_timeout: only possible for the host's supervisord with the "
                "configuration file /etc/supervisor/supervisord.conf or /etc/supervisord.conf: remove it, and write "
                "the drop-in yourself (systemctl edit)"
            ),
        ),
    ],
)
def test_ambiguous_or_misplaced_key_of_supervisor_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert problems(tmp_path, text) == [expected]


@pytest.mark.parametrize(
    "pattern", ["conf.d/*.conf", "/etc/x", "/etc/*/x", "/etc/**", "/e/*/*", "/e/?*", "/e/[ab]*", "/e f/*", "/"]
)
def test_include_without_a_single_star_in_its_last_part_is_refused(tmp_path: Path, pattern: str) -> None:
    (found,) = problems_with(tmp_path, f"[beat]\n[supervisor]\ninclude = '{pattern}'")
    assert found.startswith("FILE:9: supervisor.include: expected an absolute path with one * in its last part")
