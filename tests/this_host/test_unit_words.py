"""The words of a unit's settings are those that systemd reads."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings, strategies

from procman.errors import ProcmanError
from procman.host.unit_words import CommandLine, NotClosed, command_lines, span_seconds, with_variables, words_of
from procman.quoting.systemd import systemd_command
from tests.hostile import HOSTILE, TEXTS
from tests.read_by_systemd import command_of, read_units

WORDS = [
    r"/bin/echo one  two	three",
    r"""/bin/echo "two words" 'and "more"' fo"o b"ar ''""",
    r"""/bin/echo \x41\102 \u00e9 a\tb c\sd \"quoted\" \\ "in \"quotes\" \n" 'it\'s'""",
    r"/bin/echo %p %% %n",
    r"/bin/echo semi\;colon a;b \; ';' \";\"",
]


def test_words_are_those_of_systemds_own_parser() -> None:
    units = {f"u{at}.service": f"[Service]\nExecStart={text}\n" for at, text in enumerate(WORDS)}
    read = read_units(units)
    for at, text in enumerate(WORDS):
        [line] = command_lines(text, {"p": f"u{at}", "n": f"u{at}.service"})
        assert list(line.words) == command_of(read[f"u{at}.service"]), text


def assert_read_back(arguments: list[str]) -> None:
    [line] = command_lines(systemd_command(("/bin/echo", *arguments)), {})
    assert with_variables(line, lambda _: "never") == ["/bin/echo", *arguments]


def test_hostile_arguments_are_read_back() -> None:
    assert_read_back(list(HOSTILE))


@settings(deadline=None)
@given(arguments=strategies.lists(TEXTS, max_size=20))
def test_any_argument_that_procman_writes_is_read_back(arguments: list[str]) -> None:
    try:
        systemd_command(("/bin/echo", *arguments))
    except ProcmanError:
        assume(False)
    assert_read_back(arguments)


def test_quote_that_is_never_closed_is_refused() -> None:
    with pytest.raises(NotClosed):
        words_of("/bin/echo 'x")


def test_escaped_nul_is_not_read_as_one() -> None:
    assert words_of(r"a\x00 b\000 c\u0000") == [r"a\x00", r"b\000", r"c\u0000"]


def test_semicolon_separates_commands() -> None:
    lines = command_lines("/bin/a 1 ; -/bin/b 2 ;", {})
    assert lines == [CommandLine("", ("/bin/a", "1")), CommandLine("-", ("/bin/b", "2"))]


def test_prefixes_are_not_part_of_the_command() -> None:
    [named] = command_lines("@-/bin/sh celery -c x", {})
    assert named.words == ("/bin/sh", "-c", "x")
    [privileged] = command_lines("+:/bin/sh $X", {})
    assert (privileged.is_privileged, privileged.uses_variables) == (True, False)
    assert with_variables(privileged, lambda _: "never") == ["/bin/sh", "$X"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$ONE $TWO ${TWO}", ["one", "two", "two", "two two"]),
        ("a$ONE ${ONE}b $$ONE $${ONE}", ["a$ONE", "oneb", "$ONE", "${ONE}"]),
        ("$NONE ${NONE} $QUOTED", ["", "a b", "c"]),
        ("'${TWO}' '$TWO'", ["two two", "two", "two"]),
        ("$BROKEN", ["it's"]),
    ],
)
def test_variables_become_words_as_the_manual_describes(text: str, words: list[str]) -> None:
    values = {"ONE": "one", "TWO": "two two", "QUOTED": "'a b' c", "BROKEN": "it's"}
    [line] = command_lines(f"/bin/echo {text}", {})
    assert with_variables(line, lambda name: values.get(name, "")) == ["/bin/echo", *words]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("5min 20s", 320), ("1h30m", 5400), ("1.5h", 5400), ("500ms", 0.5), ("2 weeks", 1209600), ("0", 0)],
)
def test_span_of_time_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert span_seconds(text) == seconds


@pytest.mark.parametrize("text", ["infinity", "", "soon", "5 parsecs", "-1"])
def test_span_without_an_end_or_meaning_is_none(text: str) -> None:
    assert span_seconds(text) is None
