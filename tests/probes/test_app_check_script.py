"""The judgement of each Celery on command lines, in the project's own Python and without starting anything."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from procman.probes.app import CHECK_SOURCES
from procman.probes.runner import read_answer
from tests.celery_environments import CELERY_5_7, CeleryEnvironment, environment_of
from tests.django_projects import DEMO, make_project

pytestmark = pytest.mark.celery

SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in CHECK_SOURCES)


def check(python: Path, directory: Path, app: str, commands: dict[str, list[str]], **environment: str) -> Any:
    done = subprocess.run(
        [python, "-", app, json.dumps(commands)],
        input=SOURCE,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    answer = read_answer(done.stdout)
    assert answer, done.stderr
    assert "error" not in answer, answer["error"]
    return answer["check"]


def test_command_lines_on_every_celery(celery_environment: CeleryEnvironment, tmp_path: Path) -> None:
    commands = {
        "valid": ["-A", "mysite", "worker", "-n", "valid@%h", "-Q", "crop,celery", "-c", "2", "-S", "%n.db"],
        "beat": ["-A", "mysite", "beat", "-l", "info", "--pidfile="],
        "option": ["-A", "mysite", "worker", "--no-such-option"],
        "number": ["-A", "mysite", "worker", "-c", "two"],
        "range": ["-A", "mysite", "worker", "--autoscale=a,b"],
        "pool": ["-A", "mysite", "worker", "-P", "gevent"],
        "scheduler": ["-A", "mysite", "beat", "-S", "nowhere:Scheduler"],
        "excluded": ["-A", "mysite", "worker", "-X", "celery"],
    }
    found = check(celery_environment.python, DEMO, "mysite", commands, DEMO_DATA_DIRECTORY=str(tmp_path))
    judged = found["commands"]
    assert [name for name in commands if judged[name]["error"]] == ["option", "number", "range"]
    assert "no-such-option" in judged["option"]["error"]
    assert judged["valid"]["queues"] == ["celery", "crop"]
    assert judged["excluded"]["queues"] == []
    assert [judged[name]["state_file"] for name in ("valid", "excluded", "beat")] == ["%n.db", None, None]
    assert "gevent" in judged["pool"]["pool_error"]
    assert judged["beat"]["keeps_file"] is True
    assert judged["beat"]["scheduler"] == "celery.beat:PersistentScheduler"
    assert "nowhere" in judged["scheduler"]["scheduler_error"]
    written = {each["what"]: each["path"] for each in found["writes"]}
    assert written["MEDIA_ROOT"] == str(tmp_path / "media")
    assert written["broker processed_folder"] == str(tmp_path / "broker/processed")


def test_beat_that_answers_celerys_own_ping_is_noticed(celery_environment: CeleryEnvironment, tmp_path: Path) -> None:
    has_option = celery_environment.spec is CELERY_5_7
    make_project(tmp_path, "CELERY_BEAT_ENABLE_REMOTE_CONTROL = True")
    beat = ["-A", "site1", "beat"]
    commands = {"setting": beat}
    if has_option:
        commands["option"] = [*beat, "--no-enable-remote-control"]
    found = check(celery_environment.python, tmp_path, "site1", commands)["commands"]
    assert [found[name]["error"] for name in commands] == [None] * len(commands)
    assert found["setting"]["answers_ping"] is has_option
    make_project(tmp_path, "")
    commands = {"unset": beat}
    if has_option:
        commands["option"] = [*beat, "--enable-remote-control"]
    answers = check(celery_environment.python, tmp_path, "site1", commands)["commands"]
    assert {name: each["answers_ping"] for name, each in answers.items()} == (
        {"unset": False, "option": True} if has_option else {"unset": False}
    )
    if has_option:
        assert found["option"]["answers_ping"] is False


def test_state_file_of_a_setting_or_variable_is_noticed(python: Path, tmp_path: Path) -> None:
    make_project(tmp_path, "CELERY_WORKER_STATE_DB = 'set.db'")
    commands = {"setting": ["-A", "site1", "worker"], "option": ["-A", "site1", "worker", "--statedb=own.db"]}
    found = check(python, tmp_path, "site1", commands)["commands"]
    assert {name: each["state_file"] for name, each in found.items()} == {"setting": "set.db", "option": "own.db"}
    found = check(python, tmp_path, "site1", commands, CELERY_WORKER_STATEDB="variable.db")["commands"]
    assert found["setting"]["state_file"] == "variable.db"


@pytest.fixture(scope="module")
def python() -> Path:
    environment = environment_of(CELERY_5_7)
    assert environment
    return environment.python


def test_paths_in_the_settings_are_found(python: Path, tmp_path: Path) -> None:
    make_project(
        tmp_path,
        f"""
LOGGING = {{
    "version": 1,
    "handlers": {{"file": {{"class": "logging.FileHandler", "filename": "{tmp_path}/site.log"}}}},
    "loggers": {{"site": {{"handlers": ["file"]}}}},
}}
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "{tmp_path}/c"}}}}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}}}
CELERY_RESULT_BACKEND = "file://{tmp_path}/results"
""",
    )
    found = check(python, tmp_path, "site1", {})
    written = {each["what"]: (each["path"], each["writable"]) for each in found["writes"]}
    assert written == {
        "log": (f"{tmp_path}/site.log", True),
        "cache default": (f"{tmp_path}/c", True),
        "database default": (f"{tmp_path}/db.sqlite3", True),
        "result_backend": (f"{tmp_path}/results", True),
    }


def test_queue_that_the_app_does_not_create_is_an_error(python: Path, tmp_path: Path) -> None:
    make_project(tmp_path, "CELERY_TASK_CREATE_MISSING_QUEUES = False")
    found = check(python, tmp_path, "site1", {"a": ["-A", "site1", "worker", "-Q", "crop"]})
    assert "crop" in found["commands"]["a"]["queues_error"]


def test_apps_own_option_is_accepted(python: Path, tmp_path: Path) -> None:
    make_project(tmp_path, "")
    with (tmp_path / "site1/celery.py").open("a") as file:
        file.write("import click\napp.user_options['worker'].add(click.Option(('--shard',)))\n")
    commands = {"a": ["-A", "site1", "worker", "--shard=3"], "b": ["-A", "site1", "worker", "--shart=3"]}
    found = check(python, tmp_path, "site1", commands)["commands"]
    assert (found["a"]["error"], bool(found["b"]["error"])) == (None, True)
