"""The times in log lines, and the zone that they are in."""

from __future__ import annotations

from datetime import datetime

import pytest

from procman.host.log_times import GUESS, Clock, agreed, clock_of, moment_of
from tests.tables import for_each

UTC = Clock(0.0)
NOON = datetime.fromisoformat("2026-11-29T12:00:00+00:00").timestamp()


@for_each(
    ("line", "moment"),
    [
        ("[2026-11-29 12:00:00,250: INFO/MainProcess] ready", NOON + 0.25),
        ("2026-11-29 12:00:00 INFO ready", NOON),
        ("2026-11-29T12:00:00.5Z ready", NOON + 0.5),
        ("[2026-11-29 14:00:00 +0200] [7] [INFO] Booting worker", NOON),
        ("2026-11-29T06:30:00-05:30", NOON),
        ("[I 261129 12:00:00 mixins:228] Connected to amqp://", NOON),
        ("2026-11-29 12:00:00 shop-celery: the heartbeat can be written again", None),
        ("[2026-13-29 12:00:00,250: INFO/MainProcess] ready", None),
        ("-- ******* ---- Linux 2026-11-29 12:00:00", None),
        ("Traceback (most recent call last):", None),
        ("", None),
    ],
)
def test_time_at_the_beginning_of_a_line_is_read(line: str, moment: float | None) -> None:
    assert moment_of(line, UTC, "shop-celery") == moment


@pytest.mark.parametrize("hours", [-11, -6, 3, 5.75, 14])
def test_zone_of_a_log_follows_from_when_its_last_line_was_written(hours: float) -> None:
    # The kernel's clock for files may be some milliseconds behind.
    assert clock_of("[2026-11-29 12:00:00,004: INFO/MainProcess] x", NOON - hours * 3600, "a") == Clock(hours * 3600)


def test_local_time_is_recognised() -> None:
    assert clock_of("[2026-11-29 12:00:00,250: x] x", datetime(2026, 11, 29, 12).timestamp(), "a") == Clock()


@pytest.mark.parametrize("seconds", [-3 - 1800, -400, 3, 16 * 3600])
def test_zone_is_a_guess_if_the_file_changed_at_another_time(seconds: float) -> None:
    assert clock_of("[2026-11-29 12:00:00,000: x] x", NOON + seconds, "a") == GUESS
    assert clock_of("Warm shutdown", NOON, "a") == GUESS


def test_programs_that_agree_lend_their_zone() -> None:
    assert agreed([GUESS, Clock(60.0), Clock(60.0)]) == Clock(60.0)
    assert agreed([Clock(60.0), Clock(90.0)]) == agreed([]) == GUESS
