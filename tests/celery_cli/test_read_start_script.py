"""A start script is read, and lines that are not understood are reported."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procman.celery_cli.start_script import StartScript, read_script

SEED = """\
#!/bin/bash

# Where the virtualenv is
ENVDIR=/opt/catmaid/django/env
DJANGODIR=/opt/catmaid/django/projects
DJANGO_SETTINGS_MODULE=mysite.settings

echo "Starting celery as `whoami`"

cd $DJANGODIR
source $ENVDIR/bin/activate
export DJANGO_SETTINGS_MODULE=$DJANGO_SETTINGS_MODULE
export PYTHONPATH=$DJANGODIR:$PYTHONPATH

exec celery -A mysite worker -l info
"""


def read(text: str, **environment: str) -> StartScript:
    return read_script(text, Path("/start"), environment)


def test_catmaids_script_is_read() -> None:
    script = read(SEED)
    assert script.not_understood == []
    assert script.directory == Path("/opt/catmaid/django/projects")
    assert script.virtualenv == Path("/opt/catmaid/django/env")
    assert script.environment == {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "PYTHONPATH": "/opt/catmaid/django/projects:",
    }
    assert script.words == ("celery", "-A", "mysite", "worker", "-l", "info")
    assert script.uses_exec


Shell = Callable[[str], "list[str] | None"]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a function that runs a script in a real shell and returns the words of its first `celery`, or None."""
    directory = tmp_path_factory.mktemp("bin")
    celery = directory / "celery"
    celery.write_text('#!/bin/sh\nprintf "%s\\0" celery "$@"\nprintf "\\1"\n')
    celery.chmod(0o755)

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        environment = {"PATH": f"{directory}:/usr/bin:/bin"}
        return subprocess.run(["sh", *words], env=environment, cwd=directory, capture_output=True, check=False)

    def words_of(text: str) -> list[str] | None:
        if run("-n", "-c", text).returncode != 0:
            return None
        return run("-c", text).stdout.partition(b"\1")[0].decode().split("\0")[:-1]

    return words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("celery -A x worker", ["celery", "-A", "x", "worker"]),
        ("exec \\\n  celery -A x \\\n  worker", ["celery", "-A", "x", "worker"]),
        ("cd / && exec celery -A x worker # don't", ["celery", "-A", "x", "worker"]),
        ("N=1; exec celery -n w$N@%h worker; echo gone", ["celery", "-n", "w1@%h", "worker"]),
        ("""X="a b"; exec celery -n "$X" '$X' "#1" worker""", ["celery", "-n", "a b", "$X", "#1", "worker"]),
        ("X='a  b'; Y=$X; exec celery -n \"${Y}\"", ["celery", "-n", "a  b"]),
        ("X=a;Y=${X}b\nexec celery $Y\\$X", ["celery", "ab$X"]),
        ('X=; exec celery $X worker "$X"', ["celery", "worker", ""]),
        ("exec celery 'a;b' \"c && d\" worker", ["celery", "a;b", "c && d", "worker"]),
        ("exec celery a#b worker", ["celery", "a#b", "worker"]),
        ('X=1; exec celery "a\\"b\\$X\\c$X"', ["celery", 'a"b$X\\c1']),
        ("exec celery 'two\nlines' worker", ["celery", "two\nlines", "worker"]),
        ("exec celery worker 2>/dev/null", ["celery", "worker"]),
    ],
)
def test_command_matches_that_of_a_shell(shell: Shell, text: str, words: list[str]) -> None:
    script = read(text)
    assert (list(script.words), script.not_understood) == (words, [])
    assert script.uses_exec == ("exec" in text)
    assert shell(text) == words


def test_redirections_of_the_command_are_returned() -> None:
    script = read("date > /x\nexec celery worker >> /var/log/celery.log 2>&1")
    assert script.words == ("celery", "worker")
    assert script.redirections == [">> /var/log/celery.log", "2>&1"]


def test_only_exported_variables_reach_the_command() -> None:
    script = read("A=1\nB=2\nexport B\nexport C=3\nD=4 exec celery worker\nE=5\n", B="0", F="6")
    assert script.environment == {"B": "2", "C": "3", "D": "4", "F": "6"}


def test_directory_and_umask_follow_the_script() -> None:
    script = read("cd /srv\ncd x\numask 027\n. env/bin/activate\ncelery worker")
    assert (script.directory, script.umask, script.virtualenv) == (Path("/srv/x"), "027", Path("/srv/x/env"))
    assert read("celery worker").directory == Path("/start")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("if [ -f /x ]; then", "line 2: `if [ -f /x ]`: its outcome is unknown"),
        (". /etc/catmaid/env", "line 2: it reads /etc/catmaid/env, which may set unknown variables"),
        ("mkdir -p /var/run/catmaid", "line 2: `mkdir -p /var/run/catmaid` is ignored"),
        ("N=$(nproc)", "line 2: `N=$(nproc)` needs a shell to evaluate"),
        ("N=`nproc`", "line 2: `N=`nproc`` needs a shell to evaluate"),
        ("cd $HOME", "line 2: $HOME is not set in this script"),
        ("date > /x; touch /x 2>&1", "line 2: `touch /x 2>&1` is ignored"),
        ("X='unfinished", "line 2: `X='unfinished` needs a shell to evaluate"),
        ("celery worker &", "line 2: `celery worker &` needs a shell to evaluate"),
        ("celery worker | tee /x", "line 2: `celery worker | tee /x` needs a shell to evaluate"),
        ("X='a b'; celery $X worker", "line 2: `celery $X worker`: $X without quotes becomes several words"),
        ("cd ~catmaid", "line 2: `cd ~catmaid` needs a shell to evaluate"),
    ],
)
def test_line_that_is_not_understood_is_reported(line: str, reason: str) -> None:
    script = read(f"A=1\n{line}\nexec celery worker\n")
    assert any(reported.startswith(reason) for reported in script.not_understood), script.not_understood


def test_command_that_needs_a_shell_is_not_guessed() -> None:
    script = read("exec celery worker -c $(nproc)\n")
    assert script.words == ()
    assert script.not_understood == ["line 1: `exec celery worker -c $(nproc)` needs a shell to evaluate"]


PIECES = [
    "a",
    "A=",
    "B=b",
    "$A",
    "${B}",
    "'",
    '"',
    "\\",
    " ",
    "  ",
    ";",
    "&&",
    "#",
    "\n",
    "=",
    "~",
    "*",
    "-x",
    "`",
    "$(",
    ")",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.lists(st.sampled_from(PIECES), max_size=12))
def test_shell_agrees_with_every_command_that_is_returned(shell: Shell, before: list[str], after: list[str]) -> None:
    text = f"A='1 2'\n{''.join(before)}\nexec celery {''.join(after)}\n"
    script = read(text, B="")
    if script.words[:1] == ("celery",) and not script.not_understood:
        assert shell(f"export B=\n{text}") in (None, list(script.words))


@given(st.text())
def test_any_text_is_accepted(text: str) -> None:
    read(text)
