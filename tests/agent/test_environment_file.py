"""The environment file is read as systemd reads it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procman.agent.environment_file import EnvironmentFileError, parse_environment_file, read_assignments
from procman.agent.variable_rules import refusal
from tests.agent.launching import Installation
from tests.hostile import examples
from tests.tables import for_each

READ = {
    "": {},
    "\n\n  \n": {},
    "A=b": {"A": "b"},
    "A=b\n": {"A": "b"},
    "A=": {"A": ""},
    "A=''\n": {"A": ""},
    "  A  =  b  \n": {"A": "b"},
    "\tA\t=\tb\t\n": {"A": "b"},
    "A=b c d\n": {"A": "b c d"},
    "_a1=b": {"_a1": "b"},
    "A=1\nB=2\nA=3\n": {"A": "3", "B": "2"},
    "A=b\r\nC=d\r\n": {"A": "b", "C": "d"},
    "A=b\rC=d\r": {"A": "b", "C": "d"},
    "A=amqp://guest:pa%40ss@host//?x=1&y=2\n": {"A": "amqp://guest:pa%40ss@host//?x=1&y=2"},
    "A==b=": {"A": "=b="},
    # A comment starts only at the beginning of a line.
    "#A=b\n;A=c\n  # d\n\t; e\nA=f": {"A": "f"},
    "A=b # c\n": {"A": "b # c"},
    "A=b;c#d\n": {"A": "b;c#d"},
    "A=# b\n": {"A": "# b"},
    "A='b'#c\n": {"A": "b#c"},
    "# it's \"odd\nA=b": {"A": "b"},
    "# a\\b\nA=b": {"A": "b"},
    # Single quotes keep everything.
    "A='b \" \\ \\n # $x'\n": {"A": 'b " \\ \\n # $x'},
    "A='  b  '\n": {"A": "  b  "},
    "A='b\nc\n'\nD=e": {"A": "b\nc\n", "D": "e"},
    "A='b\\\nc'": {"A": "b\\\nc"},
    "A='b\r\nc'": {"A": "b\r\nc"},
    "A='\n# b\n'": {"A": "\n# b\n"},
    # Double quotes have four escapes and the continued line.
    'A="b c"\n': {"A": "b c"},
    'A="\\"\\\\\\`\\$"\n': {"A": '"\\`$'},
    'A="\\n\\t\\x41\\ "\n': {"A": "\\n\\t\\x41\\ "},
    'A="b\\\nc"\n': {"A": "bc"},
    'A="b\\\r\nc"\n': {"A": "b\\\r\nc"},
    'A="b\nc"\n': {"A": "b\nc"},
    "A=\"$HOME `id` 'c'\"\n": {"A": "$HOME `id` 'c'"},
    'A="\\\\"\n': {"A": "\\"},
    'A="\\\\\\""': {"A": '\\"'},
    # Quoted pieces are joined; after them the rest of the line is read unchanged.
    "A='b''c'\n": {"A": "bc"},
    "A='b' \"c\" \t 'd'\n": {"A": "bcd"},
    'A="b" c d  \n': {"A": "bc d"},
    "A=''b 'c'": {"A": "b 'c'"},
    # Quotes inside an unquoted value are literal.
    "A=b\"c\"'d'\n": {"A": "b\"c\"'d'"},
    "A=it's\nB=c": {"A": "it's", "B": "c"},
    # An unquoted backslash is dropped; the character after it is kept, unless it is the end of a line.
    "A=b\\c\\nd\\\\e\n": {"A": "bcnd\\e"},
    "A=\\'b\\'\n": {"A": "'b'"},
    "A=\\  b\n": {"A": "  b"},
    "A=b\\ \n": {"A": "b "},
    "A=b\\  \t\n": {"A": "b "},
    "A=b \\\n  c\n": {"A": "b   c"},
    "A=b \\\n  \n": {"A": "b "},
    "A=\\\nb": {"A": "b"},
    "A=\\\n\\\n\nB=c": {"A": "", "B": "c"},
    "A=b\\\n# c\n": {"A": "b# c"},
    "A=b\\\r\nB=c": {"A": "b", "B": "c"},
    "A=b\\": {"A": "b"},
    "A=b \\": {"A": "b "},
    "A=$B ${C} %n %%\n": {"A": "$B ${C} %n %%"},
    "A=\u00e9 \u4f60\U0001f600\n": {"A": "\u00e9 \u4f60\U0001f600"},
    "A=\u00a0b\u2028\u0085\n": {"A": "\u00a0b\u2028\u0085"},
    "A='\x01\x7f\t'": {"A": "\x01\x7f\t"},
    "A=b\x0b\x0c\n": {"A": "b\x0b\x0c"},
}

REFUSED = {
    "export A=b\n": [(1, "remove `export`, which only shells understand: write A=...")],
    "A=1\n\n# c\nexport  B = 's3cret\n'\nC\n": [
        (4, "remove `export`, which only shells understand: write B=..."),
        (6, "the line has no `=`"),
    ],
    "A\n": [(1, "the line has no `=`")],
    "A=b\r\n\r\n s3cret\r\n": [(3, "the line has no `=`")],
    "1A=b\n": [(1, "the text before `=` is not a variable name")],
    "A-B=c\nA.B=c\n": [
        (1, "the text before `=` is not a variable name"),
        (2, "the text before `=` is not a variable name"),
    ],
    "=b\n": [(1, "the text before `=` is not a variable name")],
    "'A'=b": [(1, "the text before `=` is not a variable name")],
    "\u00e9=b": [(1, "the text before `=` is not a variable name")],
    "\ufeffA=b": [(1, "the text before `=` is not a variable name")],
    "export s3-cret=b": [(1, "the text before `=` is not a variable name")],
    "A=\\\n\nB": [(3, "the line has no `=`")],
    "A='s3cret\nB=c\n": [(1, "a quote in this value is never closed")],
    'A="s3cret\\"': [(1, "a quote in this value is never closed")],
    'A="s3cret\\': [(1, "a quote in this value is never closed")],
    "B=1\nA='x' \"s3cret\nC\nD": [(2, "a quote in this value is never closed")],
    "# a\\\nA=b": [(1, "a comment must not end with a backslash")],
    "A=b\nC=s3cret\0\n": [(2, "the line contains a NUL byte; this is not a text file")],
    "# \0": [(1, "the line contains a NUL byte; this is not a text file")],
    "A=s3cret\udcff": [(1, "the value is not valid UTF-8")],
    "A='\ufffe'": [(1, "the value is not valid UTF-8")],
    "A=\ufdd0\nB=\U0001ffff": [(1, "the value is not valid UTF-8"), (2, "the value is not valid UTF-8")],
}


@for_each("text", READ)
def test_file_is_read(text: str) -> None:
    assert parse_environment_file(text) == READ[text]


@for_each("text", REFUSED)
def test_refusal_names_the_lines_but_no_values(text: str) -> None:
    with pytest.raises(EnvironmentFileError) as refused:
        parse_environment_file(text)
    problems = refused.value.problems
    assert [line for line, _ in problems] == [line for line, _ in REFUSED[text]]
    for (_, message), (_, expected) in zip(problems, REFUSED[text], strict=True):
        assert message.startswith(expected)
    assert "s3cret" not in str(refused.value)
    assert "s3-cret" not in str(refused.value)


def quoted(value: str) -> str:
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0"))


@given(st.dictionaries(NAMES, VALUES))
def test_every_value_survives_double_quotes(variables: dict[str, str]) -> None:
    text = "".join(f"{name}={quoted(value)}\n" for name, value in variables.items())
    assert parse_environment_file(text) == variables


@given(st.text(alphabet="AB= \t\r\n\\'\"#;$`x1\0\udcff"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        variables = parse_environment_file(text)
    except EnvironmentFileError:
        return
    assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) for name in variables)
    assert "\udcff" not in "".join(variables.values())


# systemd reads environment.d(5) with the same parser and prints the result. But there it expands `$NAME` and skips
# empty assignments, which it does not do for an EnvironmentFile=, so such variables are not compared.
GENERATOR = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Systemd:
    """The variables that this machine's systemd reads from a file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "environment.d").mkdir()
        self.without_file = self.printed()

    def read(self, text: str) -> dict[str, str]:
        (self.directory / "environment.d" / "catmaid.conf").write_bytes(text.encode())
        return {name: value for name, value in self.printed().items() if name not in self.without_file}

    def agrees(self, text: str, variables: dict[str, str]) -> bool:
        found = self.read(text)
        compared = {name: value for name, value in variables.items() if value and "$" not in value}
        return found.keys() <= variables.keys() and compared.items() <= found.items()

    def printed(self) -> dict[str, str]:
        done = subprocess.run(
            [GENERATOR], env={"XDG_CONFIG_HOME": str(self.directory)}, stdout=subprocess.PIPE, check=True
        )
        variables = dict(line.split("=", 1) for line in done.stdout.decode().removesuffix("\n").split("\n") if line)
        return {name: self.unescaped(value) for name, value in variables.items()}

    @staticmethod
    def unescaped(value: str) -> str:
        if not value.startswith('"'):
            return value
        return re.sub(
            r"\\(?:([0-7]{3})|(.))",
            lambda escape: chr(int(escape[1], 8)) if escape[1] else ESCAPES.get(escape[2], escape[2]),
            value[1:-1],
        )


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Systemd:
    if not GENERATOR.exists():
        pytest.skip("no systemd to ask")
    return Systemd(tmp_path_factory.mktemp("systemd"))


