"""Messages about a file that is not TOML, or not text at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.config.load import load
from procman.config.read_file import LARGEST
from procman.errors import ConfigurationError
from tests.config.documents import problems, read
from tests.tables import for_each

QUOTES = 'put strings in quotes, as in app = "mysite"; write true and false in lowercase without quotes'
ONE_EACH = "unexpected text after the value: write one KEY = VALUE per line, strings in quotes"
KEY_OR_TABLE = "expected KEY = VALUE, or [TABLE] on a line of its own"
TWICE = "it is set a second time: keep one of the two"
TABLE_TWICE = "this table occurs a second time: put its keys into one table"
NOT_CLOSED = "a quote is not closed on this line"
BACKSLASH = "a backslash is only literal in 'single quotes'"
LIST = "a list is not closed, or lacks a comma: write it as [1, 2]"


@for_each(
    ("text", "where", "remedy"),
    [
        ("[project]\nname = catmaid", "2: project.name", QUOTES),
        ("[project]\nevents = True", "2: project.events", QUOTES),
        ("name =", "1: name", QUOTES),
        ("a = 1 2", "1: a", ONE_EACH),
        ("timeout = 10s", "1: timeout", ONE_EACH),
        ("[project\n", "1", "expected ] at the end of the line: write a table as [TABLE]"),
        ("[a]\nb = 1\nc: 1", "3", KEY_OR_TABLE),
        ("a b = 1", "1", KEY_OR_TABLE),
        ("= 3", "1", KEY_OR_TABLE),
        ("a = 1\na = 2", "2: a", TWICE),
        ("a = { b = 1, b = 2 }", "1: a.b", TWICE),
        ("[a]\nb = 1\n[a]\n", "3: a", TABLE_TWICE),
        ('[a]\nb = "x\nc = 1', "2: a.b", NOT_CLOSED),
        ('[a]\nb = """x\n\n\n', "2: a.b", "a quote is not closed"),
        ("b = 'x", "1: b", "a quote is not closed"),
        ('path = "C:\\Users\\x"', "1: path", BACKSLASH),
        ('path = "\\d"', "1: path", BACKSLASH),
        ("a = [1, 2\nb = 3", "2: a", LIST),
        ("a = [1 2]", "1: a", LIST),
    ],
)
def test_syntax_error_is_explained(tmp_path: Path, text: str, where: str, remedy: str) -> None:
    assert problems(tmp_path, text) == [f"FILE:{where}: invalid TOML: {remedy}"]


def test_hint_states_that_the_rest_of_an_invalid_file_is_unchecked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, "=")
    assert raised.value.hint == "The rest of the file is checked once this is fixed."


def test_no_value_is_shown_in_a_syntax_error(tmp_path: Path) -> None:
    assert "hunter2" not in problems(tmp_path, 'url = "amqp://guest:hunter2@host" x')[0]


def test_endless_nesting_gives_a_message_and_no_traceback(tmp_path: Path) -> None:
    text = "a = " + "[" * 5000 + "]" * 5000
    assert problems(tmp_path, text) == [
        "FILE: lists or tables are nested too deeply; no key of procman.toml needs that"
    ]


def test_endless_number_gives_a_message_and_no_traceback(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "a = " + "1" * 5000)) > 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[project]\n# caf\xe9\n", "FILE:2: invalid UTF-8"),
        ("[project]".encode("utf-16"), "FILE:1: invalid UTF-8"),
        (b"#" * (LARGEST + 1), f"FILE: larger than {LARGEST} bytes"),
    ],
)
def test_file_that_is_not_text_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    assert problems(tmp_path, content) == [problem]


def test_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    text = "\N{ZERO WIDTH NO-BREAK SPACE}[project]\r\nname = 1\r\n[worker.a]\r\nqueues = 1\r\n"
    assert [problem.split(": ")[0] for problem in problems(tmp_path, text)][-2:] == ["FILE:2", "FILE:4"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.toml", "cannot be read: No such file or directory"),
        ("file/procman.toml", "cannot be read: Not a directory"),
        (".", "expected a file, found something else"),
        ("/dev/zero", "expected a file, found something else"),
    ],
)
def test_path_that_is_not_a_regular_file_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / name
    with pytest.raises(ConfigurationError) as raised:
        load(path, {})
    assert raised.value.problems == (f"{path}: {problem}",)
