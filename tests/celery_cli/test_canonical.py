"""Two spellings of one Celery command are equal, and two commands are not."""

from __future__ import annotations

import shlex

import pytest

from procman.celery_cli.canonical import CanonicalCommand, canonical
from procman.celery_cli.write import OTHERS
from procman.model import Kind
from tests.tables import for_each


def read(line: str) -> CanonicalCommand | None:
    return canonical(shlex.split(line))


@for_each(
    ("one", "other"),
    [
        ("worker -Q a,b", "worker --queues='a, b'"),
        ("worker -Qa", "worker -Q a"),
        ("worker -c 04 -EB", "worker --concurrency=4 --beat -E"),
        ("worker --task-events", "worker --events"),
        ("worker -l INFO", "worker --loglevel=info"),
        ("worker --time-limit 300", "worker --time-limit=300.0"),
        ("worker -n crop", "worker --hostname=celery@crop"),
        ("worker -O fair", "worker -Ofair"),
        ("worker --maxtasksperchild=9", "worker --max-tasks-per-child 9"),
        ("worker -S /var/lib/state", "worker --statedb=/var/lib/state"),
        ("beat -S django", "beat --scheduler=django"),
        ("beat -s /var/lib/s --pidfile=", "beat --schedule=/var/lib/s --pidfile="),
        ("beat --pidfile=", "beat"),
        ("worker -D -f x", "worker --detach --logfile x"),
        ("worker -c 1 -c 2", "worker -c 2"),
        ("worker -- a=1  b=2", "worker -- a=1 b=2"),
    ],
)
def test_two_spellings_are_equal(one: str, other: str) -> None:
    assert read(f"/env/bin/celery -A mysite {one}") == read(f"celery --app=mysite {other}") is not None


def test_options_before_and_after_the_command_are_equal() -> None:
    assert read("celery -A mysite -C worker -Q a") == read("celery worker --no-color -Q a -A mysite") is not None


@pytest.mark.parametrize("other", ["-Q b", "-Q a -c 2", "-X a", "-Q a -- a=1", "-Q a --unknown=x", ""])
def test_two_commands_differ(other: str) -> None:
    assert read("celery worker -Q a") != read(f"celery worker {other}")


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("value", ["1", "2"])
def test_no_option_without_a_key_is_lost(kind: Kind, value: str) -> None:
    for name in OTHERS[kind]:
        found = read(f"celery {kind.value} {name} {value}" if name.startswith("--") else f"celery {kind.value} {name}")
        assert found is not None
        assert len(found.options) == 1


@pytest.mark.parametrize("line", ["celery flower", "celery", "uwsgi worker", "celery -A worker multi start w1"])
def test_other_commands_have_no_canonical_form(line: str) -> None:
    assert read(line) is None
