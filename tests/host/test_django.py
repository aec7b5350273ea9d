"""The Django app on a booted host: programs under systemd, the web server as their user, RabbitMQ as the broker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.django_app.chromium import Browser, running_driver
from tests.django_app.environments import DJANGO_APP
from tests.django_app.journeys import (
    ACCOUNTS,
    COUNT,
    LOG,
    PROCESS,
    SEND,
    consumer_is_cancelled_and_added_again,
    crop_is_seen_running_and_is_terminated,
    user_without_permission_changes_nothing,
)

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project, counted
from .machine import Host
from .overlay import HostError
from .projects import install_beside_others, toml
from .relay import relayed

NAME = "web"
PORT = 8000
START_SECONDS = 90.0
CODE = "/opt/django_app"
ENVIRONMENT = {
    "CELERY_BROKER_URL": f"amqp://catmaid:{SECRET}@localhost:5672//",
    "DEMO_DATA_DIRECTORY": DATA,
    "DEMO_PROJECT": NAME,
    "DEMO_MANAGEMENT_URL": f"http://catmaid:{SECRET}@127.0.0.1:15672",
    "DJANGO_SETTINGS_MODULE": "mysite.web",
    "PYTHONPATH": f"{PROJECTS}:{CODE}",
}


class HostSite:
    """The project `web` of a host, and its web server; see `journeys.Site`."""

    def __init__(self, project: Project) -> None:
        self.project, self.host = project, project.host
        self.address = ""
        self.first = 19_000
        self.queue, self.worker, self.beat, self.unacknowledged = NAME, f"{NAME}-celery", f"{NAME}-celery-beat", "0"
        self.node = f"{self.worker}@{self.host.run('hostname').stdout.strip()}"

    def send(self, task: str, *arguments: object) -> str:
        return self._python("-c", SEND, json.dumps([task, arguments, self.queue])).strip()

    def process_of(self, task: str) -> int:
        return int(self._python("-c", PROCESS, task, self.node))

    def is_alive(self, pid: int) -> bool:
        return self.host.path(f"/proc/{pid}").exists()

    def kill(self, pid: int) -> None:
        self.host.run(["kill", "-KILL", str(pid)])

    def counted(self, name: str) -> Any:
        return counted(self.host, name)

    def messages_and_consumers(self) -> tuple[int, int]:
        messages, consumers = json.loads(self._python("-c", COUNT, self.queue))
        return messages, consumers

    def admin_log(self) -> list[tuple[str, str, str]]:
        entries = json.loads(self.manage("shell", "-c", LOG).splitlines()[-1])
        return [(user, target, text) for user, target, text in entries]

    def events(self) -> list[dict[str, Any]]:
        printed = self.project.procman("events", "--json", self.worker).stdout
        return [json.loads(line) for line in printed.splitlines()]

    def manage(self, *words: str) -> str:
        return self._python(f"{PROJECTS}/manage.py", *words)

    def _python(self, *words: str) -> str:
        command = [f"{VIRTUALENV}/bin/python", *words]
        return self.host.run(command, "www-data", environment=ENVIRONMENT, timeout=START_SECONDS).stdout


@contextmanager
def served(site: HostSite) -> Iterator[None]:
    """Run the web server as the unit `admin-of-web`, and make it reachable from this machine."""
    variables = [f"--setenv={name}={value}" for name, value in ENVIRONMENT.items()]
    server = [f"{VIRTUALENV}/bin/python", f"{PROJECTS}/manage.py", "runserver", "--noreload", f"127.0.0.1:{PORT}"]
    site.host.run(["systemd-run", "--quiet", "--unit=admin-of-web", "--uid=www-data", *variables, *server])
    try:
        site.host.wait_for(lambda: _answers(site.host), START_SECONDS, "the web server answers")
        with relayed(PORT, site.host) as port:
            site.address = f"http://127.0.0.1:{port}/admin/"
            yield
    finally:
        site.host.run("systemctl stop admin-of-web")


def _answers(host: Host) -> bool:
    ask = f"from urllib.request import urlopen; urlopen('http://127.0.0.1:{PORT}/admin/')"
    return host.run(["python3", "-c", ask], check=False).returncode == 0


@pytest.fixture(scope="module")
def site(stocked: Host) -> Iterator[HostSite]:
    stocked.run("rabbitmq-plugins enable rabbitmq_management", timeout=START_SECONDS)
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(DJANGO_APP, stocked.path(CODE), ignore=ignored)
    project = Project(stocked, NAME, toml(NAME))
    install_beside_others(project)
    site = HostSite(project)
    site.manage("migrate", "--verbosity", "0")
    site.manage("shell", "-c", ACCOUNTS)
    with served(site):
        yield site
    project.procman("uninstall", "--purge", timeout=300)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        with running_driver() as driver:
            window = Browser(driver)
            window.resize(1280, 900)
            yield window
            window.close()
    except HostError as error:
        pytest.skip(f"Chromium cannot run here: {error}")


def test_crop_is_seen_running_and_is_terminated(site: HostSite, browser: Browser) -> None:
    crop_is_seen_running_and_is_terminated(site, browser)


def test_consumer_is_cancelled_and_added_again(site: HostSite, browser: Browser) -> None:
    browser.forget()
    consumer_is_cancelled_and_added_again(site, browser)


def test_user_without_permission_changes_nothing(site: HostSite, browser: Browser) -> None:
    browser.forget()
    user_without_permission_changes_nothing(site, browser)
