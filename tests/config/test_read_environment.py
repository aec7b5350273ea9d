"""Environment variables: which may be set, and which look like a secret."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from procman.agent.variable_rules import SET_BY_SYSTEMD
from procman.config.read_environment import LONGEST_VALUE, OWN_VARIABLES, SHELL_VARIABLES
from procman.quoting.shell import shell
from tests.config.documents import problems_with, read_rest
from tests.tables import for_each

SECRET = (
    "this looks like a secret, and other users can read the files that procman writes: put it into the file "
    'named by environment_file in [project]; if it is not a secret, set public = ["{}"] in [project]'
)


def test_variables_of_a_program_override_those_of_the_project(tmp_path: Path) -> None:
    rest = '[environment]\nA = "1"\nB = "1"\n[worker.a.environment]\nB = "2"\nC = "2"\n[beat]'
    worker, beat = read_rest(tmp_path, rest).programs
    assert worker.environment == {"A": "1", "B": "2", "C": "2"}
    assert beat.environment == {"A": "1", "B": "1"}


@for_each(
    ("line", "problem"),
    [
        ("A = 1", 'expected a quoted string on one line, such as A = "1"'),
        ("A = true", 'expected a quoted string on one line, such as A = "1"'),
        ("A = 1979-05-27", 'expected a quoted string on one line, such as A = "1"'),
        ('A = "a\\nb"', 'expected a quoted string on one line, such as A = "1" (it contains a line break)'),
        (
            '"a b" = "1"',
            "expected the name of an environment variable: letters, digits and _, not starting with a digit",
        ),
        ('2A = "1"', "expected the name of an environment variable: letters, digits and _, not starting with a digit"),
        ('PROCMAN_X = "1"', "cannot be set here: names that start with PROCMAN_ are reserved for procman"),
        ('PYTHONPATH = "/x"', "cannot be set here: use the key python_path in [project]"),
        ('PPID = "1"', "cannot be set here: the shell that starts the program sets it"),
        (
            'CELERY_WORKER_DETACH = "1"',
            (
                "cannot be set here: Celery reads it as the option --detach: "
                "it detaches the program from the process manager"
            ),
        ),
        ('DB_PASSWORD = "hunter2"', SECRET.format("DB_PASSWORD")),
        ('BROKER_URL = "amqp://guest:guest@localhost"', SECRET.format("BROKER_URL")),
        (
            'PATH = "/opt/bin:$PATH"',
            "$PATH is not expanded here: write every directory; the virtualenv's bin directory always comes first",
        ),
        (
            'PATH = "/opt/bin:"',
            "expected absolute directories separated by colons; an empty one would be the working directory",
        ),
        (
            'PATH = "bin"',
            "expected absolute directories separated by colons; an empty one would be the working directory",
        ),
        (
            'PATH = ""',
            "expected absolute directories separated by colons; an empty one would be the working directory",
        ),
    ],
)
@for_each("table", ["environment", "worker.a.environment"])
def test_invalid_variable_is_refused(tmp_path: Path, table: str, line: str, problem: str) -> None:
    (found,) = problems_with(tmp_path, f"[{table}]\n{line}\n[beat]")
    place, key, said = found.split(": ", 2)
    assert (place, said) == ("FILE:8", problem)
    assert key == f"{table}.{line.partition(' = ')[0]}"


@pytest.mark.parametrize("name", OWN_VARIABLES)
def test_variable_that_procman_sets_is_refused(tmp_path: Path, name: str) -> None:
    (found,) = problems_with(tmp_path, f'[environment]\n{name} = "1"\n[beat]')
    assert found == f"FILE:8: environment.{name}: cannot be set here: {OWN_VARIABLES[name]}"


@pytest.mark.parametrize("name", SET_BY_SYSTEMD)
def test_variable_with_which_systemd_supervises_is_refused(tmp_path: Path, name: str) -> None:
    (found,) = problems_with(tmp_path, f'[environment]\n{name} = "1"\n[beat]')
    assert found == f"FILE:8: environment.{name}: cannot be set here: {SET_BY_SYSTEMD[name]}"


def test_public_variable_is_not_a_secret(tmp_path: Path) -> None:
    rest = 'public = ["TOKEN_URL", "FEED"]\n[environment]\nTOKEN_URL = "x"\nFEED = "http://a:b@c"\n[beat]'
    assert read_rest(tmp_path, rest).programs[0].environment == {"TOKEN_URL": "x", "FEED": "http://a:b@c"}


def test_longest_value_is_accepted_by_the_kernel(tmp_path: Path) -> None:
    longest = "é" * (LONGEST_VALUE // 2)
    environment = read_rest(tmp_path, f'[environment]\nA = "{longest}"\n[beat]').programs[0].environment
    assert subprocess.run(["true"], env={"A": environment["A"]}, check=False).returncode == 0
    (found,) = problems_with(tmp_path, f'[environment]\nA = "{longest}é"\n[beat]')
    assert found.endswith(f"expected at most {LONGEST_VALUE} bytes: the kernel does not start a program with more")


def _arrives(shell_name: str, name: str) -> bool:
    """Return whether a start script of this shell can pass the variable on."""
    script = f"export {shell(name)}={shell('x y')}\ncd /\numask 022\nexec env\n"
    done = subprocess.run([*shell_name.split(), "-c", script], env={}, capture_output=True, text=True, check=False)
    return f"{name}=x y" in done.stdout.splitlines()


SHELLS = [name for name in ("dash", "bash --posix") if shutil.which(name.split()[0])]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash found")
@pytest.mark.parametrize("name", sorted(SHELL_VARIABLES))
def test_variable_of_the_shell_does_not_reach_the_program(name: str) -> None:
    assert not _arrives("bash --posix", name)


@for_each("each", SHELLS)
@for_each("name", ["A", "IFS", "ENV", "PS1", "PS4", "HOME", "LC_ALL", "BASH_ENV", "CDPATH", "OPTARG"])
def test_other_variable_reaches_the_program(each: str, name: str) -> None:
    assert _arrives(each, name)