def test_systemd_reads_the_same(systemd: Systemd) -> None:
    for text, variables in READ.items():
        assert systemd.agrees(text, variables), text


PIECES = st.lists(st.sampled_from([*"AB= \t\r\n\\'\"#;`xn", "\nA=", "B = ", "\\\n", "' '", '"', "\u00e9"]), max_size=30)


@pytest.mark.thorough
@settings(max_examples=examples(300), deadline=None)
@given(pieces=PIECES)
def test_systemd_reads_the_same_from_any_text(systemd: Systemd, pieces: list[str]) -> None:
    text = "A=" + "".join(pieces)
    try:
        variables = parse_environment_file(text)
    except EnvironmentFileError:
        return
    assert systemd.agrees(text, variables)


def write_file(installation: Installation, content: bytes) -> str:
    file = installation.directory / "celery.env"
    file.write_bytes(content)
    return str(file)


def test_variables_reach_the_program_and_override_others(installation: Installation) -> None:
    file = write_file(installation, "A='b c'\nOVERRIDDEN=new\nACCENT=\u00e9\n".encode())
    done = installation.run(
        "command", "/usr/bin/env", PROCMAN_ENVIRONMENT_FILE=file, OVERRIDDEN="old", KEPT="yes", LC_ALL="C"
    )
    assert done.stderr == ""
    assert {"A=b c", "OVERRIDDEN=new", "KEPT=yes", "ACCENT=\u00e9"} <= set(done.stdout.splitlines())
    assert "STARTED_AGAIN" not in done.stdout


