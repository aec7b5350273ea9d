"""A real Redis, and a Celery that can use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.celery_environments import CELERY_REDIS, CeleryEnvironment, environment_of
from tests.redis_server import Redis, running_redis


@pytest.fixture
def celery() -> CeleryEnvironment:
    found = environment_of(CELERY_REDIS)
    assert found
    return found


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with running_redis(tmp_path) as redis:
        yield redis
