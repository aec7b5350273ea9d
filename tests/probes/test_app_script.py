"""The answer about a project's app, and the secrets that must not be in it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procman.probes import app_error_script, app_script
from procman.probes.app import SOURCES
from procman.probes.runner import read_answer
from procman.secrets import recognise
from tests.celery_environments import CELERY_5_7, MISSING_OLDEST, CeleryEnvironment, environment_of, oldest_python
from tests.django_projects import DEMO, make_project

pytestmark = pytest.mark.celery

SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)


@pytest.fixture(scope="module")
def python() -> Path:
    environment = environment_of(CELERY_5_7)
    assert environment
    return environment.python


def run_probe(
    python: Path, directory: Path, app: str, *settings: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-", app, *settings],
        input=SOURCE,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def answer(python: Path, directory: Path, app: str, *settings: str, **environment: str) -> dict[str, Any]:
    found = read_answer(run_probe(python, directory, app, *settings, environment=environment).stdout)
    assert found
    return found


def test_demo_answers_on_every_celery(celery_environment: CeleryEnvironment, tmp_path: Path) -> None:
    found = answer(
        celery_environment.python,
        DEMO,
        "mysite",
        "MEDIA_ROOT",
        "TMP_DIR",
        "NO_SUCH_SETTING",
        DEMO_DATA_DIRECTORY=str(tmp_path),
    )
    assert found["format"] == 1
    assert found["versions"]["celery"] == celery_environment.spec.version
    assert all(found["versions"].values())
    assert found["import_seconds"] > 0
    app = found["app"]
    assert app["problems"] == {}
    assert (app["name"], app["settings_module"]) == ("mysite", "mysite.settings")
    assert app["broker"]["transport"] == "filesystem"
    assert str(tmp_path / "broker" / "messages") in app["broker"]["directories"]
    assert (app["queues"], app["routed_queues"]) == (["celery"], [])
    assert app["beat_scheduler"] == "celery.beat:PersistentScheduler"
    [entry] = app["beat_schedule"]
    assert (entry["name"], entry["task"]) == ("cleanup-cropped-stacks", "catmaid.tasks.cleanup_cropped_stacks")
    assert entry["schedule"] == "cron 0 0 * * *"
    assert app["tasks"] == 4
    assert (app["task_acks_late"], app["task_time_limit"], app["timezone"]) == (False, None, "UTC")
    assert app["settings"] == {"MEDIA_ROOT": f"{tmp_path}/media", "TMP_DIR": f"{tmp_path}/media/crops"}


def test_consumed_and_routed_queues_are_answered(python: Path, tmp_path: Path) -> None:
    make_project(
        tmp_path,
        """
from kombu import Queue
CELERY_TASK_DEFAULT_QUEUE = "main"
CELERY_TASK_QUEUES = [Queue("main"), Queue("crop")]
CELERY_TASK_ROUTES = (
    [("a.*", {"queue": "routed-pair"})], {"b.*": {"queue": Queue("routed-table")}}, {"c": "routed-word"}, lambda *a: {},
)
CELERY_BEAT_SCHEDULE = {"nightly": {"task": "d", "schedule": 5, "options": {"queue": "routed-beat"}}}
""",
    )
    app = answer(python, tmp_path, "site1")["app"]
    assert app["problems"] == {}
    assert app["queues"] == ["crop", "main"]
    assert app["routed_queues"] == ["routed-beat", "routed-pair", "routed-table", "routed-word"]
    assert app["beat_schedule"] == [{"name": "nightly", "task": "d", "schedule": "every 5 seconds"}]


SCHEDULES = {
    "30": "every 30 seconds",
    "0.5": "every 0.5 seconds",
    "86400": "every day",
    "timedelta(minutes=1)": "every minute",
    "timedelta(hours=1, minutes=30)": "every 1 hour 30 minutes",
    "crontab()": "cron * * * * *",
    "crontab(hour=3, minute=0, day_of_week='1-5')": "cron 0 3 * * 1-5",
    "crontab('*/10', [4, 3], month_of_year=2, day_of_month='1, 15')": "cron */10 3,4 1,15 2 *",
    "Dusk()": "Dusk at latitude 52",
}


def test_schedules_are_described_alike_for_every_celery(celery_environment: CeleryEnvironment, tmp_path: Path) -> None:
    entries = ", ".join(f"{name!r}: {{'task': 'x', 'schedule': {name}}}" for name in SCHEDULES)
    make_project(
        tmp_path,
        f"""
