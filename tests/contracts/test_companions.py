"""Real Gunicorn, uWSGI, Daphne and Huey, as in docs/companions.md, lose no request and no task."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager

import psutil
import pytest

from tests.celery_environments import CELERY_COMPANIONS, environment_of
from tests.companions import (
    SERVERS,
    clients,
    configuration,
    free_ports,
    get,
    requests,
    version_at,
    write_project,
    write_version,
)
from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery, pytest.mark.xdist_group("companions")]

SEND = "import sys; from shop.jobs import count; [count(int(number), 1.5) for number in sys.argv[1:]]"


class Shop:
    """The project of the page, installed under an embedded supervisord."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.ports = free_ports()
        write_project(product.code)
        product.data.mkdir()
        product.configuration.write_text(self._configuration())

    def _configuration(self) -> str:
        # `close` of the product finds its processes by the first variable.
        variables = f'DEMO_DATA_DIRECTORY = "{self.product.data}"\nSHOP_DATA = "{self.product.data}"\n'
        text = configuration('scope = "user"', f"[environment]\n{variables}")
        for old, new in {
            "/srv/shop/env": self.product.virtualenv,
            "/srv/shop": self.product.code,
            "800{instance}": "{instance}",
            "first_instance = 2 ": f"first_instance = {self.ports['daphne-1']} ",
            **{f":{port}": f":{self.ports[name]}" for name, port in SERVERS.items()},
        }.items():
            text = text.replace(old, str(new))
        return text

    def name(self, server: str) -> str:
        """Return the installed name of a server."""
        if not server.startswith("daphne"):
            return f"shop-{server}"
        return f"shop-daphne-{self.ports[server]}"

    def pids(self) -> dict[str, int]:
        return {name: each["pid"] for name, each in self.product.status().items()}

    def events(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.product.procman("events", "--json").stdout.splitlines()]

    def serves(self, version: str) -> bool:
        return all(version_at(port) == version for port in self.ports.values())

    def wait_until_served(self, version: str) -> None:
        """Wait until all servers serve the code of `version`; fail with the state and the log of each that does not."""
        eventually(lambda: self.serves(version), lambda: "\n".join([f"all serve {version}", *self._others(version)]))

    def _others(self, version: str) -> Iterator[str]:
        states = self.product.status()
        for server, port in self.ports.items():
            if not (answer := get(port)).startswith(f"{version} "):
                name = self.name(server)
                log = self.product.procman("logs", name, "--lines", "40", check=False).stdout
                yield f"{name}, port {port}: {answer}, {states[name]}, its log:\n{log}"

    def requests(self, *servers: str) -> AbstractContextManager[dict[str, Future[str]]]:
        """Send a request of 3 s to each of `servers`, all unless named, and wait until they work on it."""
        ports = {server: self.ports[server] for server in servers or self.ports}
        return requests(ports, 3, self.product.data)

    def send(self, *numbers: int) -> None:
        """Queue a task of 1.5 s for each of `numbers`, and wait until Huey runs the first two."""
        environment = {**os.environ, "SHOP_DATA": str(self.product.data), "PYTHONPATH": str(self.product.code)}
        words = [str(self.product.virtualenv / "bin/python"), "-c", SEND, *map(str, numbers)]
        subprocess.run(words, env=environment, check=True)
        eventually(lambda: len({*numbers[:2]} & {*self.tasks("started")}) == 2, "two tasks run")

    def tasks(self, what: str) -> Counter[int]:
        """Return how often each task was `started` or `finished`."""
        return Counter(number for verb, number, _ in self._lines() if verb == what)

    def versions(self) -> dict[int, str]:
        """Return the version of the code that finished each task."""
        return {number: version for verb, number, version in self._lines() if verb == "finished"}

    def _lines(self) -> list[tuple[str, int, str]]:
        path = self.product.data / "tasks"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(verb, int(number), version) for verb, number, version in map(str.split, lines)]


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    environment = environment_of(CELERY_COMPANIONS)
    assert environment
    product = Product(environment)
    try:
        shop = Shop(product)
        product.procman("install")
        shop.wait_until_served("one")
        yield shop
    finally:
        product.close()


