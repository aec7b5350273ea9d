"""The result backend and the schedule of an app, on the project's Python: faults are recognised, nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from procman.probes.app import CHECK_SOURCES
from procman.probes.app_backend_script import require_file
from procman.probes.broker_errors_script import Fault
from procman.probes.runner import read_answer
from tests.celery_environments import CELERY_5_7, CELERY_REDIS, CeleryEnvironment, environment_of
from tests.django_projects import make_project
from tests.redis_server import Redis

pytestmark = pytest.mark.celery

SECRET = "S3cr3tZ9"

SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in CHECK_SOURCES)

EACH = """
import json, sys
probe = {"__name__": "probe"}
exec(compile(sys.stdin.read(), "probe", "exec"), probe)
probe["SERVER_SECONDS"] = float(sys.argv[2])
from celery import Celery
found = []
for url in json.loads(sys.argv[1]):
    app = Celery("shop", broker="memory://", backend=url)
    state, ends = probe["backend_state"](app), False
    try:
        if not url.startswith("file:"):
            app.Worker(pool="solo").startup_info()
    except Exception:
        ends = True
    found.append(dict(state, ends=ends))
print(json.dumps(found))
"""
"""Beside the answer of the probe, whether a worker ends with this backend when it prints its banner."""


def environment(spec: Any) -> CeleryEnvironment:
    found = environment_of(spec)
    assert found
    return found


def states(celery: CeleryEnvironment, directory: Path, *urls: str, seconds: float = 20) -> list[dict[str, Any]]:
    """Return the state of each result backend, all asked by one process."""
    words = [str(celery.python), "-B", "-c", EACH, json.dumps(urls), str(seconds)]
    done = subprocess.run(words, input=SOURCE, cwd=directory, capture_output=True, text=True, check=True, timeout=60)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    assert SECRET not in json.dumps(found)
    return found


BROKEN = {
    f"rediss://:{SECRET}@127.0.0.1/0": ("ssl_cert_reqs", ""),
    "django-db-of-no-package": ("unknown", "no module named django-db-of-no-package"),
    "nosuch://x": ("unknown", "no module named nosuch"),
    "amqp://x": ("unknown", ""),
    f"redis://:{SECRET}#@127.0.0.1": ("url", ""),
    f"redis://:x/{SECRET}@127.0.0.1": ("url", ""),
    "mongodb://x": ("other", "You need to install the pymongo library to use the MongoDB backend."),
}


def test_result_backend_with_which_a_worker_ends_is_recognised(tmp_path: Path) -> None:
    found = states(environment(CELERY_REDIS), tmp_path, *BROKEN)
    assert [(each["trouble"], each["detail"]) for each in found] == list(BROKEN.values())
    assert [(each["ends"], each["starts"]) for each in found] == [(True, False)] * len(BROKEN)


def test_missing_library_of_a_result_backend_is_named(tmp_path: Path) -> None:
    found = states(environment(CELERY_5_7), tmp_path, f"db+postgresql://u:{SECRET}@h/x", "redis://h", "disabled://")
    assert [(each["trouble"], each["detail"], each["ends"]) for each in found] == [
        ("module", "no module named sqlalchemy", True),
        ("module", "no module named redis", True),
        ("", "", False),
    ]


def test_directory_of_a_result_backend_is_judged_without_a_file_in_it(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    before = results.stat().st_mtime_ns
    urls = (f"file://{tmp_path}/none", f"file://localhost{tmp_path}/none", f"file://{results}")
    [*missing, found] = states(environment(CELERY_5_7), tmp_path, *urls)
    assert [each["detail"] for each in missing] == [f"the directory {tmp_path}/none does not exist"] * 2
    assert (found["trouble"], results.stat().st_mtime_ns) == ("", before)


@pytest.mark.parametrize("path", [None, "", ":memory:", "results.sqlite"])
def test_database_of_sqlite_that_can_be_made_is_accepted_and_not_made(
    path: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    require_file(path)
    assert not list(tmp_path.iterdir())


def test_database_of_sqlite_in_a_missing_directory_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=f"the directory {tmp_path}/none does not exist") as caught:
        require_file(f"{tmp_path}/none/results.sqlite")
    assert caught.value.trouble == "directory"


def test_redis_that_stores_no_result_is_recognised(redis: Redis, tmp_path: Path) -> None:
    redis.ask("ACL", "SETUSER", "reader", "on", f">{SECRET}", "~*", "&*", "+@all", "-setex")
    place = f"127.0.0.1:{redis.port}"
    urls = (f"redis://{place}/1", f"redis://reader:{SECRET}@{place}/1", f"redis://:{SECRET}@{place}/1")
    found = states(environment(CELERY_REDIS), tmp_path, *urls, "redis://127.0.0.1:1/0", f"redis+socket://{tmp_path}/no")
    assert [each["trouble"] for each in found] == ["", "refusal", "password", "refused", "other"]
    assert "setex" in found[1]["detail"]
    assert all(each["starts"] and not each["ends"] for each in found)
    assert redis.ask("DBSIZE") == ":0"


def test_tls_of_a_result_backend_to_a_port_without_tls_is_recognised(redis: Redis, tmp_path: Path) -> None:
    url = f"rediss://:{SECRET}@127.0.0.1:{redis.port}/0?ssl_cert_reqs=none"
    [found] = states(environment(CELERY_REDIS), tmp_path, url, seconds=0.5)
    assert (found["trouble"], found["starts"]) == ("plain", True)


def test_redis_that_does_not_answer_is_given_up_in_time(redis: Redis, tmp_path: Path) -> None:
    redis.ask("CLIENT", "PAUSE", 20000, "ALL")
    [found] = states(environment(CELERY_REDIS), tmp_path, f"redis://127.0.0.1:{redis.port}/0", seconds=0.5)
    assert (found["trouble"], found["starts"]) == ("timeout", True)


DJANGO = """
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": __file__ + ".db"}}
USE_TZ = True
# Without the migrations, which take longer, migrate creates the same tables.
MIGRATION_MODULES = dict.fromkeys(["contenttypes", "django_celery_beat", "django_celery_results"])
CELERY_RESULT_BACKEND = "django-db"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
"""
APPS = 'INSTALLED_APPS = ["django.contrib.contenttypes", "django_celery_beat", "django_celery_results"]'
BEAT = ["-A", "site1", "beat", "--pidfile="]


class Site:
    """A Django project whose results and schedule are in its database."""

    def __init__(self, directory: Path, settings: str) -> None:
        self.celery = environment(CELERY_REDIS)
        self.directory = make_project(directory, settings)
        self.database = self.directory / "site1/settings.py.db"

    def run(self, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "DJANGO_SETTINGS_MODULE": "site1.settings", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(self.celery.python), *words]
        return subprocess.run(
            command, cwd=self.directory, env=variables, capture_output=True, text=True, timeout=60, check=False, **how
        )

    def faults(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return kind and message of the fault of the result backend, and of the schedule."""
        answer = read_answer(self.run("-", "site1", json.dumps({"beat": BEAT}), input=SOURCE).stdout)
        assert answer
        backend, judged = answer["check"]["backend"], answer["check"]["commands"]["beat"]
        schedule = (judged["schedule_trouble"] or judged["scheduler_error"] or "", judged["schedule_error"])
        return (backend["trouble"], backend["detail"]), schedule


