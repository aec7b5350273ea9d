"""The lines that python-dotenv reads differently, compared with python-dotenv itself."""

from __future__ import annotations

import io

import dotenv  # type: ignore[import-not-found, unused-ignore]
from hypothesis import given
from hypothesis import strategies as st

from procman.agent.environment_file import EnvironmentFileError, read_assignments
from procman.preflight.dotenv import differences
from tests.tables import for_each

ALIKE = [
    *("A=", "A=b", "A = b ", "A=b c", "A=b#c", "A=''", "A='b c'", 'A="b c"', "A=b'c'", "A=$B", "A='$B'", 'A="$B"'),
    *("A='b # c'", "A='b\nc'", 'A="b\nc"', r"A='C:\dir'", r'A="a\\b"', r'A="a\"b"', "A='b' ", 'A={"b": [1]}', "# c"),
    *("; c", "A=amqp://guest:pa%40ss@host//?x=1&y=2#z", "A={B}", "A=${B:c}", r'A="C:\dir"', "A=é"),
]

DIFFERENT = {
    "A= # c": "it drops the comment behind the value",
    "A=b # c": "it drops the comment behind the value",
    "A='b' # c": "it drops the comment behind the value",
    'A="b"#c': "it drops the comment behind the value",
    r"A=C:\dir\new": "it treats backslashes differently",
    "A=b\\\nc": "it treats backslashes differently",
    r"A='C:\\dir'": "it treats backslashes differently",
    r'A="C:\new"': "it treats backslashes differently",
    r'A="a\$b"': "it treats backslashes differently",
    "A=${B}?x=1": "it expands ${NAME}",
    "A='${B}'": "it expands ${NAME}",
    'A="${B:-c}"': "it expands ${NAME}",
    "A='b'c": "it ignores a line with text after the closing quote",
    "A='b' 'c'": "it ignores a line with text after the closing quote",
    "A='b\r\nc'": "it changes line ends",
    "A=b\u00a0": "it strips other blanks",
}


def ambiguous(text: str) -> tuple[tuple[int, str], ...]:
    return differences(read_assignments(text))


@for_each("text", ALIKE)
def test_line_that_both_read_alike_is_not_reported(text: str) -> None:
    assert ambiguous(text) == ()


@for_each("text", DIFFERENT)
def test_line_that_dotenv_reads_differently_is_reported(text: str) -> None:
    assert ambiguous(f"X=1\n\n{text}\nY=1") == ((3, DIFFERENT[text]),)


PIECES = st.sampled_from(
    [
        *"ab='\"\\#$ \t;{}",
        "\n",
        "\r\n",
        "${A}",
        "${a:-b}",
        "${a:b}",
        ":-",
        " # ",
        "\\n",
        "\\'",
        '\\"',
        "\\\\",
        "\\$",
        "\\\n",
        "''",
        '""',
        "é",
        "\u00a0",
    ]
)
VALUES = st.lists(PIECES, max_size=8).map("".join)


def in_quotes(quote: str) -> st.SearchStrategy[str]:
    return st.tuples(VALUES, st.sampled_from(["", " ", "#", " # a", "a", '"a"', "'a'"])).map(
        lambda both: f"{quote}{both[0]}{quote}{both[1]}"
    )


@given(VALUES | in_quotes("'") | in_quotes('"'))
def test_exactly_the_lines_that_dotenv_reads_differently_are_reported(value: str) -> None:
    text = f"NAME={value}\n"
    try:
        [only] = read_assignments(text)
    except (EnvironmentFileError, ValueError):
        return  # procman refuses it, or it sets several variables
    read = dotenv.dotenv_values(stream=io.StringIO(text, newline=None)).get("NAME")
    assert bool(ambiguous(text)) == (read != only.value)
