"""Which broker URLs are the same broker, as each Celery reads them; and what a digest does not contain."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from procman.agent import broker_digest
from procman.agent.broker_digest import broker_digests, brokers_of, normal_host
from tests.celery_environments import CELERY_REDIS, CeleryEnvironment, environment_of

HOST = socket.gethostname()

SAME = [
    ("amqp://", "amqp://guest:guest@localhost:5672//"),
    ("amqp://a:b@mq.example.org/shop", "pyamqp://c:d@MQ.example.org.:5672/shop"),
    ("amqp://mq/shop", "amqps://mq:5671/shop"),
    ("amqp://[::1]/shop", "amqp://127.0.0.1/shop"),
    (f"amqp://{HOST}/shop", "amqp://localhost/shop"),
    ("amqp://mq1/shop;amqp://mq2/shop", "amqp://mq2/shop;amqp://mq3/shop"),
]

DIFFERENT = [
    ("amqp://mq/shop", "amqp://mq/live"),
    ("amqp://mq/shop", "amqp://mq//shop"),
    ("amqp://mq/shop", "amqp://other/shop"),
    ("amqp://mq/shop", "amqp://mq:5673/shop"),
    ("amqp://mq1/shop;amqp://mq2/shop", "amqp://mq3/shop;amqp://mq4/shop"),
]

SAME_REDIS = [
    ("redis://", "redis://:secret@127.0.0.1:6379/0"),
    ("redis://cache/3", "rediss://user:secret@cache:6379/3?ssl_cert_reqs=none"),
    ("redis+socket:///run/redis.sock", "redis+socket://:secret@/run/redis.sock?virtual_host=0"),
    ("sentinel://a:26379/1;sentinel://b/1", "sentinel://:secret@b:26379/1"),
]

DIFFERENT_REDIS = [
    ("redis://cache/3", "redis://cache/4"),
    ("redis://cache/3", "redis://cache:6380/3"),
    ("redis+socket:///run/redis.sock?virtual_host=1", "redis+socket:///run/redis.sock?virtual_host=2"),
    ("redis+socket:///run/redis.sock", "redis+socket:///run/other.sock"),
    ("amqp://localhost", "redis://localhost"),
]

ASKING = """
import json, sys
from celery import Celery
def digests(url):
    return broker_digests(Celery("app", broker=url).connection_for_write())
print(json.dumps([[digests(url) for url in pair] for pair in json.loads(sys.argv[1])]))
"""


def share(environment: CeleryEnvironment | None, pairs: list[tuple[str, str]]) -> list[bool]:
    """Return for each pair of URLs whether they have a digest in common."""
    assert environment is not None
    text = Path(str(broker_digest.__file__)).read_text() + ASKING
    words = [str(environment.python), "-", json.dumps(pairs)]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout)
    assert all(one and other for one, other in answers)
    return [bool(set(one) & set(other)) for one, other in answers]


@pytest.mark.celery
def test_urls_of_one_rabbitmq_share_a_digest(celery_environment: CeleryEnvironment) -> None:
    assert share(celery_environment, [*SAME, *DIFFERENT]) == [True] * len(SAME) + [False] * len(DIFFERENT)


@pytest.mark.celery
def test_urls_of_one_redis_share_a_digest() -> None:
    pairs = [*SAME_REDIS, *DIFFERENT_REDIS]
    found = share(environment_of(CELERY_REDIS), pairs)
    assert found == [True] * len(SAME_REDIS) + [False] * len(DIFFERENT_REDIS)


class Connection:
    """What a digest needs of a kombu connection."""

    alt: tuple[str, ...] = ()

    def __init__(self, transport: str, host: str | None = "mq", database: str = "shop", **options: Any) -> None:
        self.transport_cls, self.hostname, self.port, self.virtual_host = transport, host, None, database
        self.transport_options = options


def test_prefix_and_master_separate_brokers(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    one = broker_digests(Connection("redis", global_keyprefix="live"))
    assert one != broker_digests(Connection("redis", global_keyprefix="staging"))
    assert broker_digests(Connection("sentinel", master_name="a")) != broker_digests(
        Connection("sentinel", master_name="b")
    )
    assert broker_digests(Connection("filesystem", data_folder_out=str(tmp_path))) == broker_digests(
        Connection("filesystem", data_folder_out=str(tmp_path / "link"))
    )


def test_broker_without_an_address_is_unknown() -> None:
    assert [broker_digests(Connection(name, None)) for name in ("memory", "sqs", "filesystem")] == [[], [], []]
    assert broker_digests(Connection("mongodb")) != []


def test_failure_is_unknown() -> None:
    assert brokers_of(lambda: 1 / 0) == []


@pytest.mark.parametrize("host", ["", "LOCALHOST", "127.1.2.3", "[::1]", "localhost.", HOST])
def test_names_of_this_host_are_one(host: str) -> None:
    assert normal_host(host) == "localhost"
    assert normal_host("mq.example.org") == "mq.example.org"
