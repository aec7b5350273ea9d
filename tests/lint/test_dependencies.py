"""PM950: units that systemd stops with the broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.lint.lint import lint
from procman.model import Level
from tests.lint.valid_files import VALID_UNIT


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Requires=redis.service", "redis.service is stopped"),
        ("Requires=postgresql.service rabbitmq-server.service", "rabbitmq-server.service is stopped"),
        ("BindsTo=valkey-server.service", "valkey-server.service stops or fails"),
        ("PartOf=redis-server@main.service", "redis-server@main.service is stopped"),
        ("Requisite=redis.service", "redis.service is stopped"),
        ("Wants=redis.service\nAfter=redis.service", ""),
        ("Requires=redis.service\nRequires=", "redis.service is stopped"),
        ("Requires=srv-media.mount", ""),
    ],
)
def test_unit_that_stops_with_the_broker_is_a_warning(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "site.service"
    file.write_text(VALID_UNIT.replace("[Unit]\n", f"[Unit]\n{line}\n"))
    found = lint([file]).findings
    assert [(each.code, each.level, each.line) for each in found] == ([("PM950", Level.WARNING, 2)] if words else [])
    assert all(words in each.why for each in found)


def test_remedy_for_several_brokers_is_a_line_that_systemd_reads(tmp_path: Path) -> None:
    file = tmp_path / "site.service"
    file.write_text(VALID_UNIT.replace("[Unit]\n", "[Unit]\nRequires=redis.service rabbitmq.service\n"))
    [found] = lint([file]).findings
    assert "whenever redis.service or rabbitmq.service is stopped" in found.why
    assert found.remedy.startswith("Wants=redis.service rabbitmq.service and After=redis.service rabbitmq.service: ")


def test_broker_of_another_program_is_not_judged(tmp_path: Path) -> None:
    file = tmp_path / "web.service"
    file.write_text("[Unit]\nRequires=redis.service\n[Service]\nExecStart=/usr/bin/web\n")
    assert lint([file]).findings == ()
