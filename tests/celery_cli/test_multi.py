"""A command line of `celery multi` becomes the workers that Celery itself would start."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from procman.celery_cli.multi import MultiProblem, multi_at, nodes_of
from procman.celery_cli.parse import options_in
from tests.celery_environments import CELERY_5_7, environment_of

EXPANDER = Path(__file__).with_name("multi_by_celery.py")

LINES = [
    "start w1 -A shop",
    "start fast slow export -A shop -Q:fast fast -Q:slow slow -Q:export export,reports -c:fast 8 -c 2 --beat:fast",
    "start fast slow -A shop --time-limit=3600 --pidfile=/run/%n.pid --logfile=/log/%n%I.log",
    "start 3 -c 4 -A shop -Q:1-2 images -Q:3 default -l DEBUG",
    "start 10 -Q:1-3,5 images,video -Q:4 data -Q default -L:4,5 DEBUG",
    "start a b c -c:1,3 8 -c:2 1 --pool:b=solo",
    "start a@one.example b@%h -c:a 3 --max-tasks-per-child:b=10",
    "start a-b -c:a-b 3",
    "restart a b --hostname=db1.example.org -O fair",
    "start 2 -n host --range-prefix=w",
    "start a b --prefix=shop- --suffix=eu",
    'start a --suffix=""',
    "start a --statedb=/var/%n-%d-%h.db --schedule=%p -E",
    "start a -B -c 3 --without-gossip",
    "start a -- --one two",
    "start a --append=--x=%n",
    "start 'a' --queues='a b'",
    "start a --quiet --verbose -c 1",
    "start a b -c:3 4",
    "start a -c:0 4",
    "start 2 -c:1-5 4",
    "start 2 -c:x-y 4",
    "start a '' -c 2",
]


def own(line: str) -> dict[str, list[tuple[str, str]]] | None:
    try:
        nodes = nodes_of(["/env/bin/celery", "multi", *shlex.split(line)])
    except MultiProblem:
        return None
    found = {}
    for node in nodes:
        words = [word.replace("%h", "HOST") for word in node.words]
        assert words[0] == "/env/bin/celery"
        name = words[words.index("-n") + 1]
        assert name.startswith(node.name)
        found[name] = comparable(words[1:])
    return found


def comparable(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the options in any order, without those that `multi` adds itself."""
    added = {"--detach", "--executable", "--pidfile", "--logfile"}
    return sorted((name, value) for name, value in options_in(words) if name not in added)


@pytest.mark.celery
def test_nodes_are_those_of_celery() -> None:
    requests = "".join(f"{json.dumps(shlex.split(line))}\n" for line in LINES)
    environment = environment_of(CELERY_5_7)
    if environment is None:
        pytest.skip(CELERY_5_7.missing)
    done = subprocess.run([environment.python, EXPANDER], input=requests, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    theirs = [
        answer and {node: comparable(words[words.index("celery") + 1 :]) for node, words in answer.items()}
        for answer in answers
    ]
    assert dict(zip(LINES, map(own, LINES), strict=True)) == dict(zip(LINES, theirs, strict=True))
    assert sum(answer is None for answer in answers) == 3


def test_options_of_a_node_replace_those_of_all() -> None:
    [fast, slow] = nodes_of(
        shlex.split("/env/bin/python -m celery -A shop multi start fast slow -c:fast 8 -c 2 --beat:fast -Q:2 s")
    )
    start = ("/env/bin/python", "-m", "celery", "-A", "shop", "worker", "-n")
    assert (fast.name, fast.words) == ("fast", (*start, "fast@%h", "-c", "8", "--beat"))
    assert (slow.name, slow.words) == ("slow", (*start, "slow@%h", "-c", "2", "-Q", "s"))


@pytest.mark.parametrize("action", ["stop", "stopwait", "kill", "show", "names", "help", ""])
def test_other_actions_start_nothing(action: str) -> None:
    assert nodes_of(["celery", "multi", *[action][: len(action)], "a"]) == []


@pytest.mark.parametrize("line", ["celery worker multi", "celery -A x beat", "python multi", "multi start", "celery"])
def test_other_commands_are_not_multi(line: str) -> None:
    assert multi_at(line.split()) is None
    assert nodes_of(line.split()) == []


@pytest.mark.parametrize(
    "line",
    [
        "start 100000000",
        "start 1 -c:1-99999999999 2",
        "start a -c:1:2 3",
        'start a -Q "\'"',
    ],
)
def test_command_line_without_bound_or_meaning_is_refused(line: str) -> None:
    with pytest.raises(MultiProblem):
        nodes_of(["celery", "multi", *shlex.split(line)])
