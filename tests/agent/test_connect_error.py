"""The heartbeat of a worker that cannot connect shows why, and no part of its URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.conftest import Start
from tests.agent.heartbeats import Site
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_REDIS, environment_of
from tests.redis_server import running_redis

pytestmark = pytest.mark.celery

SECRET = "hunter-22"


def test_refused_password_is_seen_in_the_heartbeat_until_the_worker_connects(tmp_path: Path, start: Start) -> None:
    environment = environment_of(CELERY_REDIS)
    assert environment is not None
    directory = tmp_path / "site"
    directory.mkdir()
    site = Site(install_launcher(directory, environment.python), start)
    with running_redis(tmp_path) as redis:
        assert redis.ask("CONFIG", "SET", "requirepass", "right") == "+OK"
        url = f"redis://:{SECRET}@127.0.0.1:{redis.port}/0"
        site.app(f"app.conf.update(broker_url={url!r}, broker_transport_options={{}}, redis_max_connections=None)")
        worker = site.worker(PROCMAN_STALE_SECONDS="30")
        found = worker.wait_for(lambda found: found["connect_error"], "a failed attempt to connect")
        assert found["connect_error"] == "AuthenticationError"
        assert (
            "the broker refuses its user, password or virtual host (AuthenticationError)" in found["verdict"]["reason"]
        )
        assert SECRET not in (worker.run_directory / "heartbeat.json").read_text()
        with redis.connection() as ask:
            assert ask("AUTH right") == "+OK"
            assert ask(f"CONFIG SET requirepass {SECRET}") == "+OK"
        worker.wait_for(lambda found: found["phase"] == "consuming" and not found["connect_error"], "it consumes")
