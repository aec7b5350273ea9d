"""The line of a monitoring plugin, compared whole and with the grammar of performance data."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from procman.model import Level, Result
from procman.output.nagios import as_line, failure_line
from tests.output.health import healthy, stuck

DATUM = re.compile(r"'(?:[^'=|]|'')+'=-?[0-9.]+(?:us|ms|s|%|B|KB|MB|GB|TB|c)?(?:;[^;\s]*){0,4}")
"""'label'=value[unit];[warn];[crit];[min];[max], of the Monitoring Plugins Development Guidelines."""


def test_healthy_project_is_one_line(tmp_path: Path) -> None:
    assert as_line(healthy(tmp_path)) == (
        "CATMAID OK - 1 of 2 running, 1 stopped"
        " | 'catmaid-celery.children'=2;;;0 'catmaid-celery.memory_bytes'=70012928B;;;0 'catmaid-celery.busy'=0;;;0"
        " 'broker_up'=1;;;0 'free_mib_/var/log'=78416;;;0"
    )


def test_most_severe_result_is_first_and_no_detail_ends_the_text_early(tmp_path: Path) -> None:
    assert as_line(stuck(tmp_path)) == (
        "CATMAID CRITICAL - catmaid-celery: messages wait / and 'wait' (PM301); "
        "cannot query the broker: why (PM501); "
        "catmaid-celery: a restart is due: the launcher is newer (PM602); 1 more: procman health"
        " | 'catmaid-celery.children'=2;;;0 'free_mib_/'=3;;;0"
    )


def test_performance_data_follows_the_guidelines_with_any_label(tmp_path: Path) -> None:
    odd = Result("PM304", None, Level.OK, "", values={"messages_it's = a|b\n": 1e15, "messages_é": 0.5})
    line = as_line(replace(healthy(tmp_path), results=(odd,)))
    assert "\n" not in line
    text, bar, data = line.partition(" | ")
    assert bar
    assert "|" not in text + data
    left = DATUM.sub("", data)
    assert left.strip() == ""
    assert len(DATUM.findall(data)) == 5


def test_error_is_one_line() -> None:
    assert failure_line("no program x;\nthere | are y") == "PROCMAN UNKNOWN - no program x; there / are y"
