"""Node names are expanded as Celery does, also compared with every Celery that the tests have."""

from __future__ import annotations

import json
import subprocess

import pytest

from procman.celery_cli.node_names import ANY_HOST, node_name
from tests.celery_environments import CELERY_4_4, CELERY_5_7, CelerySpec, environment_of

HOST = "db1.example.org"
NAMES = ["a@%h", "a@%n", "a@%d", "a@%n.%d", "a%i@%h", "a%I@%h", "a@", "@%h", "", "b", "%n", "a@b@c", "a@b"]

EXPANDED = """
import json, sys
from celery.utils import nodenames
host, *names = json.loads(sys.argv[1])
nodenames.gethostname = lambda: host
print(json.dumps([nodenames.host_format(nodenames.default_nodename(name), host) for name in names]))
"""


@pytest.mark.celery
@pytest.mark.parametrize("version", [CELERY_4_4, CELERY_5_7])
def test_node_names_are_expanded_as_celery_does(version: CelerySpec) -> None:
    environment = environment_of(version)
    if environment is None:
        pytest.skip(f"Celery {version} cannot be installed here")
    words = [str(environment.python), "-c", EXPANDED, json.dumps([HOST, *NAMES])]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [node_name(each, HOST) for each in NAMES]


def test_default_node_name_is_celery_on_this_host() -> None:
    assert node_name(None, HOST) == "celery@db1.example.org"


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        ("a@%h", "a@%n.%d", True),
        ("a@%h", "a%I@%h", True),
        ("a@%h", "a@%n", False),
        ("a@%h", "a@db1", False),
        ("%h", None, True),
    ],
)
def test_names_are_compared_for_any_host(one: str, other: str | None, are_equal: bool) -> None:
    assert (node_name(one) == node_name(other)) is are_equal
    assert ANY_HOST in node_name("a@%h")