from datetime import timedelta
from celery.schedules import crontab, schedule
class Dusk(schedule):
    __repr__ = lambda self: "<Dusk at latitude 52>"
CELERY_BEAT_SCHEDULE = {{{entries}}}
CELERY_TIMEZONE = "Europe/Berlin"
""",
    )
    app = answer(celery_environment.python, tmp_path, "site1")["app"]
    assert {each["name"]: each["schedule"] for each in app["beat_schedule"]} == SCHEDULES
    assert app["timezone"] == "Europe/Berlin"


def test_app_without_django_is_answered(python: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("from celery import Celery\nthing = Celery('x', broker='memory://')\n")
    found = answer(python, tmp_path, "plain:thing", "MEDIA_ROOT")
    assert (found["app"]["settings_module"], found["app"]["settings"]) == (None, {})
    assert found["app"]["broker"]["transport"] == "memory"


def test_missing_client_library_is_named(celery_environment: CeleryEnvironment, tmp_path: Path) -> None:
    make_project(tmp_path, "CELERY_BROKER_URL = 'redis://:hunter22@cache.example:6380/0'")
    app = answer(celery_environment.python, tmp_path, "site1")["app"]
    assert app["problems"] == {}
    assert re.search("redis|packaging", app["broker"].pop("missing_module"))
    assert app["broker"] == {
        "urls": ["redis://:***@cache.example:6380/0"],
        "transport": "redis",
        "directories": [],
    }


def test_one_unknown_field_does_not_affect_others(python: Path, tmp_path: Path) -> None:
    make_project(tmp_path, "CELERY_BEAT_SCHEDULE = {'x': 5}")
    app = answer(python, tmp_path, "site1")["app"]
    assert set(app["problems"]) == {"beat_schedule", "routed_queues"}
    assert app["beat_schedule"] is None
    assert app["queues"] == ["celery"]


@pytest.mark.parametrize(
    "noise",
    [
        "print('on stdout')",
        "import os; os.write(1, b'on stdout')",
        "import subprocess; subprocess.run(['echo', 'on stdout'])",
        "import atexit; atexit.register(print, 'on stdout')",
        'print(\'procman-probe:{"format": 1, "app": "forged"}\')',
    ],
)
def test_output_of_a_project_is_not_in_the_answer(python: Path, tmp_path: Path, noise: str) -> None:
    make_project(tmp_path, noise)
    completed = run_probe(python, tmp_path, "site1")
    assert completed.stdout.count("\n") == 2
    assert "stdout" not in completed.stdout
    found = read_answer(completed.stdout)
    assert found
    assert found["app"]["name"] == "site1"


def test_output_before_the_probe_runs_is_ignored(python: Path, tmp_path: Path) -> None:
    make_project(tmp_path, "")
    (tmp_path / "sitecustomize.py").write_text("print('welcome', end='')")
    assert answer(python, tmp_path, "site1", PYTHONPATH=str(tmp_path))["app"]["name"] == "site1"


def test_probe_does_not_wait_for_threads_and_exit_functions(python: Path, tmp_path: Path) -> None:
    make_project(
        tmp_path,
        "import atexit, threading, time\n"
        "threading.Thread(target=time.sleep, args=[300]).start()\natexit.register(time.sleep, 300)\n",
    )
    assert answer(python, tmp_path, "site1")["app"]["name"] == "site1"


def test_settings_see_the_command_line_of_a_worker_and_no_input(python: Path, tmp_path: Path) -> None:
    make_project(tmp_path, "import sys\nMEDIA_ROOT = repr([sys.argv, sys.stdin.read(), sys.path[0]])")
    seen = answer(python, tmp_path, "site1", "MEDIA_ROOT")["app"]["settings"]["MEDIA_ROOT"]
    assert seen == repr([[str(python.parent / "celery"), "-A", "site1", "worker"], "", str(tmp_path)])


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ("import sys; sys.exit('not today')", "SystemExit", "not today"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("import no_such_thing", "ModuleNotFoundError", "no_such_thing"),
        ("INSTALLED_APPS = ['no_such_app']", "ModuleNotFoundError", "no_such_app"),
        ("this is no Python", "SyntaxError", "settings.py, line 4"),
        (
            "class E(Exception):\n  def __str__(self): raise ValueError\nraise E",
            "E",
            "(no message: it cannot be shown)",
        ),
    ],
)
def test_error_is_answered_with_its_places(
    python: Path, tmp_path: Path, settings: str, kind: str, message: str
) -> None:
    make_project(tmp_path, settings)
    found = answer(python, tmp_path, "site1")
    assert "app" not in found
    assert found["error"]["type"] == kind
    assert message in found["error"]["message"]
    assert found["versions"]["celery"]


NO_LOG_DIRECTORY = """LOGGING = {"version": 1, "root": {"handlers": ["file"]},
"handlers": {"file": {"class": "logging.FileHandler", "filename": "/nowhere/app.log"}}}
import logging.config; logging.config.dictConfig(LOGGING)
"""


@pytest.mark.parametrize(
    ("settings", "last", "line"),
    [
        ("import no_such_thing", True, 4),
        ("this is no Python", True, 4),
        (NO_LOG_DIRECTORY, False, 6),
        ("import json\njson.loads('{')", False, 5),
    ],
)
def test_error_names_its_line_in_the_project(
    python: Path, tmp_path: Path, settings: str, last: bool, line: int
) -> None:
    make_project(tmp_path, settings)
    places = answer(python, tmp_path, "site1")["error"]["traceback"]
    [own] = [place for place in places if place.startswith(f"{tmp_path}/site1/settings.py:{line}")]
    assert (places[-1] == own) is last
    assert not [place for place in places if "<frozen" in place]
    assert len(places) <= app_error_script.TRACEBACK_FRAMES + 1


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, "/site1/settings.py:5"),
        ({"DJANGO_SETTINGS_MODULE": "site1.production"}, "the variable DJANGO_SETTINGS_MODULE"),
    ],
    ids=["setting", "variable"],
)
def test_missing_module_is_located_where_it_is_named(
    python: Path, tmp_path: Path, variables: dict[str, str], place: str
) -> None:
    make_project(tmp_path, 'INSTALLED_APPS = [\n    "shop_search.apps.Search",\n]')
    error = answer(python, tmp_path, "site1", **variables)["error"]
    assert error["place"].removeprefix(str(tmp_path)) == place
    assert not [each for each in error["traceback"] if "importlib/__init__.py" in each or "<stdin>" in each]


@pytest.mark.parametrize(
    ("settings", "variable"),
    [("import os\nSECRET_KEY = os.environ['SHOP_KEY']", "SHOP_KEY"), ("SECRET_KEY = {}['SHOP_KEY']", "")],
)
def test_variable_that_is_not_set_is_named(python: Path, tmp_path: Path, settings: str, variable: str) -> None:
    make_project(tmp_path, settings)
    error = answer(python, tmp_path, "site1")["error"]
    assert (error["message"], error["variable"]) == ("'SHOP_KEY'", variable)


def test_error_of_the_tasks_is_an_error_of_the_app(python: Path, tmp_path: Path) -> None:
    make_project(tmp_path, "INSTALLED_APPS = ['site1']")
    (tmp_path / "site1" / "tasks.py").write_text("import no_such_library\n")
    error = answer(python, tmp_path, "site1")["error"]
    assert error["message"] == "No module named 'no_such_library'"
    assert error["traceback"][-1] == f"{tmp_path}/site1/tasks.py:1 in <module>"


def test_error_with_half_a_character_is_answered(python: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("raise RuntimeError('caf\\udce9')\n")
    assert answer(python, tmp_path, "shop")["error"]["message"] == "caf?"


def test_process_that_exits_itself_gives_no_answer(python: Path, tmp_path: Path) -> None:
    make_project(tmp_path, "import os; os._exit(3)")
    completed = run_probe(python, tmp_path, "site1")
    assert (completed.returncode, read_answer(completed.stdout)) == (3, None)


SECRET = "correct-horse/battery@staple"
OTHER_SECRET = "xyzzy-plugh"


@pytest.mark.parametrize(
    "settings",
    [
        f"CELERY_BROKER_URL = 'amqp://admin:{SECRET}@localhost:5672//'",
        f"CELERY_BROKER_URL = ['amqp://admin:{SECRET}@one//', 'amqp://admin:{SECRET}@two//']",
        f"CELERY_BROKER_URL = 'amqp://admin:{SECRET}@one//;amqp://admin:{SECRET}@two//'",
        f"CELERY_BROKER_URL = 'amqp://admin:two {SECRET}@localhost//'",
        f"CELERY_BROKER_URL = 'sqs://key:{SECRET}@'",
        f"CELERY_BROKER_URL = 'nonsense://admin:{SECRET}@:no-port'",
        f"from urllib.parse import urlsplit\nBROKER = 'amqp://admin:{SECRET}@localhost//'\nurlsplit(BROKER).port",
        "CELERY_BROKER_URL = 'amqp://admin:correct-battery staple@localhost//'",
        f"API_TOKEN = '{SECRET}'\nMEDIA_ROOT = '/srv/' + API_TOKEN",
        f"API_TOKEN = '{SECRET}'",
        f"DATABASES = {{'x': {{'PASSWORD': '{SECRET}'}}}}\nCELERY_BEAT_SCHEDULE = {{'x': {{'task': '{SECRET}'}}}}",
        f"STRIPE_KEY = '{SECRET}'\nraise ValueError('cannot use ' + STRIPE_KEY)",
        f"raise ValueError('cannot use redis://:{SECRET}@localhost/0')",
        f"def connect(password): raise ValueError(password)\nconnect('{SECRET}')",
        "import os\nraise ValueError(os.environ['DB_PASSWORD'])",
        f"x = '{SECRET}'; undefined",
    ],
)
def test_answer_has_no_secret(python: Path, tmp_path: Path, settings: str) -> None:
    make_project(tmp_path, settings)
    completed = run_probe(
        python, tmp_path, "site1", "MEDIA_ROOT", "API_TOKEN", "SECRET_KEY", environment={"DB_PASSWORD": OTHER_SECRET}
    )
    assert read_answer(completed.stdout)
    for part in (SECRET, "correct", "battery", "staple", OTHER_SECRET, "not-for-anybody"):
        assert part not in completed.stdout + completed.stderr


def test_value_that_only_resembles_a_secret_is_not_masked(python: Path, tmp_path: Path) -> None:
    make_project(
        tmp_path,
        "PASSWORD_RESET_DAYS = '7'\nTOKEN_FILE = '/srv/x'\nCELERY_BROKER_URL = 'amqp://guest:guest@localhost//'\n"
        "MEDIA_ROOT = '/srv/x/guest/7'\n",
    )
    app = answer(python, tmp_path, "site1", "MEDIA_ROOT", "SECRET_KEY")["app"]
    assert app["settings"] == {"MEDIA_ROOT": "/srv/x/guest/7"}
    assert app["broker"]["urls"] == ["amqp://guest:***@localhost//"]


PASSWORDS = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1)


@given(before=st.text(), user=st.sampled_from(["", "guest"]), password=PASSWORDS, after=st.text())
def test_any_password_in_a_url_is_masked(before: str, user: str, password: str, after: str) -> None:
    url = f"amqp://{user}:{password}@host"
    assert f"{user}:{password}@" not in recognise.masked(f"{before} {url} {after}")


def test_probe_runs_on_the_oldest_python() -> None:
    python = oldest_python()
    if python is None:
        pytest.skip(MISSING_OLDEST)
    found = answer(python, Path("/"), "mysite")
    assert found["error"]["type"] == "ModuleNotFoundError"
    assert "celery" in found["error"]["message"]


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "hello",
        app_script.MARKER,
        f"{app_script.MARKER}[]",
        f"{app_script.MARKER}{{",
        f'{app_script.MARKER}{{"format": 2}}',
        app_script.MARKER + "null",
    ],
)
def test_invalid_output_is_no_answer(stdout: str) -> None:
    assert read_answer(stdout) is None


def test_last_answer_counts() -> None:
    lines = [app_script.MARKER + json.dumps({"format": 1, "python": number}) for number in (1, 2)]
    assert read_answer("\n".join(["noise", *lines, "noise"])) == {"format": 1, "python": 2}