def test_tables_that_do_not_exist_are_reported_until_migrate_has_run(tmp_path: Path) -> None:
    site = Site(tmp_path, DJANGO + APPS)
    missing = f"the file {site.database} of the database default does not exist"
    assert site.faults() == (("tables", missing), ("tables", missing))
    assert not site.database.exists()
    site.database.touch()
    (kind, message), (of_schedule, why) = site.faults()
    assert (kind, of_schedule) == ("tables", "tables")
    assert message == "no such table: django_celery_results_taskresult in the database default"
    assert why.startswith("no such table: django_celery_beat_")
    ended = site.run("-m", "celery", *BEAT)
    assert ended.returncode != 0
    assert "no such table: django_celery_beat_" in ended.stderr
    assert site.run("-m", "django", "migrate", "--run-syncdb").returncode == 0
    before = site.database.read_bytes()
    assert site.faults() == (("", ""), ("", ""))
    assert site.database.read_bytes() == before


def test_django_app_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (kind, message), (of_scheduler, _) = Site(tmp_path, DJANGO).faults()
    assert kind == "installed_apps"
    assert "django_celery_results" in message
    assert "INSTALLED_APPS" in of_scheduler


def test_redis_of_redbeat_that_nothing_listens_on_is_reported(tmp_path: Path) -> None:
    lines = 'CELERY_BEAT_SCHEDULER = "redbeat.RedBeatScheduler"\nCELERY_REDBEAT_REDIS_URL = "redis://127.0.0.1:1/0"'
    assert Site(tmp_path, lines).faults() == (("", ""), ("refused", "Connection refused"))
