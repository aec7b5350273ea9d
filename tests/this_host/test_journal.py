"""Entries of the journal in systemd's JSON (systemd.journal-fields(7)) become lines with their program."""

from __future__ import annotations

import pytest

from procman.backends.logs import LogRequest
from procman.host.journal import AS_JSON, journalctl, lines_of
from procman.model import Scope

UNITS = {"shop-celery.service": "shop-celery", "shop-beat.service": "shop-beat"}

ENTRY = {"__REALTIME_TIMESTAMP": "1796000000000000", "_SYSTEMD_UNIT": "shop-celery.service"}


@pytest.mark.parametrize(
    ("entry", "program", "texts"),
    [
        ({"MESSAGE": "ready"}, "shop-celery", ["ready"]),
        (
            {"MESSAGE": "Started.", "_SYSTEMD_UNIT": "init.scope", "UNIT": "shop-beat.service"},
            "shop-beat",
            ["Started."],
        ),
        (
            {"MESSAGE": "x", "_SYSTEMD_UNIT": "user@7.service", "_SYSTEMD_USER_UNIT": "shop-beat.service"},
            "shop-beat",
            ["x"],
        ),
        ({"MESSAGE": "one\ntwo"}, "shop-celery", ["one", "two"]),
        ({"MESSAGE": [27, 91, 50, 74]}, "shop-celery", ["\\x1b[2J"]),
        ({"MESSAGE": ["one", "two"]}, "shop-celery", ["one", "two"]),
        ({"MESSAGE": None}, "shop-celery", []),
    ],
)
def test_entry_becomes_lines(entry: dict[str, object], program: str, texts: list[str]) -> None:
    found = list(lines_of({**ENTRY, **entry}, UNITS))
    assert [line.text[len("2026-11-30 00:00:00 ") :] for line in found] == texts
    assert {line.program for line in found} == ({program} if texts else set())


def test_one_journalctl_reads_the_units_of_all_programs() -> None:
    words = journalctl([*UNITS], Scope.SYSTEM, LogRequest(7, 1000.9, follow=True), *AS_JSON)
    assert words == [
        "journalctl",
        "--no-pager",
        "--unit=shop-celery.service",
        "--unit=shop-beat.service",
        "--output=json",
        "--output-fields=MESSAGE,UNIT,USER_UNIT,_SYSTEMD_UNIT,_SYSTEMD_USER_UNIT",
        "--all",
        "--lines=7",
        "--since=@1000",
        "--follow",
    ]
