"""JSON of another program is read within bounds, or refused with a reason."""

from __future__ import annotations

import json
import sys

import pytest

from procman.agent import strict_json
from procman.agent.heartbeat_format import read
from procman.agent.strict_json import parse
from procman.errors import ProcmanError
from procman.install.state.event_log import read_event
from procman.install.state.json_records import from_bytes
from procman.install.state.manifest import Manifest
from procman.probes.app_script import MARKER
from procman.probes.runner import read_answer
from tests.install.state.test_json_records import PATH
from tests.tables import for_each

HOSTILE = {
    "21 digits": "1" + "0" * 20,
    "309 digits": "1" + "0" * 308,
    "400 digits": "1" + "0" * 399,
    "4300 digits": "1" * 4300,
    "5000 digits": "1" * 5000,
    "negative and long": "-" + "1" * 400,
    "NaN": "NaN",
    "infinity": "Infinity",
    "negative infinity": "-Infinity",
    "beyond a float": "1e999",
    "100,000 lists": "[" * 100_000,
    "100,000 complete lists": "[" * 100_000 + "]" * 100_000,
    "100,000 objects": '{"a":' * 100_000,
    "half a character": '"\\ud800"',
    "the other half": '"a\\udfffb"',
    "a key twice": '{"a": 1, "a": 2}',
    "byte order mark": "\ufeff1",
    "two documents": "1 2",
    "nothing": "",
}

HARMLESS = {
    "20 digits": "1" + "0" * 19,
    "a pair of halves": '"\\ud83d\\ude00"',
    "small exponent": "1e-999",
    "text": '"a"',
}


@for_each("text", HOSTILE.values())
def test_hostile_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse(text)
    with pytest.raises(ValueError, match=r"\S"):
        parse(f'{{"restarts": [{{"at": {text}}}]}}')


@pytest.mark.parametrize("text", HARMLESS.values(), ids=list(HARMLESS))
def test_harmless_document_is_read(text: str) -> None:
    assert parse(text) == json.loads(text)


@pytest.mark.parametrize("text", [*HOSTILE.values(), *HARMLESS.values()], ids=[*HOSTILE, *HARMLESS])
def test_python_without_the_scanner_in_c_parses_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome() -> object:
        try:
            return parse(text)
        except ValueError as error:
            return str(error)

    with_scanner = outcome()
    monkeypatch.setattr(strict_json, "_SCAN", None)
    assert outcome() == with_scanner


def test_blanks_around_a_document_are_no_part_of_it() -> None:
    assert parse(" \t\r\n[1] \n") == [1]
    with pytest.raises(ValueError, match="line 2 column 2"):
        parse("\n[\v]")


def test_long_document_is_refused() -> None:
    assert parse('"aaa"', most=5) == "aaa"
    with pytest.raises(ValueError, match="too long"):
        parse('"aaaa"', most=5)


def test_document_is_refused_at_any_depth_of_the_stack() -> None:
    def deeper(left: int) -> None:
        if left:
            deeper(left - 1)
        else:
            with pytest.raises(ValueError, match="nested too deeply"):
                parse("[" * 5000)

    deeper(sys.getrecursionlimit() // 3)


@for_each("text", HOSTILE.values())
def test_every_reader_of_foreign_files_refuses_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read(f'{{"format": 1, "written": {text}}}')
    assert read_event(f'{{"at": 1, "tasks": {text}}}'.encode("utf-8", "surrogatepass")) is None
    assert read_answer(f'{MARKER}{{"format": 1, "app": {text}}}') is None


@for_each("text", [each for each in HOSTILE.values() if "\\ud" not in each])
def test_manifest_is_reported_as_damaged(text: str) -> None:
    with pytest.raises(ProcmanError, match="cannot be read") as refused:
        from_bytes(Manifest, f'{{"format": 1, "procman": {text}}}'.encode(), PATH)
    assert "restore it from a backup" in refused.value.hint
