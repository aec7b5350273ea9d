"""`procman logs` prefixes the lines of several programs, and ends cleanly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from procman.backends.logs import LogLine, LogRequest
from procman.cli.main import run
from procman.cli.selection import Selection
from procman.deploy import start_stop

LINES = [LogLine("shop-celery", "one"), LogLine("shop-beat", "two")]


def printed(
    arguments: list[str],
    lines: list[LogLine],
    monkeypatch: pytest.MonkeyPatch,
    *,
    then: type[BaseException] | None = None,
) -> tuple[int, LogRequest]:
    """Run `procman logs` on `lines`; return its exit status and what it asked for."""
    asked: list[LogRequest] = []

    def logs(_: object, __: object, request: LogRequest) -> tuple[list[str], Iterator[LogLine]]:
        asked.append(request)
        return list(dict.fromkeys(line.program for line in lines)), written()

    def written() -> Iterator[LogLine]:
        yield from lines
        if then:
            raise then

    monkeypatch.setattr(Selection, "installed", lambda _: None)
    monkeypatch.setattr(start_stop, "logs", logs)
    return run(["logs", *arguments]), asked[0]


def test_lines_of_one_program_have_no_prefix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, request = printed(["celery"], LINES[:1], monkeypatch)
    assert (status, request.lines, request.since, request.follow) == (0, 50, None, False)
    assert capsys.readouterr().out == "one\n"


def test_lines_of_several_programs_have_aligned_prefixes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed([], LINES, monkeypatch)
    assert capsys.readouterr().out == "shop-celery | one\nshop-beat   | two\n"


def test_since_shows_all_lines_unless_their_number_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    _, request = printed(["--since", "1970-01-02T00:00:00Z"], LINES, monkeypatch)
    assert (request.lines, request.since) == (None, 86_400.0)
    _, request = printed(["--since", "1970-01-02T00:00:00Z", "-n", "7"], LINES, monkeypatch)
    assert (request.lines, request.since) == (7, 86_400.0)


def test_interruption_ends_following_without_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, request = printed(["-f"], LINES[:1], monkeypatch, then=KeyboardInterrupt)
    assert (status, request.follow) == (130, True)
    assert capsys.readouterr().err == ""
