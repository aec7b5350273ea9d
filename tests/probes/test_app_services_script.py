"""The servers that an app connects to, by kind, host and port, and nothing else of its settings."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from procman.probes.app import CHECK_SOURCES
from procman.probes.app_services_script import address_of, service_kind, url_addresses
from tests.celery_environments import CELERY_5_7, CeleryEnvironment, environment_of
from tests.django_projects import make_project
from tests.probes.test_app_script import answer, run_probe
from tests.tables import for_each

SECRET = "s3cret/of;the@vault"

SETTINGS = f"""
DATABASES = {{
    "default": {{"ENGINE": "django.contrib.gis.db.backends.postgis", "USER": "u", "PASSWORD": "{SECRET}"}},
    "socket": {{"ENGINE": "django.db.backends.postgresql", "HOST": "/run/postgresql", "PORT": "5433"}},
    "pooled": {{"ENGINE": "dj_db_conn_pool.backends.postgresql", "HOST": "::1", "PORT": 6432}},
    "many": {{"ENGINE": "django.db.backends.mysql", "HOST": "one.example,two.example", "PORT": ""}},
    "options": {{"ENGINE": "django.db.backends.mysql", "OPTIONS": {{"host": "db.example", "passwd": "{SECRET}"}}}},
    "documents": {{"ENGINE": "djongo", "CLIENT": {{"host": "mongodb://u:{SECRET}@127.0.0.1:27017/x"}}}},
    "file": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "/srv/x.sqlite3"}},
    "none": {{}},
}}
CACHES = {{
    "default": {{"BACKEND": "redis_stub.Cache",
                "LOCATION": ["redis://:{SECRET}@localhost:6380/1", "redis://replica.example"]}},
    "socket": {{"BACKEND": "redis_stub.Cache", "LOCATION": "unix://u:{SECRET}@/run/redis.sock?db=1"}},
    "old": {{"BACKEND": "memcached_stub.Cache",
            "LOCATION": "127.0.0.1:11211;10.1.2.3:11211"}},
    "memory": {{"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "x"}},
}}
CELERY_BROKER_URL = ["amqp://u:{SECRET}@localhost:5673//", "amqp://u:{SECRET}@mq.example//"]
CELERY_RESULT_BACKEND = "db+postgresql+psycopg2://u:{SECRET}@localhost/results"
"""

CACHE = """
from django.core.cache.backends.base import BaseCache
class Cache(BaseCache):
    def __init__(self, location, params):
        super().__init__(params)
"""
"""A cache without the client library, which Django's checks would import."""

FOUND = [
    ("broker", "rabbitmq", "localhost", 5673),
    ("broker", "rabbitmq", "mq.example", None),
    ("result backend", "postgresql", "localhost", None),
    ("database default", "postgresql", "", None),
    ("database socket", "postgresql", "", 5433),
    ("database pooled", "postgresql", "::1", 6432),
    ("database many", "mysql", "one.example", None),
    ("database many", "mysql", "two.example", None),
    ("database options", "mysql", "db.example", None),
    ("database documents", "mongodb", "127.0.0.1", 27017),
    ("cache default", "redis", "localhost", 6380),
    ("cache default", "redis", "replica.example", None),
    ("cache socket", "redis", "", None),
    ("cache old", "memcached", "127.0.0.1", 11211),
    ("cache old", "memcached", "10.1.2.3", 11211),
]


def services(found: dict[str, Any]) -> list[tuple[str, str, str, int | None]]:
    return [(each["what"], each["kind"], each["host"], each["port"]) for each in found["app"]["services"]]


@pytest.mark.celery
def test_every_server_is_answered_without_secrets(celery_environment: CeleryEnvironment, tmp_path: Path) -> None:
    make_project(tmp_path, SETTINGS)
    for name in ("redis_stub", "memcached_stub"):
        (tmp_path / f"{name}.py").write_text(CACHE)
    found = answer(celery_environment.python, tmp_path, "site1")
    assert "services" not in found["app"]["problems"]
    assert services(found) == FOUND
    for part in ("s3cret", "of;the", "vault"):
        assert part not in json.dumps(found)


@pytest.mark.celery
@pytest.mark.parametrize(
    ("settings", "desired"),
    [
        ("", [("broker", "rabbitmq", "", None)]),
        ("CELERY_BROKER_URL = 'redis+socket:///run/r@1.sock'", [("broker", "redis", "", None)]),
        ("CELERY_BROKER_URL = 'filesystem://'\nCELERY_RESULT_BACKEND = 'rpc://'", []),
        ("CELERY_BROKER_URL = 'memory://'\nCELERY_RESULT_BACKEND = 'django-db'", []),
        (
            """CELERY_BROKER_URL = 'sentinel://one:26379;sentinel://two:26379'
CELERY_RESULT_BACKEND = 'cache+memcached://one:1;two:2/'""",
            [
                ("broker", "redis", "one", 26379),
                ("broker", "redis", "two", 26379),
                ("result backend", "memcached", "one", 1),
                ("result backend", "memcached", "two", 2),
            ],
        ),
        (
            "CELERY_BROKER_URL = 'memory://'\nDATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql'}}",
            [("database default", "postgresql", "pg.example", None)],
        ),
    ],
)
def test_servers_of_celery_and_of_the_environment(tmp_path: Path, settings: str, desired: list[object]) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    make_project(tmp_path, settings)
    assert services(answer(environment.python, tmp_path, "site1", PGHOST="pg.example")) == desired


@pytest.mark.celery
def test_app_without_django_has_a_broker_and_no_database(tmp_path: Path) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    (tmp_path / "plain.py").write_text("from celery import Celery\nthing = Celery('x', broker='redis://')\n")
    assert services(answer(environment.python, tmp_path, "plain:thing")) == [("broker", "redis", "", None)]
    assert "django.conf" not in run_probe(environment.python, tmp_path, "plain:thing").stdout


@pytest.mark.parametrize(
    ("url", "scheme", "addresses"),
    [
        ("redis://", "redis", [("", None)]),
        ("redis://:a/b?c#d@[::1]:6379/0", "redis", [("::1", 6379)]),
        ("mongodb://u:p@one:1,two:2/x", "mongodb", [("one", 1), ("two", 2)]),
        ("unix:///run/x@y.sock", "unix", [("", None)]),
        ("db+sqlite:////srv/x", "db+sqlite", [("", None)]),
        ("amqp://a b//", "amqp", []),
        ("redis://host:99999999", "redis", [("host", None)]),
    ],
)
def test_addresses_of_a_url(url: str, scheme: str, addresses: list[object]) -> None:
    assert url_addresses(url) == (scheme, addresses)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:11211", ("127.0.0.1", 11211)),
        ("localhost:6379:1", ("localhost", 6379)),
        ("unix:/run/memcached.sock", ("", None)),
        ("/run/memcached.sock", ("", None)),
        ("", ("", None)),
        ("no address", None),
    ],
)
def test_address_of_a_cache(text: str, address: object) -> None:
    assert address_of(text) == address


@for_each(
    ("name", "kind"),
    [
        ("django_prometheus.db.backends.postgresql", "postgresql"),
        ("psqlextra.backend", "postgresql"),
        ("db+mysql+pymysql", "mysql"),
        ("librabbitmq", "rabbitmq"),
        ("rediss", "redis"),
        ("django.core.cache.backends.memcached.PyLibMCCache", "memcached"),
        ("django.core.cache.backends.locmem.LocMemCache", None),
        ("django.db.backends.sqlite3", None),
        ("django.core.cache.backends.db.DatabaseCache", None),
        ("sqs", None),
        (None, None),
    ],
)
def test_kind_of_a_service(name: object, kind: str | None) -> None:
    assert service_kind(name) == kind


def test_scripts_that_are_run_as_one_text_define_each_name_once() -> None:
    defined = Counter(
        node.name
        for path in CHECK_SOURCES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    )
    assert [name for name, count in defined.items() if count > 1] == []
