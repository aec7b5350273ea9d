"""`procman logs` prints the pieces of a log as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from procman.cli.main import run
from procman.cli.selection import Selection
from procman.deploy import start_stop


@pytest.mark.parametrize("options", [[], ["--follow"]])
def test_log_is_printed_without_further_line_breaks(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def logs(*_: object, **__: object) -> Iterator[str]:
        yield "one\ntw"
        yield "o\n"

    monkeypatch.setattr(Selection, "installed", lambda _: None)
    monkeypatch.setattr(start_stop, "logs", logs)
    assert run(["logs", *options, "celery"]) == 0
    assert capsys.readouterr().out == "one\ntwo\n"
