"""The servers of docs/companions.md under systemd: no request and no task is lost, and systemctl reload works."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.celery_environments import COMPANIONS
from tests.companions import MARK, SERVERS, configuration, write_project, write_version

from .catmaid import PIP, REPOSITORY, Project
from .machine import Host
from .packages import wheelhouse

CODE, DATA, PYTHON = "/srv/shop", "/srv/shop-data", "/srv/shop/env/bin/python"

PROJECT = f"""user = "www-data"
backend = "systemd"
writable_paths = ["{DATA}"]
environment_file = "/etc/shop.env"
"""

MORE = f"""[environment]
SHOP_DATA = "{DATA}"
[command.asks]
argv = ["sleep", "1000"]
umask = "0027"
reload_command = ["sh", "-c", '''echo "$MAINPID $SECRET $PWD $(umask) $(id -un)" >> {DATA}/answer''']
"""

APART = """
trap '' TERM
trap 'echo QUIT; exit' QUIT
echo "$(id -un) $(id -gn) $PWD $SECRET $PROCMAN_INSTANCE"
echo problem >&2
while :; do sleep 0.1; done
"""

MORE += f"""
[command.apart]
argv = ["dash", "-c", {json.dumps("; ".join(APART.strip().splitlines()))}]
user = "games"
group = "mail"
directory = "/usr"
environment_file = "/etc/apart.env"
stop_signal = "QUIT"
stop_timeout_seconds = 600
stdout = "/var/log/apart/out"
stderr = "/var/log/apart/err"
"""

COUNT = "import sys; from shop.jobs import count; [count(int(number), 1.5) for number in sys.argv[1:]]"

PATIENCE_SECONDS = 120.0


class Shop(Project):
    """The project of the page, with the code of its servers on the host."""

    def pids(self) -> dict[str, int]:
        return {name: each["pid"] for name, each in self.status().items()}

    @contextmanager
    def requests(self, seconds: float) -> Iterator[list[str]]:
        """Send a request to each server; after the body, the answers are in the list."""
        words = [PYTHON, f"{CODE}/companions.py", str(seconds), DATA, *map(str, SERVERS.values())]
        answers: list[str] = []
        before = self.at_work()
        with subprocess.Popen(self.host.entering(words), stdout=subprocess.PIPE, text=True) as asking:
            if seconds:
                self.host.wait_for(lambda: self.at_work() >= before + len(SERVERS), PATIENCE_SECONDS, "requests run")
            yield answers
            assert asking.stdout
            answers += json.load(asking.stdout).values()

    def at_work(self) -> int:
        """Return on how many requests of `requests` the servers have begun to work."""
        return len(self.host.run(f"find {DATA} -name '{MARK}*'").stdout.splitlines())

    def serves(self, version: str) -> bool:
        with self.requests(0) as answers:
            pass
        return all(answer.startswith(f"{version} ") for answer in answers)

    def wait_until_served(self, version: str) -> None:
        self.host.wait_for(lambda: self.serves(version), PATIENCE_SECONDS, f"all serve {version}")

    def send(self, *numbers: int) -> None:
        """Queue a task of 1.5 s for each of `numbers`, and wait until Huey runs the first two."""
        environment = {"SHOP_DATA": DATA, "PYTHONPATH": CODE}
        self.host.run([PYTHON, "-c", COUNT, *map(str, numbers)], "www-data", environment=environment)
        self.host.wait_for(lambda: {*numbers[:2]} <= self.tasks("started"), PATIENCE_SECONDS, "two tasks run")

    def tasks(self, what: str) -> set[int]:
        lines = self.host.run(f"cat {DATA}/tasks", check=False).stdout.splitlines()
        assert len(lines) == len({*lines}), "a task ran twice"
        return {int(line.split()[1]) for line in lines if line.startswith(what)}


@pytest.fixture(scope="module")
def shop(stocked: Host) -> Shop:
    host = stocked
    write_project(host.path("/srv") / "shop")
    host.write(f"{CODE}/companions.py", (REPOSITORY / "tests/companions.py").read_text())
    host.run(f"install -d -o www-data {DATA}")
    host.write("/etc/shop.env", "SECRET=kept-from-view\n", mode=0o600)
    host.write("/etc/apart.env", "SECRET=its-own\n", mode=0o600)
    host.run("install -d /var/log/apart")
    # Without Celery, to save time.
    needed = [*COMPANIONS, "Django>=5.2,<6"]
    host.run(["python3", "-m", "venv", "--without-pip", "/srv/shop/env"])
    install = [PIP, "--python", PYTHON, "--quiet", "--disable-pip-version-check", "install", "--no-index"]
    host.run([*install, "--find-links", str(wheelhouse(needed, suite=host.suite)), *needed], timeout=180)
    shop = Shop(host, "shop", configuration(PROJECT, MORE))
    shop.procman("install", "--no-check")
    shop.wait_until_served("one")
    return shop


def test_stop_loses_no_request_and_no_task(shop: Shop) -> None:
    with shop.requests(3) as answers:
        shop.send(1, 2, 3)
        shop.procman("stop")
    assert all(answer.startswith("one ") for answer in answers), answers
    assert shop.tasks("started") == shop.tasks("finished") == {1, 2}
    shop.procman("start")
    shop.wait_until_served("one")


def test_command_has_its_own_user_secrets_logs_and_stop_signal(shop: Shop) -> None:
    """systemd passes it a file that it cannot read itself, and sends QUIT: it ignores TERM."""
    host, started = shop.host, "games mail /usr its-own 1\n"
    before = host.run("cat /var/log/apart/out").stdout
    assert before.startswith(started)
    shop.procman("restart", "--no-check", "apart")
    after = f"{before}QUIT\n{started}"
    host.wait_for(lambda: host.run("cat /var/log/apart/out").stdout == after, PATIENCE_SECONDS, "it has started")
    assert {*shop.host.run("cat /var/log/apart/err").stdout.split()} == {"problem"}
    shown = shop.procman("logs", "apart").stdout
    assert "QUIT" in shown
    assert "problem" in shown


def test_reload_runs_the_new_code_in_the_same_processes(shop: Shop) -> None:
    host, before = shop.host, shop.pids()
    with shop.requests(3) as answers:
        shop.send(11, 12, 13)
        write_version(host.path(CODE), "two")
        reloaded = shop.procman("reload").stdout.splitlines()
        assert reloaded == [f"shop-{name}: reloaded" for name in ("gunicorn", "uwsgi", "huey", "asks")]
    assert all(answer.startswith("one ") for answer in answers), answers
    host.wait_for(lambda: 13 in shop.tasks("finished"), PATIENCE_SECONDS, "the task that waited has run")
    assert host.run(f"cat {DATA}/answer").stdout == f"{before['shop-asks']} kept-from-view {CODE} 0027 www-data\n"
    shop.procman("restart", "--no-check", "daphne")
    shop.wait_until_served("two")
    after = shop.pids()
    assert {name for name in before if before[name] != after[name]} == {"shop-daphne-2", "shop-daphne-3"}

    # systemctl does the same, and a daemon-reload applies a change of the key.
    write_version(host.path(CODE), "three")
    host.run("systemctl reload shop-gunicorn shop-uwsgi")
    shop.write(configuration(PROJECT, MORE.replace('"sh", "-c",', '"sh", "-euc", "exit 3",')))
    assert "shop-asks" not in shop.procman("install", "--no-check").stdout
    failed = shop.procman("reload", "asks", check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "shop-asks: could not be reloaded" in failed.stderr
    shop.procman("restart", "--no-check", "daphne")
    shop.wait_until_served("three")
    assert {name for name in before if after[name] != shop.pids()[name]} == {"shop-daphne-2", "shop-daphne-3"}


def test_killed_companion_is_restarted_and_leaves_nothing_behind(shop: Shop) -> None:
    before = shop.pids()
    shop.host.run(["kill", "-9", *map(str, before.values())])
    shop.host.wait_for(
        lambda: all(each["state"] == "RUNNING" for each in shop.status().values()), PATIENCE_SECONDS, "all run"
    )
    shop.wait_until_served("three")
    assert not {*before.values()} & {*shop.pids().values()}
    shop.procman("uninstall", "--purge")
