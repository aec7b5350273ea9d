"""The moments that `--since` accepts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import click
import pytest

from procman.cli.options import PastMoment
from procman.cli.times import past_moment
from tests.tables import for_each

NOW = datetime(2026, 11, 29, 9, 30, 15).astimezone()


def local(*fields: int) -> float:
    return datetime(*fields).timestamp()  # type: ignore[arg-type]


@for_each(
    ("text", "before"),
    [
        ("2h", timedelta(hours=2)),
        ("2 h ago", timedelta(hours=2)),
        ("2 hours ago", timedelta(hours=2)),
        ("-2h", timedelta(hours=2)),
        ("30m", timedelta(minutes=30)),
        ("30 min", timedelta(minutes=30)),
        ("90s", timedelta(seconds=90)),
        ("1h30min", timedelta(minutes=90)),
        ("1d", timedelta(days=1)),
        ("1 week ago", timedelta(weeks=1)),
    ],
)
def test_length_of_time_is_before_now(text: str, before: timedelta) -> None:
    assert past_moment(text, NOW) == (NOW - before).timestamp()


@for_each(
    ("text", "moment"),
    [
        ("2026-11-29", local(2026, 11, 29)),
        ("2026-11-29 01:30", local(2026, 11, 29, 1, 30)),
        ("2026-11-29T01:30:05", local(2026, 11, 29, 1, 30, 5)),
        ("2026-11-28t01:30:00z", datetime(2026, 11, 28, 1, 30, tzinfo=timezone.utc).timestamp()),
        ("2026-11-28 01:30:00.5+02:00", datetime(2026, 11, 27, 23, 30, 0, 500_000, timezone.utc).timestamp()),
        ("2026-11-28 01:30-0100", datetime(2026, 11, 28, 2, 30, tzinfo=timezone.utc).timestamp()),
        ("today", local(2026, 11, 29)),
        ("yesterday", local(2026, 11, 28)),
        ("1:30", local(2026, 11, 29, 1, 30)),
        ("09:30:15", local(2026, 11, 29, 9, 30, 15)),
        ("23:50", local(2026, 11, 28, 23, 50)),
        ("9" * 400 + "d", 0.0),
    ],
)
def test_moment_without_a_zone_is_local(text: str, moment: float) -> None:
    assert past_moment(text, NOW) == moment


@for_each(
    "text",
    ["", "ago", "h", "600", "1h30", "2 fortnights", "tomorrow", "2026-11-30", "2026-13-01", "25:00", "0000-01-01", "-"],
)
def test_anything_else_is_no_moment(text: str) -> None:
    assert past_moment(text, NOW) is None


@pytest.mark.parametrize("text", ["600", "tomorrow", "9000-01-01"])
def test_option_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"not a time up to now\. Write 30m"):
        PastMoment().convert(text, None, None)
