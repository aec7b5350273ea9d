"""A start script is read, and lines that are not understood are reported."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procman.celery_cli.script_state import StartScript
from procman.celery_cli.start_script import read_script
from tests.tables import for_each

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


Shell = Callable[..., "list[str] | None"]


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

    def words_of(text: str, *arguments: str) -> list[str] | None:
        if run("-n", "-c", text).returncode != 0:
            return None
        return run("-c", text, "sh", *arguments).stdout.partition(b"\1")[0].decode().split("\0")[:-1]

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
        ("X='a b'; celery $X worker", ["celery", "a", "b", "worker"]),
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
    script = read("cd /srv/shop/..\n. ./env/../env/bin/activate\ncelery worker")
    assert (script.directory, script.virtualenv) == (Path("/srv"), Path("/srv/env"))


@pytest.mark.parametrize(
    "function", ["function f { shift;", "function f() { shift;", "function f\n{ shift\n", "f() { shift;"]
)
def test_function_gets_its_own_arguments(function: str) -> None:
    script = read(f'{function} celery worker "$@"; }}\nf a -c 2')
    assert (script.words, script.not_understood) == (("celery", "worker", "-c", "2"), [])


@for_each(
    ("line", "reason"),
    [
        ("if curl x; then\n  A=2\nfi", "line 2: `if curl x`: its outcome is unknown, and nothing in it is imported"),
        (
            ". /etc/x/env",
            "line 2: `. /etc/x/env`: /etc/x/env cannot be read, and the variables that it sets are unknown",
        ),
        ("source /etc/profile", "line 2: `source /etc/profile`: the variables of a login shell are not imported"),
        ("mkdir -p /var/run/celery", "line 2: `mkdir -p /var/run/celery`: procman does not run it before Celery"),
        ("N=$(nproc)", "line 2: `N=$(nproc)`: only a shell can evaluate $(nproc); the variable N is not imported"),
        ("N=`nproc`", "line 2: `N=`nproc``: only a shell can evaluate `nproc`; the variable N is not imported"),
        ("cd $HOME", "line 2: `cd $HOME`: $HOME is not set here; it is not imported"),
        ("date > /x; touch /x 2>&1", "line 2: `touch /x 2>&1`: procman does not run it before Celery"),
        ("X='unfinished", "line 2: `X='unfinished`: only a shell can evaluate it, and procman does not run it"),
        ("celery worker &", "line 2: `celery worker &`: only a shell can evaluate it, and procman does not run it"),
        ("celery worker | tee /x", "line 2: `celery worker | tee /x`: only a shell can evaluate it, and procman does"),
        ("until nc -z db 5432; do\n  sleep 1\ndone", "line 2: `until nc -z db 5432`: only a shell can evaluate it"),
        ("(cd /x; celery worker)", "line 2: `(cd /x; celery worker)`: only a shell can evaluate it"),
        ("cd ~catmaid", "line 2: `cd ~catmaid`: only a shell can evaluate ~; it is not imported"),
        ("f() { f; }; f", "line 2: `f`: it calls itself"),
        (f"{'{ ' * 50}", "line 2: `{ { {"),
        ("BROKER_URL=amqp://me:hunter22@$(hostname)/", "line 2: `BROKER_URL=amqp://me:***@$(hostname)/`: only a shell"),
    ],
)
def test_line_that_is_not_understood_is_reported(line: str, reason: str) -> None:
    script = read(f"A=1\n{line}\nexec celery worker\n")
    assert any(str(reported).startswith(reason) for reported in script.not_understood), script.not_understood
    assert script.variables["A"] == "1"


def test_unknown_word_of_the_command_is_returned_as_it_is_written() -> None:
    script = read("exec celery worker -c $(nproc) -n a@$HOST\n")
    assert script.words == ("celery", "worker", "-c", "$(nproc)", "-n", "a@$HOST")
    assert script.unknown == ["$(nproc)", "$HOST"]


@pytest.mark.parametrize(
    "text",
    [
        'exec celery "$@"',
        "exec celery $@ $*",
        'exec celery "a$*b" "$#" "x$@y"',
        'shift; exec celery "$1" "${2}" "$3"',
        'exec celery ${N:-2} ${N-3} "${N:-a b}" ${N:+x} "${1:-x}" "${1:+y}"',
        "N=; exec celery ${N:-2} ${N-3} worker ${N:=4}",
        "N='a b'; exec celery $N x$N\"$N\" worker",
        'if [ "$1" = mail ]; then exec celery mail; else exec celery other; fi',
        'if [ "$1" = x ]; then exec celery x; elif [ -n "$2" ] && [ $# -ge 2 ]; then exec celery "$2"; fi',
        'if ! [ -d / ] || test "$1" != mail; then exec celery a; fi; exec celery b',
        'case "$1" in a|b) exec celery a;; ma*) exec celery m;; *) exit 1; esac',
        'case "$1" in "ma*") exec celery a;; esac; exec celery none',
        '[ "$1" = mail ] && A=1; [ -z "$1" ] && A=2; exec celery $A',
        '[ "$1" = x ] || exec celery y; exec celery n',
        'cd / || exit 1; exec celery "$(pwd)" "$(dirname /a/b/c)" $(basename /x/y)',
        "f() { A=$1; return; A=9; }; f 7; exec celery $A $1",
        "set -- a 'b c'; exec celery \"$@\" $#",
        "cat <<END > /dev/null\nexec celery 'x\nEND\nexec celery y",
        "A=1; { A=2; }; unset A; exec celery ${A:-none}",
        'exec celery ${A:-"x  y"} "${A:-x  y}" ${A:-${B:-z}}',
        'A="a\\\nb"; exec celery "$A"',
        "for A in 1 2; do exec celery worker loop; done",
    ],
)
def test_command_matches_that_of_a_shell_with_arguments(shell: Shell, text: str) -> None:
    script = read_script(text, Path("/start"), {}, arguments=("mail", "a b"))
    assert script.unknown == []
    if "loop" not in text:
        assert list(script.words) == shell(text, "mail", "a b")
    else:
        assert (script.words, script.undecided) == ((), "for A in 1 2")


def test_default_value_that_counts_is_reported() -> None:
    script = read('N=3\nexec celery worker -c ${C:-2} -n ${N:-4} -Q "${Q-a,b}"\n', Q="z")
    assert script.words == ("celery", "worker", "-c", "2", "-n", "3", "-Q", "z")
    assert [each.consequence for each in script.not_understood] == [
        "${C:-2} is '2' here, because nothing sets this variable"
    ]
    assert script.not_understood[0].is_assumed


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("export A='1 2' B=3\nC=4\n", {"A": "1 2", "B": "3"}),
        ("set -a\nA=1\nset +a\nB=2\n", {"A": "1"}),
        ("set -o allexport; . ./plain; set +o allexport", {"X": "1", "Y": "a b"}),
        ("source exports", {"A": "x", "P": "/start/bin:"}),
        ("[ -f /nonexistent ] && . ./plain", {}),
        ("export $(grep -v '^#' plain | xargs)", {"X": "1", "Y": "a b"}),
        ("declare -x A=1; readonly B=2", {"A": "1"}),
    ],
)
def test_variables_that_reach_celery(text: str, environment: dict[str, str]) -> None:
    files = {"/start/plain": "# x\nX=1\nY='a b'\n", "/start/exports": "export A=x\nexport P=$PWD/bin:$PATH\nB=2\n"}
    script = read_script(
        f"{text}\nexec celery worker", Path("/start"), {}, read_text=lambda path: files.get(str(path), "")
    )
    assert script.environment == environment


@pytest.mark.parametrize(
    "text",
    [
        "A=x\n" + "A=$A$A\n" * 500,
        "set -- a b\n" + 'set -- "$@" "$@"\n' * 300,
        "set -- a b\n" + "set -- $@ $@\n" * 300,
        "A=xxxxxxxxxxxxxxxx\n" + "A=$A$A\n" * 15 + "exec celery worker " + "$A " * 15_000,
        "f() { f; f; f; f; }\n" + "f\n" * 200,
        "command " * 5000,
        "if [ " + "! " * 5000 + "x ]; then\n:\nfi",
        "f() " * 2000,
        "$(" * 5000,
        "${A:-" * 3000 + "}" * 3000,
    ],
    ids=itertools.count(),
)
def test_hostile_script_is_bounded(text: str) -> None:
    script = read(f"{text}\nexec celery worker\n")
    assert sum(map(len, script.words)) + sum(map(len, script.variables.values())) < 1 << 23


def test_secret_that_is_a_default_value_is_not_shown() -> None:
    script = read("X=1\nexec celery worker -n ${DB_PASSWORD:-hunter22} ${X:+$(pgrep ${DB_PASSWORD:-hunter22})}\n")
    assert len(script.not_understood) > 0
    assert "hunter22" not in str(script.not_understood) + repr(script.undecided)


def test_file_that_reads_itself_ends() -> None:
    script = read_script(". ./a\nexec celery worker", Path("/"), {}, read_text=lambda _: ". ./a\n. ./a\n")
    assert script.words == ("celery", "worker")
    assert len(script.not_understood) < 60


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
    "{",
    "}",
    "${A:-",
    "|",
    "if ",
    "fi",
    "then ",
    "$@",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.lists(st.sampled_from(PIECES), max_size=12))
def test_shell_agrees_with_every_command_that_is_returned(shell: Shell, before: list[str], after: list[str]) -> None:
    text = f"A='1 2'\n{''.join(before)}\nexec celery {''.join(after)}\n"
    script = read(text, B="")
    if script.words[:1] == ("celery",) and not script.not_understood and not script.unknown:
        assert shell(f"export B=\n{text}") in (None, list(script.words))


@given(st.text())
def test_any_text_is_accepted(text: str) -> None:
    read(text)
