"""Whole commands accept a beat that waits for RedBeat's lock, which another host's beat holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.django_projects import make_project
from tests.product import Product, eventually
from tests.redis_server import Redis, running_redis

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

BEAT = "site-celery-beat"

LOCK = "redbeat::lock"

TOML = """
[project]
name = "site"
app = "site1"
directory = "{directory}"
virtualenv = "{virtualenv}"
settings = "site1.settings"
scope = "user"
[beat]
scheduler = "redbeat.RedBeatScheduler"
max_interval_seconds = 1
start_seconds = 1
[health]
heartbeat_seconds = 1
[supervisor]
mode = "embedded"
"""


@pytest.fixture
def redis(standby: Product) -> Iterator[Redis]:
    with running_redis(standby.directory) as redis:
        redis.ask("SET", LOCK, "of-another-host", "PX", 36_000_000)
        make_project(standby.directory / "code", f"CELERY_BROKER_URL = {redis.url()!r}\n")
        yield redis


@pytest.fixture
def standby() -> Iterator[Product]:
    environment = environment_of(CELERY_REDIS)
    assert environment is not None
    product = Product(environment)
    product.configuration.write_text(
        TOML.format(directory=product.directory / "code", virtualenv=environment.directory)
    )
    try:
        yield product
    finally:
        product.close()


def test_install_restart_and_health_accept_a_beat_on_standby(standby: Product, redis: Redis) -> None:
    standby.procman("install", "--wait", "60")
    standby.procman("restart", BEAT)
    assert standby.status()[BEAT]["health"]["level"] == "OK"
    document = json.loads(standby.procman("health", "--json").stdout)
    [program] = document["programs"]
    assert (document["level"], program["phase"]) == ("OK", "standby")
    eventually(
        lambda: "on standby; another beat holds the lock redbeat::lock for 9h" in standby.procman("health").stdout,
        "health shows the lock and its remaining time",
    )
    print(standby.procman("health").stdout)
    redis.ask("DEL", LOCK)
    eventually(lambda: "it is ticking" in standby.procman("health").stdout, "it takes over")