def test_program_starts_without_an_environment_file(installation: Installation) -> None:
    done = installation.run("command", "/usr/bin/env", PROCMAN_ENVIRONMENT_FILE="", KEPT="yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "KEPT=yes" in done.stdout


def test_variables_that_python_reads_at_its_start_take_effect(installation: Installation) -> None:
    """A worker runs in the launcher's own process, which must be started with them."""
    package = installation.project / "celery"
    package.mkdir()
    package.joinpath("__init__.py").touch()
    package.joinpath("__main__.py").write_text("import sys\ndef main(): print(sys.path.count('/from/the/file'))\n")
    file = write_file(installation, b"PYTHONPATH=/from/the/file\n")
    done = installation.run("worker", PROCMAN_ENVIRONMENT_FILE=file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_variable_that_python_changes_at_its_start_is_no_problem(installation: Installation) -> None:
    file = write_file(installation, b"LC_CTYPE=C\n")
    done = installation.run("command", "/usr/bin/env", PROCMAN_ENVIRONMENT_FILE=file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "LC_CTYPE=C" in done.stdout.splitlines()


def test_every_problem_is_reported_with_file_and_line(installation: Installation) -> None:
    file = write_file(installation, b"export A=s3cret\nB=ok\n1C=s3cret\nD=s3cret\xff\n# caf\xe9\n")
    done = installation.run("worker", "worker", PROCMAN_ENVIRONMENT_FILE=file)
    assert done.returncode == 78
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["catmaid-celery", f"{file}:{line}"] for line in (1, 3, 4)
    ]
    assert "s3cret" not in done.stderr + done.stdout


def test_missing_file_is_named(installation: Installation) -> None:
    file = f"{installation.directory}/missing.env"
    done = installation.run("command", "/usr/bin/env", PROCMAN_ENVIRONMENT_FILE=file)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"cannot read the environment file {file}: No such file or directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_copy_from_systemd_is_read_instead(installation: Installation) -> None:
    copy = installation.directory / "credentials" / "environment"
    copy.parent.mkdir()
    copy.write_text("A=b\n")
    credential = {
        "PROCMAN_ENVIRONMENT_FILE": "/etc/catmaid/celery.env",
        "PROCMAN_ENVIRONMENT_CREDENTIAL": "environment",
        "CREDENTIALS_DIRECTORY": str(copy.parent),
    }
    done = installation.run("command", "/usr/bin/env", **credential)
    assert done.stderr == ""
    assert "A=b" in done.stdout.splitlines()
    copy.write_text("export A=b\n")
    done = installation.run("command", "/usr/bin/env", **credential)
    assert done.returncode == 78
    assert "/etc/catmaid/celery.env:1: remove `export`, which only shells understand" in done.stderr


def test_missing_copy_from_systemd_is_named(installation: Installation) -> None:
    done = installation.run("command", "/usr/bin/env", PROCMAN_ENVIRONMENT_CREDENTIAL="environment")
    assert (done.returncode, done.stdout) == (78, "")
    assert "not set: CREDENTIALS_DIRECTORY; systemd sets it" in done.stderr


def test_file_cannot_set_variables_of_procman(installation: Installation) -> None:
    file = write_file(installation, b"PROCMAN_KIND=command\nPROCMAN_PROGRAM=other\n")
    done = installation.run("worker", "/usr/bin/env", PROCMAN_ENVIRONMENT_FILE=file)
    assert (done.returncode, done.stdout) == (78, "")
    reserved = "names that start with PROCMAN_ are reserved for procman"
    assert done.stderr.splitlines() == [
        f"catmaid-celery: {file}:{line}: remove {name}: {reserved}"
        for line, name in ((1, "PROCMAN_KIND"), (2, "PROCMAN_PROGRAM"))
    ]


def test_program_does_not_start_with_a_variable_that_breaks_its_supervision(installation: Installation) -> None:
    file = write_file(installation, b"A=1\nCELERY_WORKER_DETACH=s3cret\n\nNOTIFY_SOCKET=s3cret\nSHLVL=1\n")
    done = installation.run("command", "/usr/bin/env", PROCMAN_ENVIRONMENT_FILE=file)
    assert (done.returncode, done.stdout) == (78, "")
    detach, notify = refusal("CELERY_WORKER_DETACH"), refusal("NOTIFY_SOCKET")
    assert done.stderr.splitlines() == [
        f"catmaid-celery: {file}:2: remove CELERY_WORKER_DETACH: {detach}",
        f"catmaid-celery: {file}:4: remove NOTIFY_SOCKET: {notify}",
    ]


def test_file_that_is_too_large_is_not_read(installation: Installation) -> None:
    file = write_file(installation, b"A=" + b"b" * (1 << 20))
    done = installation.run("command", "/usr/bin/env", PROCMAN_ENVIRONMENT_FILE=file)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"{file}: larger than 1048576 bytes" in done.stderr


def test_assignments_have_their_lines() -> None:
    text = "A='b\nc'\n# d\r\n\nB=1\\\n2\nA=3"
    assert [(each.line, each.name) for each in read_assignments(text)] == [(1, "A"), (5, "B"), (7, "A")]
