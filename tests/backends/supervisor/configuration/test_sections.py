"""Sections are parsed as by supervisor's own parser."""

from __future__ import annotations

import configparser
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.options import UnhosedConfigParser

from procman.backends.supervisor.configuration.sections import Malformed, read_options, sections_of

FRAGMENTS = st.sampled_from(
    [
        "[program:a]",
        "[program:b] ; comment",
        "  [group:g]",
        "[DEFAULT]",
        "programs=a,b",
        "programs = a,",
        "  b ; not c",
        "  # comment",
        "; comment",
        "",
        " ",
        "command: x = y",
        "command=x;y #z",
        "\tcontinued",
        "  indented = 1",
        "  more = 2",
        "    deeper = 3",
        "    [program:c]",
        "Key = Value",
        "[x]]",
        "k=",
    ]
)


@given(st.lists(FRAGMENTS, max_size=12))
def test_sections_and_values_match_supervisors_parser(lines: list[str]) -> None:
    text = "[first]\n" + "\n".join(lines)
    parser = UnhosedConfigParser()
    try:
        parser.read_string(text)
    except Exception:  # supervisor cannot read it either
        return
    theirs = {
        name: {key: _joined(value) for key, value in parser._sections[name].items()} for name in parser.sections()
    }
    ours: dict[str, dict[str, str]] = {}
    for section in sections_of(text):
        if section.header == "DEFAULT":
            continue
        options = ours.setdefault(section.header, {})
        options.update({option.name: _joined(option.value) for option in section.options})
    assert ours == theirs


@given(st.lists(FRAGMENTS | st.sampled_from(["rubbish", "  rubbish", "=x", " = x", "[]", "[ first]"]), max_size=12))
def test_refused_lines_and_effective_options_match_supervisors_parser(lines: list[str]) -> None:
    text = "\n".join(lines)
    parser = UnhosedConfigParser()
    try:
        parser.read_string(text)
    except configparser.ParsingError as error:
        expected = _refusal(error)
        with pytest.raises(Malformed) as caught:
            read_options(Path("x.conf"), text)
        assert (caught.value.line, caught.value.why) == expected
        return
    theirs = {name: {key: _joined(value) for key, value in parser[name].items()} for name in parser}
    ours = read_options(Path("x.conf"), text)
    assert {name: {key: _joined(value) for key, value in ours[name].items()} for name in ours} == theirs


def _refusal(error: configparser.ParsingError) -> tuple[int, str]:
    if isinstance(error, configparser.MissingSectionHeaderError):
        return error.lineno, "there is no [section] above this line"
    # Since Python 3.13, an error in a single line is not in this list.
    refused = [line for line, _ in error.errors] or [getattr(error, "lineno", 0)]
    more = f", and {len(refused) - 1} more like it" if refused[1:] else ""
    return refused[0], f"this line is neither a [section] nor NAME=VALUE{more}"


def _joined(value: str) -> str:
    return "\n".join(line for line in value.split("\n") if line)


@given(st.text(alphabet=string.ascii_lowercase + "[]=:;# \n\t%,", max_size=60))
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    sections_of(text)


def test_section_has_its_line_numbers() -> None:
    text = "; head\n[program:a]\ncommand=x\n  y\n\n; about b\n[program: b ]\n"
    first, second = sections_of(text)
    assert (first.kind, first.name, first.line, first.end) == ("program", "a", 2, 4)
    assert (second.kind, second.name, second.line, second.end) == ("program", "b", 7, 7)


@pytest.mark.parametrize("text", ["programs=a, b,\n  c\n", "Programs : a,b,c ; d\n", "programs=x\nprograms=a,b,c\n"])
def test_members_of_a_group(text: str) -> None:
    [section] = sections_of("[group:g]\n" + text)
    assert section.members() == ["a", "b", "c"]