def test_reload_loses_no_request_and_no_task_and_runs_the_new_code(shop: Shop) -> None:
    before, ports, procman = shop.pids(), shop.ports, shop.product.procman
    daphnes = ("daphne-1", "daphne-2")
    with (
        clients([ports["gunicorn"]]) as of_gunicorn,
        clients([ports["uwsgi"]]) as of_uwsgi,
        clients([ports[each] for each in daphnes]) as of_daphne,
        shop.requests() as running,
    ):
        shop.send(1, 2, 3)
        write_version(shop.product.code, "two")
        assert procman("reload", "huey").stdout == "shop-huey: reloaded\n"
        assert procman("reload", "gunicorn", "uwsgi").stdout == "shop-gunicorn: reloaded\nshop-uwsgi: reloaded\n"
        for each in daphnes:
            restarted = procman("restart", shop.name(each), "--no-check").stdout
            assert restarted == f"{shop.name(each)}: restarted\n"
            # Its start_seconds are shorter here than the import of Django.
            eventually(lambda each=each: version_at(ports[each]) == "two", "it serves the new code")  # type: ignore[misc]
        shop.wait_until_served("two")
    assert {name: answer.result().split()[0] for name, answer in running.items()} == dict.fromkeys(ports, "one")
    every = {"gunicorn": of_gunicorn, "uwsgi": of_uwsgi, "daphne": of_daphne}
    for name, answers in every.items():
        assert {answer.split()[0] for answer in answers} == {"one", "two"}, (name, {*answers})
    after = shop.pids()
    assert {name for name in before if after[name] != before[name]} == {*map(shop.name, daphnes)}
    shop.send(4, 5)
    eventually(lambda: {3, 4, 5} <= {*shop.tasks("finished")}, "all tasks have run")
    versions = shop.versions()
    # The third runs before the reload if that takes long to begin.
    assert versions.pop(3) in ("one", "two")
    assert versions == {1: "one", 2: "one", 4: "two", 5: "two"}
    assert set((shop.tasks("started") + shop.tasks("finished")).values()) == {2}


def test_stop_loses_no_request_and_no_task(shop: Shop) -> None:
    with shop.requests() as running:
        shop.send(11, 12, 13)
        shop.product.procman("stop")
        assert all(answer.result().split()[0] != "no" for answer in running.values()), running
    assert not shop.product.processes()
    assert shop.tasks("started") == shop.tasks("finished")
    assert "ended" not in {event["what"] for event in shop.events()}, "none was killed at its stop timeout"
    shop.product.procman("start")
    eventually(lambda: 13 in shop.tasks("finished"), "the task that waited has run")
    shop.wait_until_served((shop.product.code / "shop/version").read_text())


def test_killed_companion_is_restarted_and_leaves_nothing_behind(shop: Shop) -> None:
    before = shop.pids()
    assert all(before.values())
    old = {process.pid for process in shop.product.processes()}
    version = (shop.product.code / "shop/version").read_text()
    with shop.requests("gunicorn", "uwsgi") as running:
        for pid in before.values():
            psutil.Process(pid).send_signal(signal.SIGKILL)
        answers = {name: answer.result().split()[0] for name, answer in running.items()}
    assert answers == dict.fromkeys(("gunicorn", "uwsgi"), version), "the workers finish their requests"
    shop.wait_until_served(version)
    shop.send(21, 22)
    eventually(lambda: {21, 22} <= {*shop.tasks("finished")}, "tasks run again")
    after = shop.pids()
    assert not {*before.values()} & {*after.values()}
    eventually(lambda: not old & {process.pid for process in shop.product.processes()}, "no old process is left")
    shop.wait_until_served(version)
    assert all(each["restarts"] for each in shop.product.status().values())
