"""The query of the app: its user, its time limit, and the error if there is no answer."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procman.errors import ProcmanError
from procman.probes import app as app_facts
from procman.probes.app import AppFacts, BeatEntry
from procman.probes.runner import AppError, Place
from tests.celery_environments import CELERY_5_7
from tests.django_projects import DEMO, make_project
from tests.reachable import IS_ROOT, SOMEBODY, SYSTEM_PYTHON, public_directory

pytestmark = pytest.mark.celery


@pytest.fixture
def python(reachable_python: Path) -> Path:
    return reachable_python


@pytest.fixture
def directory() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


def ask(python: Path, app: str, directory: Path, *, environment: dict[str, str] | None = None, **how: Any) -> AppFacts:
    user = how.pop("user", SOMEBODY if IS_ROOT else None)
    return app_facts.ask(Place(python, environment or {}, directory, user, group=None), app, **how)


def test_facts_of_the_demo(python: Path, directory: Path) -> None:
    data = directory / "data"
    data.mkdir()
    data.chmod(0o777)
    environment = {"DEMO_DATA_DIRECTORY": str(data), "CELERY_BROKER_URL": "amqp://me:hunter22@localhost//"}
    # A copy, because the user may not be able to reach the checkout.
    demo = shutil.copytree(DEMO, directory / "demo", ignore=shutil.ignore_patterns("var", "__pycache__"))
    facts = ask(python, "mysite", demo, environment=environment, settings=["MEDIA_ROOT"])
    assert facts.versions["celery"] == CELERY_5_7.version
    assert facts.python.startswith("3.")
    assert (facts.settings, facts.queues, facts.tasks) == ("mysite.settings", ("celery",), 4)
    assert (facts.broker_urls, facts.transport) == (("amqp://me:***@localhost//",), "amqp")
    assert facts.missing_module is None
    [entry] = facts.beat_schedule
    assert isinstance(entry, BeatEntry)
    assert entry.task == "catmaid.tasks.cleanup_cropped_stacks"
    assert facts.options == {
        "task_always_eager": False,
        "task_acks_late": False,
        "task_time_limit": None,
        "accept_content": ["json"],
        "worker_concurrency": 1,
        "worker_max_memory_per_child": None,
        "worker_pool": "prefork",
    }
    assert facts.memory_mib
    assert 10 < facts.memory_mib < 200
    assert facts.django == {"MEDIA_ROOT": str(data / "media")}
    assert facts.problems == {}


@pytest.mark.root("only root can become another user")
def test_app_is_loaded_as_the_user_and_cannot_become_root_again(python: Path, directory: Path) -> None:
    make_project(
        directory,
        """
import os
try:
    os.setresuid(0, 0, 0)
except PermissionError:
    pass
MEDIA_ROOT = repr([os.getresuid(), os.getresgid(), os.getgroups(), os.environ["HOME"], os.environ["USER"]])
""",
    )
    facts = ask(python, "site1", directory, settings=["MEDIA_ROOT"])
    nobody = pwd.getpwnam(SOMEBODY)
    uid, gid = nobody.pw_uid, nobody.pw_gid
    groups = os.getgrouplist(SOMEBODY, gid)
    expected = [(uid,) * 3, (gid,) * 3, groups, nobody.pw_dir, SOMEBODY]
    assert facts.django["MEDIA_ROOT"] == repr(expected)


@pytest.mark.root("about root")
@pytest.mark.parametrize("user", [None, "root"])
def test_app_is_never_loaded_as_root(python: Path, directory: Path, user: str | None) -> None:
    make_project(directory, f"open({str(directory / 'loaded')!r}, 'w')")
    with pytest.raises(ProcmanError, match="refusing to load the app as root"):
        ask(python, "site1", directory, user=user)
    assert not (directory / "loaded").exists()


def test_unknown_user_is_named(python: Path, directory: Path) -> None:
    with pytest.raises(ProcmanError, match="user no-such-user does not exist"):
        ask(python, "site1", directory, user="no-such-user")


def test_app_does_not_see_the_callers_environment(
    python: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://of-the-caller//")
    make_project(directory, "CELERY_BROKER_URL = 'memory://'")
    assert ask(python, "site1", directory).broker_urls == ("memory://",)


def test_hanging_app_is_killed(python: Path, directory: Path) -> None:
    make_project(directory, "import time\nwhile True: time.sleep(1)")
    with pytest.raises(ProcmanError, match=r"did not finish within 3 s and was killed"):
        ask(python, "site1", directory, timeout=3)


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ("import sys; sys.exit(4)", "site1 cannot be loaded: SystemExit: 4 (at ", "settings.py:4 in <module>"),
        ("import os; os._exit(3)", "exited with status 3 while loading the app", ""),
        ("import os; os.kill(os.getpid(), 11)", "was killed by signal 11 while loading the app", ""),
        ("import os; os.write(2, b'at redis://:hunter22@x'); os._exit(1)", "exited with status 1", "at redis://:***@x"),
    ],
)
def test_failed_load_is_reported_with_its_reason(
    python: Path, directory: Path, settings: str, message: str, hint: str
) -> None:
    make_project(directory, settings)
    with pytest.raises(AppError) as caught:
        ask(python, "site1", directory)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_invalid_answer_is_refused(directory: Path) -> None:
    python = directory / "python"
    python.write_text('#!/bin/sh\ncat > /dev/null\necho \'procman-probe:{"format": 1, "app": {}}\'\n')
    python.chmod(0o755)
    with pytest.raises(AppError, match="the app's answer is invalid"):
        ask(python, "site1", directory)


@pytest.mark.root("only root can check the permissions of another user")
def test_python_that_the_user_cannot_run_is_named(directory: Path) -> None:
    private = directory / "private"
    private.mkdir(mode=0o700)
    (private / "python").symlink_to(SYSTEM_PYTHON)
    with pytest.raises(ProcmanError, match=f"{SOMEBODY} cannot run {private}/python in /: permission denied") as caught:
        ask(private / "python", "site1", Path("/"))
    assert "namei -l" in caught.value.hint


def test_missing_python_is_named(directory: Path) -> None:
    with pytest.raises(ProcmanError, match=f"cannot run {directory}/python"):
        ask(directory / "python", "site1", Path("/"))


def test_name_of_a_result_backend_in_the_environment_file_is_shown(python: Path, directory: Path) -> None:
    text = 'import os\nfrom celery import Celery\napp = Celery(broker="memory://", backend=os.environ["RESULTS"])\n'
    (directory / "shop.py").write_text(text)
    user = SOMEBODY if IS_ROOT else None
    place = Place(python, {}, directory, user, group=None, private={"RESULTS": "no-such-backend"})
    facts = app_facts.ask(place, "shop", commands={"shop-celery": ["-A", "shop", "worker"]})
    assert (facts.result_backend.url, facts.result_backend.trouble) == ("no-such-backend", "unknown")
