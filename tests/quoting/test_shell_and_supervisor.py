"""Every value is read back unchanged by the program that reads it, or refused (S1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings, strategies

from procman import quoting
from procman.errors import ProcmanError
from procman.quoting.shell import shell, shell_words
from procman.quoting.supervisor import supervisor_command, supervisor_log_file, supervisor_option
from tests.hostile import HOSTILE, REFUSED, TEXTS, examples
from tests.read_by_supervisor import MAIN_SECTIONS, VERSIONS, Reader, reader
from tests.tables import for_each


@pytest.fixture(scope="module", params=VERSIONS)
def supervisor(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """supervisor's own reader, in every version in turn."""
    with reader(request.param) as started:
        yield started


def _section(number: int, value: str) -> str:
    return (
        f"[program:p{number}]\n"
        f"command={supervisor_command(('/bin/true', value, 'and', value))}\n"
        f"serverurl={supervisor_option(value)}\n"
        f"stdout_logfile={supervisor_log_file('/' + value.replace('/', '|'))}\n"
    )


def _assert_read_back(supervisor: Reader, values: Sequence[str]) -> None:
    answer = supervisor.read("".join(_section(number, value) for number, value in enumerate(values)))
    assert answer["sections"] == [*MAIN_SECTIONS, *[f"program:p{number}" for number in range(len(values))]]
    assert "error" not in answer
    for number, value in enumerate(values):
        program = answer["programs"][f"p{number}:p{number}"]
        assert program["argv"] == ["/bin/true", value, "and", value]
        assert program["serverurl"] == (None if value.strip().upper() == "AUTO" else value)
        assert program["stdout_logfile"] == "/" + value.replace("/", "|")


def test_hostile_values_are_read_back_by_supervisor(supervisor: Reader) -> None:
    _assert_read_back(supervisor, HOSTILE)


@pytest.mark.thorough
@settings(max_examples=examples(60))
@given(values=strategies.lists(TEXTS, min_size=1, max_size=20))
def test_any_value_is_read_back_by_supervisor(supervisor: Reader, values: list[str]) -> None:
    _assert_read_back(supervisor, [value for value in values if not quoting.unprintable(value)])


@pytest.mark.parametrize(
    "encode",
    [
        quoting.comment,
        shell,
        supervisor_option,
        lambda value: supervisor_log_file("/" + value),
        lambda value: supervisor_command(("/bin/true", value)),
        lambda value: shell_words((value, "a")),
    ],
)
def test_value_that_could_add_a_line_is_refused(encode: Callable[[str], str]) -> None:
    assert [value for value in REFUSED if not _refuses(encode, value)] == []


def _refuses(encode: Callable[[str], str], value: str) -> bool:
    try:
        encode(value)
    except ProcmanError as error:
        return "it contains a" in str(error)
    return False


def test_value_that_can_be_written_is_not_refused() -> None:
    assert [value for value in HOSTILE if quoting.unprintable(value) is not None] == []
    assert [value for value in HOSTILE if quoting.comment(value) != value] == []


def test_refusal_does_not_show_the_value() -> None:
    with pytest.raises(ProcmanError) as caught:
        shell("amqp://guest:secret@host\n")
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"
    assert "line break" in caught.value.message


@pytest.mark.parametrize("name", ["catmaid-celery-2", "www-data", "stdout_syslog", "Me.You"])
def test_plain_name_is_unchanged(name: str) -> None:
    assert quoting.plain_name(name) == name


@for_each("name", ["", "a b", "a]", "a=b", "a:b", "a;b", "-a", "1", "é", "a\n", "~a", "a$", "a/b", "a%s"])
def test_name_that_a_reader_could_misread_is_refused(name: str) -> None:
    with pytest.raises(ProcmanError):
        quoting.plain_name(name)


@pytest.mark.parametrize("name", ["", "A B", "A-B", "1A", "A=", "A\n", "É"])
def test_name_that_no_shell_can_export_is_refused(name: str) -> None:
    with pytest.raises(ProcmanError):
        quoting.variable_name(name)


@pytest.mark.parametrize("path", ["", "none", "AUTO", "syslog", "~root/log", "log/x", " /x"])
def test_log_that_supervisord_would_not_read_as_a_path_is_refused(path: str) -> None:
    with pytest.raises(ProcmanError):
        supervisor_log_file(path)
