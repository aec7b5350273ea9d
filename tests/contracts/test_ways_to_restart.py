"""The three ways to restart, with a virtualenv that is updated in place and with one that a symbolic link switches."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.celery_environments import CELERY_REDIS, CeleryEnvironment, environment_of
from tests.contracts.trials.ground import Ground, Message, ground_of_redis
from tests.product import eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery, pytest.mark.xdist_group("ways to restart")]

PROGRAM = "ways-shop"
TASK = """

import shop_package
from shop_release import RELEASE


@app.task(name="trials.release", bind=True)
def release(self, waits):
    if waits:
        run(self.request.id, 120, (DATA / "told").exists)
    append(DATA / "releases", " ".join((self.request.id, RELEASE, shop_package.VERSION, os.getcwd())))
"""


class Releases:
    """A directory of code and a virtualenv for each release, and the link `current` to one of them."""

    def __init__(self, place: Ground, environment: CeleryEnvironment) -> None:
        self.place, self._environment = place, environment
        self._source, self._current = place.product.code, place.product.directory / "current"
        place.product.code, place.product.virtualenv = self._current / "code", self._current / "env"

    def directory(self, name: str) -> Path:
        return self.place.product.directory / "releases" / name

    def make(self, name: str) -> None:
        """Make a release that reports `name`, as `pip install` and `git clone` do."""
        virtualenv = self.directory(name) / "env"
        shutil.copytree(self._source, self.directory(name) / "code")
        with (self.directory(name) / "code/trial_app.py").open("a") as app:
            app.write(TASK)
        subprocess.run([self._environment.python, "-m", "venv", "--without-pip", virtualenv], check=True)
        [packages] = self._environment.directory.glob("lib/python*/site-packages")
        (_packages(virtualenv) / "celery.pth").write_text(f"{packages}\n")
        self.update(name, name)

    def update(self, name: str, reported: str) -> None:
        """Let the release report another name, as `pip install` and `git pull` in place do."""
        (self.directory(name) / "code/shop_release.py").write_text(f"RELEASE = {reported!r}\n")
        (_packages(self.directory(name) / "env") / "shop_package.py").write_text(f"VERSION = {reported!r}\n")

    def switch(self, name: str) -> None:
        """Let the link lead to this release, at once."""
        link = self._current.with_name("next")
        link.symlink_to(self.directory(name))
        link.replace(self._current)

    def send(self, task_id: str, *, waits: bool = False) -> None:
        """Send a task that notes the release; if it `waits`, when the test ends it, and return once it runs."""
        (self.place.store.data / "told").unlink(missing_ok=True)
        self.place.send([Message(task_id, "trials.release", "redis", "shop", (waits,))])
        if waits:
            eventually(lambda: bool(self.place.store.runs_of(task_id)), f"{task_id} runs")

    def noted(self, task_id: str) -> list[str]:
        """Wait until a task has noted what it runs, and return that: release, version of the package, directory."""

        def found() -> list[list[str]]:
            path = self.place.store.data / "releases"
            lines = path.read_text().splitlines() if path.exists() else []
            return [words[1:] for words in map(str.split, lines) if words[0] == task_id]

        eventually(lambda: bool(found()), f"{task_id} has run")
        [once] = found()
        return once

    def runs(self, code: str, package: str) -> list[str]:
        """Return what a process notes that has imported `package` and runs in the directory of release `code`."""
        return [package, package, str(self.directory(code) / "code")]


def _packages(virtualenv: Path) -> Path:
    [found] = virtualenv.glob("lib/python*/site-packages")
    return found


@pytest.fixture(scope="module")
def releases() -> Iterator[Releases]:
    environment = environment_of(CELERY_REDIS)
    assert environment
    with ground_of_redis(environment) as place:
        made = Releases(place, environment)
        made.make("1")
        made.switch("1")
        configure(place)
        place.product.procman("install", "--wait", "90")
        yield made


def configure(place: Ground, most: int = 2) -> None:
    keys = f'overlap = true\noverlap_max = {most}\nconcurrency = 2\nqueues = ["shop"]\n'
    place.configure([f"[worker.shop]\n{keys}{place.environment('shop', 'redis')}"], name="ways")


def restart(releases: Releases, *words: str) -> str:
    return releases.place.product.procman("restart", "--no-check", *words).stdout


def worker(releases: Releases) -> int:
    return int(releases.place.product.status()[PROGRAM]["pid"] or 0)


def test_overlap_runs_the_code_that_was_updated_in_place(releases: Releases) -> None:
    releases.send("earlier", waits=True)
    releases.update("1", "1-updated")
    assert restart(releases, "--overlap") == f"{PROGRAM}: restarted by an overlap\n"
    releases.send("later")
    assert releases.noted("later") == releases.runs("1", "1-updated")
    releases.place.store.tell()
    assert releases.noted("earlier") == releases.runs("1", "1")


def test_overlap_runs_the_release_that_the_link_leads_to(releases: Releases) -> None:
    releases.make("2")
    releases.send("of-release-1", waits=True)
    releases.switch("2")
    restart(releases, "--overlap", "--wait-for-slot")
    releases.send("of-release-2")
    assert releases.noted("of-release-2") == releases.runs("2", "2")
    releases.place.store.tell()
    assert releases.noted("of-release-1") == releases.runs("1", "1-updated")


def test_release_may_be_removed_once_nothing_drains_from_it(releases: Releases) -> None:
    eventually(lambda: not releases.place.product.status()[PROGRAM]["draining"], "nothing drains")
    shutil.rmtree(releases.directory("1"))
    restart(releases, "--overlap")
    releases.send("without-release-1")
    assert releases.noted("without-release-1") == releases.runs("2", "2")


def test_restart_that_waits_runs_the_code_that_was_updated_in_place(releases: Releases) -> None:
    releases.update("2", "2-updated")
    assert restart(releases) == f"{PROGRAM}: restarted\n"
    releases.send("restarted")
    assert releases.noted("restarted") == releases.runs("2", "2-updated")


def test_restart_without_waiting_returns_at_once_and_starts_the_next_release_after_the_task(releases: Releases) -> None:
    releases.make("3")
    releases.send("unhurried", waits=True)
    before = worker(releases)
    releases.switch("3")
    assert restart(releases, "--no-wait") == f"{PROGRAM}: is restarted once its running tasks have finished\n"
    assert not releases.place.store.has_ended("unhurried")
    releases.place.store.tell()
    assert releases.noted("unhurried") == releases.runs("2", "2-updated")
    releases.send("next")
    assert releases.noted("next") == releases.runs("3", "3")
    assert worker(releases) != before


def test_overlap_that_has_no_slot_changes_nothing_and_one_that_waits_for_a_slot_overlaps(releases: Releases) -> None:
    place = releases.place
    configure(place, most=1)
    place.product.procman("install")
    eventually(lambda: not place.product.status()[PROGRAM]["draining"], "nothing drains")
    releases.send("slow", waits=True)
    restart(releases, "--overlap")
    current = worker(releases)
    refused = place.product.procman("restart", "--overlap", "--no-check", check=False)
    assert refused.returncode == 1
    assert "was not restarted: 1 earlier process is draining (slot " in refused.stdout + refused.stderr
    assert worker(releases) == current
    ready = len(place.store.times("ready")["shop"])
    words = ["--config", str(place.product.configuration), "restart", "--overlap", "--wait-for-slot", "--no-check"]
    with subprocess.Popen(
        [sys.executable, "-m", "procman", *words], env=place.product.environment, cwd=place.product.directory
    ) as waiting:
        time.sleep(2)  # to fail if it does not wait
        assert waiting.poll() is None
        place.store.tell()
        assert waiting.wait(120) == 0
    [run] = place.store.runs_of("slow")
    assert run.has_ended
    [successor] = place.store.times("ready")["shop"][ready:]
    assert successor > run.last
    assert worker(releases) != current
