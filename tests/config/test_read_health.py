"""[health], and its keys that a program can override."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.model import HealthSettings
from tests.config.documents import problems_with, read_rest


def test_missing_table_has_defaults(tmp_path: Path) -> None:
    project = read_rest(tmp_path, "[worker.celery]\n")
    assert project.health == HealthSettings()
    [program] = project.programs
    assert (program.heal, program.stall_seconds, program.memory_restart_mib) == (True, 300, None)


def test_program_overrides_defaults_and_defaults_override_health(tmp_path: Path) -> None:
    text = """
[health]
heal = false
stall_seconds = 10
memory_restart_mib = 100

[defaults.worker]
stall_seconds = 20
memory_restart_mib = 200

[worker.one]
memory_restart_mib = 300

[beat]
heal = true
"""
    worker, beat = read_rest(tmp_path, text).programs
    assert (worker.heal, worker.stall_seconds, worker.memory_restart_mib) == (False, 20, 300)
    assert (beat.heal, beat.stall_seconds, beat.memory_restart_mib) == (True, 10, 100)


@pytest.mark.parametrize("name", ["stale_seconds", "watchdog_seconds"])
def test_time_shorter_than_two_heartbeats_is_refused(tmp_path: Path, name: str) -> None:
    text = (
        f"[worker.celery]\n[health]\nheartbeat_seconds = 20\nstale_seconds = 40\nwatchdog_seconds = 40\n{name} = 39\n"
    )
    lines = text.replace(f"{name} = 40\n", "")
    [problem] = problems_with(tmp_path, lines)
    assert f": health.{name}: 39 is less than twice heartbeat_seconds (20): set it to at least 40" in problem


def test_management_url_with_a_password_is_refused(tmp_path: Path) -> None:
    [problem] = problems_with(
        tmp_path, '[worker.celery]\n[health]\nmanagement_url = "http://guest:secret@host:15672"\n'
    )
    assert "health.management_url" in problem
    assert "secret" not in problem


def test_invalid_event_command_is_answered_with_an_example(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path, '[worker.celery]\n[health]\non_event = "mail root"\n')
    assert 'health.on_event: expected a list of at least one word, such as ["/usr/local/sbin/page-admin"]' in problem
