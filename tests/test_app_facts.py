"""Asking the app: as whom, for how long, and what is said when it does not answer."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from procman import app_facts
from procman.app_facts import AppError, AppFacts, BeatEntry
from procman.errors import ProcmanError
from tests.celery_environments import CELERY_5_7, RUNNING, CeleryEnvironment, environment_of
from tests.django_projects import DEMO, make_project

pytestmark = pytest.mark.celery

SYSTEM_PYTHON = Path("/usr/bin/python3")
"""A Python that any user can reach, other than one below somebody's home."""


@pytest.fixture(scope="module")
def celery() -> CeleryEnvironment:
    environment = environment_of(CELERY_5_7)
    assert environment
    return environment


@pytest.fixture
def public_directory(tmp_path: Path) -> Path:
    """Return a directory that any user can reach."""
    for directory in (tmp_path, *tmp_path.parents[:3]):
        if directory.stat().st_uid == os.geteuid() and directory != Path("/tmp"):
            directory.chmod(0o755)
    return tmp_path


def ask(python: Path, app: str, directory: Path, *, environment: dict[str, str] | None = None, **how: Any) -> AppFacts:
    how.setdefault("user", "nobody" if os.geteuid() == 0 else None)
    return app_facts.ask(python, app, environment=environment or {}, directory=directory, **how)


@pytest.fixture
def reachable(celery: CeleryEnvironment, public_directory: Path) -> tuple[Path, dict[str, str]]:
    """Return a Python that `nobody` can run, and the environment that gives it Celery."""
    if os.geteuid() != 0:
        return celery.python, {}
    packages = celery.directory / "lib" / f"python{RUNNING}" / "site-packages"
    if not SYSTEM_PYTHON.exists() or SYSTEM_PYTHON.resolve().name != f"python{RUNNING}":
        pytest.skip(f"no Python {RUNNING} in /usr/bin, which another user could run")
    (public_directory / "packages").symlink_to(packages)
    return SYSTEM_PYTHON, {"PYTHONPATH": str(public_directory / "packages")}


def test_facts_of_the_demo(reachable: tuple[Path, dict[str, str]], public_directory: Path) -> None:
    python, environment = reachable
    data = public_directory / "data"
    data.mkdir()
    data.chmod(0o777)
    environment |= {"DEMO_DATA_DIRECTORY": str(data), "CELERY_BROKER_URL": "amqp://me:hunter22@localhost//"}
    facts = ask(python, "mysite", DEMO, environment=environment, settings=["MEDIA_ROOT"])
    assert facts.versions["celery"] == CELERY_5_7.version
    assert facts.python.startswith(RUNNING)
    assert (facts.settings, facts.queues, facts.tasks) == ("mysite.settings", ("celery",), 4)
    assert (facts.broker_urls, facts.transport) == (("amqp://me:***@localhost//",), "amqp")
    assert (facts.broker_host, facts.missing_module) == ("localhost", None)
    [entry] = facts.beat_schedule
    assert isinstance(entry, BeatEntry)
    assert entry.task == "catmaid.tasks.cleanup_cropped_stacks"
    assert facts.options["worker_concurrency"] == 1
    assert facts.django == {"MEDIA_ROOT": str(data / "media")}
    assert facts.problems == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_app_is_loaded_as_the_user_for_good(reachable: tuple[Path, dict[str, str]], public_directory: Path) -> None:
    python, environment = reachable
    make_project(
        public_directory,
        """
import os
try:
    os.setresuid(0, 0, 0)
except PermissionError:
    pass
MEDIA_ROOT = repr([os.getresuid(), os.getresgid(), os.getgroups(), os.environ["HOME"], os.environ["USER"]])
""",
    )
    facts = ask(python, "site1", public_directory, environment=environment, settings=["MEDIA_ROOT"])
    nobody = pwd.getpwnam("nobody")
    uid, gid = nobody.pw_uid, nobody.pw_gid
    groups = os.getgrouplist("nobody", gid)
    expected = [(uid,) * 3, (gid,) * 3, groups, nobody.pw_dir, "nobody"]
    assert facts.django["MEDIA_ROOT"] == repr(expected)


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
@pytest.mark.parametrize("user", [None, "root"])
def test_app_is_never_loaded_as_root(celery: CeleryEnvironment, tmp_path: Path, user: str | None) -> None:
    make_project(tmp_path, f"open({str(tmp_path / 'loaded')!r}, 'w')")
    with pytest.raises(ProcmanError, match="not loaded as root"):
        ask(celery.python, "site1", tmp_path, user=user)
    assert not (tmp_path / "loaded").exists()


def test_user_that_is_not_there_is_named(celery: CeleryEnvironment, tmp_path: Path) -> None:
    with pytest.raises(ProcmanError, match="there is no user no-such-user"):
        ask(celery.python, "site1", tmp_path, user="no-such-user")


def test_nothing_of_the_callers_environment_is_seen(
    reachable: tuple[Path, dict[str, str]], public_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, environment = reachable
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://of-the-caller//")
    make_project(public_directory, "CELERY_BROKER_URL = 'memory://'")
    assert ask(python, "site1", public_directory, environment=environment).broker_urls == ("memory://",)


def test_app_that_hangs_is_killed(reachable: tuple[Path, dict[str, str]], public_directory: Path) -> None:
    python, environment = reachable
    make_project(public_directory, "import time\nwhile True: time.sleep(1)")
    with pytest.raises(ProcmanError, match=r"gave no answer within 3 s and was killed"):
        ask(python, "site1", public_directory, environment=environment, timeout=3)


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ("import sys; sys.exit(4)", "site1 cannot be loaded: SystemExit: 4", "settings.py:4 in <module>"),
        ("import os; os._exit(3)", "ended with status 3 while it loaded the app", ""),
        ("import os; os.kill(os.getpid(), 11)", "was killed by signal 11 while it loaded the app", ""),
        ("import os; os.write(2, b'at redis://:hunter22@x'); os._exit(1)", "ended with status 1", "at redis://:***@x"),
    ],
)
def test_reason_is_told(
    reachable: tuple[Path, dict[str, str]], public_directory: Path, settings: str, message: str, hint: str
) -> None:
    python, environment = reachable
    make_project(public_directory, settings)
    with pytest.raises(AppError) as caught:
        ask(python, "site1", public_directory, environment=environment)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_answer_of_another_shape_is_refused(public_directory: Path) -> None:
    python = public_directory / "python"
    python.write_text('#!/bin/sh\ncat > /dev/null\necho \'procman-probe:{"format": 1, "app": {}}\'\n')
    python.chmod(0o755)
    with pytest.raises(AppError, match="the answer of the app cannot be understood"):
        ask(python, "site1", public_directory)


def test_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcmanError, match=f"cannot run {tmp_path}/python"):
        ask(tmp_path / "python", "site1", Path("/"))
