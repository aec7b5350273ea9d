"""Errors of supervisor's parser are reported without values from the file (S2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.backends.supervisor.configuration.redaction import without_content
from procman.backends.supervisor.configuration.sections import Malformed, read_sections
from procman.backends.supervisor.configuration.supervisor_parser import Source, Unreadable, read

PROGRAM = "[program:x]\ncommand=sleep 1\n"

REFUSED = {
    'environment=DB_PASSWORD="hunter2"\n': "no section headers. file: '{file}', line: 1",
    f"{PROGRAM}PASSWORD hunter2\nhunter2, line: 9\n": "parsing errors: '{file}' [line 3]",
    f'{PROGRAM}environment=A="hunter2",B\n': "Unexpected end of key/value pairs in section 'program:x' (file: '",
    f"{PROGRAM}environment=A=\"' in section 'hunter2\",B\n": "Unexpected end of key/value pairs in section 'program:x'",
    f'{PROGRAM}environment=A="hunter2",B="%(nothing)s"\n': (
        "'environment' contains names ('nothing') which cannot be expanded in section 'program:x'"
    ),
    f'{PROGRAM}environment=A="hunter2 for \'x\' contains names",B="5%"\n': "'environment' is badly formatted",
    f"{PROGRAM}startsecs=soon\n": "invalid literal for int() with base 10: 'soon' in section 'program:x'",
}
"""Files, and what is left of supervisor 4.3's words: as much as says which line or option is meant."""


@pytest.mark.parametrize("content", REFUSED)
def test_error_names_file_and_option_but_no_value(content: str, tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    with pytest.raises(Unreadable) as caught:
        read(Source(tmp_path / "main.conf", "[supervisord]\n"), [Source(file, content)], [])
    assert REFUSED[content].format(file=file) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "Available names" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ("# a comment\nhunter2 = 1\n", 2, "there is no [section] above this line"),
        ("\ufeff[program:hunter2]\ncommand=x\n", 1, "the file begins with a byte order mark (BOM)"),
        ("[program:x]\nhunter2\ncommand=x\n", 2, "this line is neither a [section] nor NAME=VALUE"),
        ("[program:x]\nhunter2\ncommand=x\nhunter2\n", 2, "and 1 more like it"),
    ],
)
def test_error_of_a_malformed_file_names_the_line_without_its_content(content: str, line: int, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_sections(Path("/etc/x.conf"), content)
    assert caught.value.message.startswith(f"/etc/x.conf:{line}: supervisord cannot read it: ")
    assert why in caught.value.message
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}"


def test_other_messages_are_unchanged() -> None:
    printed = (
        "The directory named as part of the path /var/log/x does not exist in section 'program:x' (file: '/x.conf')"
    )
    assert without_content(f"{printed}\n") == printed
