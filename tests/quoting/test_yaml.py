"""Any value of procman.toml is read back from YAML as it was, or refused."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis.strategies import characters, lists, text

from procman.errors import ProcmanError
from procman.quoting import unprintable
from procman.quoting.yaml import json_words, kustomize_line, yaml_block, yaml_literal, yaml_text, yaml_words
from tests.tables import for_each

TEXTS = text(characters(codec="utf-8")).filter(lambda value: not unprintable(value))


def expanded(value: str) -> str:
    """Return what Kubernetes makes of `value` without a variable (third_party/forked/golang/expansion)."""
    found, at = [], 0
    while at < len(value):
        if value[at : at + 2] == "$$":
            at += 1
        found.append(value[at])
        at += 1
    return "".join(found)


@given(TEXTS)
def test_text_is_read_back(value: str) -> None:
    assert yaml.safe_load(f"key: {yaml_text(value)}\n") == {"key": value}


@given(TEXTS)
def test_text_for_a_reader_that_expands_is_read_back(value: str) -> None:
    assert expanded(yaml.safe_load(f"- {yaml_literal(value)}\n")[0]) == value


@for_each("value", ["$", "$$", "$(HOME)", "${HOME}", "$HOME", "a$", "$$(HOME)", "{}", "- a: b #c", "!x"])
def test_nothing_is_expanded(value: str) -> None:
    assert expanded(yaml.safe_load(yaml_literal(value))) == value
    assert "$" not in yaml_literal(value).replace("$$", "")


@given(lists(TEXTS))
def test_words_are_read_back(words: list[str]) -> None:
    assert [expanded(word) for word in yaml.safe_load(yaml_words(words))] == words
    assert json.loads(json_words(words)) == words


@given(lists(TEXTS.map(lambda line: line.rstrip()), min_size=1))
def test_block_is_read_back(lines: list[str]) -> None:
    lines = ['"""A file of Python begins like this."""', *lines, "end"]
    assert yaml.safe_load(f"data:\n  key: |\n{yaml_block(lines)}\n") == {"data": {"key": "\n".join(lines) + "\n"}}


@for_each("quote", [yaml_text, yaml_literal, kustomize_line])
@for_each("value", ["a\nb: c", "a\rb", "a\0b", "a\x85b", "a\u2028b", "\ud800"])
def test_value_that_could_add_a_line_is_refused(quote: object, value: str) -> None:
    assert callable(quote)
    with pytest.raises(ProcmanError):
        quote(value)
