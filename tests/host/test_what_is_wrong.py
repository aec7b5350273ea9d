"""The page of faults: each of them is real here, and each command prints what the page shows (`...` is anything)."""

from __future__ import annotations

import doctest
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import pytest

from .catmaid import DATA, PROJECTS, REPOSITORY, VIRTUALENV, Project, counted
from .machine import Host
from .projects import main_pid, wait_for

PAGE = REPOSITORY / "docs/what-is-wrong.md"

SECRET = "s3cret-of-the-shop"
URL = f"amqp://shop:{SECRET}@localhost:5672/shop"
ACCOUNT = {
    "vhosts": [{"name": "shop"}],
    "users": [{"name": "shop", "password": SECRET, "tags": ""}],
    "permissions": [{"user": "shop", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*"}],
}

TOML = f"""
[project]
name = "shop"
app = "mysite"
directory = "/srv/shop"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/shop/celery.env"
writable_paths = ["{DATA}", "/srv/media"]

[environment]
DEMO_DATA_DIRECTORY = "{DATA}"

[defaults.program]
start_seconds = 2

[health]
heartbeat_seconds = 1
stale_seconds = 4
stall_seconds = 6

[worker.crop]
queues = ["crop"]
concurrency = 1

[worker.mail]
queues = ["mail"]
concurrency = 1

[beat]
"""

SEND = """
import json, sys
import django
django.setup()
from mysite import celery
name, arguments, queue, task_id = json.loads(sys.argv[1])
for each in arguments:
    celery.app.send_task(name, each, queue=queue, task_id=task_id)
"""

MILL = f"""
[project]
name = "mill"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
user = "www-data"

[command.relay]
argv = ["/bin/sleep", "100000"]
start_seconds = 1

[command.clock]
argv = ["/bin/sleep", "100000"]
start_seconds = 1

[supervisor]
mode = "embedded"
"""

TASK = "7f3a1c5e-0000-4000-8000-000000000001"
PATIENCE = 90.0


class Example(NamedTuple):
    """A command of the page and what it prints."""

    command: str
    output: str


def examples(text: str) -> dict[str, list[Example]]:
    """Return the examples in the console blocks of a page, by section."""
    found: dict[str, list[Example]] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        for block in re.findall(r"^```console\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL):
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, flags=re.MULTILINE):
                found.setdefault(title, []).append(Example(command, output))
    return found


EXAMPLES = examples(PAGE.read_text(encoding="utf-8"))


class Shop(Project):
    """The installed project of the page."""

    def type(self, command: str) -> str:
        """Run a command line as an administrator in the project's directory, and return all that it prints."""
        done = self.host.run(["sh", "-c", f"cd /etc/shop && {command} 2>&1"], check=False, timeout=120)
        assert SECRET not in done.stdout
        return done.stdout

    def send(self, task: str, *arguments: Sequence[object], queue: str, task_id: str | None = None) -> None:
        environment = {
            "DJANGO_SETTINGS_MODULE": "exercise.settings",
            "PYTHONPATH": "/srv/shop",
            "CELERY_BROKER_URL": URL,
            "DEMO_DATA_DIRECTORY": DATA,
        }
        asked = json.dumps([task, list(arguments), queue, task_id])
        self.host.run([f"{VIRTUALENV}/bin/python", "-c", SEND, asked], "www-data", environment=environment)

    def is_healthy(self) -> bool:
        return self.procman("health", check=False).returncode == 0


@pytest.fixture(scope="module")
def shop(stocked: Host) -> Iterator[Shop]:
    stocked.run(f"rm -rf /srv/shop /etc/shop; cp -r {PROJECTS} /srv/shop; install -d -o www-data /srv/media")
    stocked.write("/etc/shop/definitions.json", json.dumps(ACCOUNT), mode=0o600, owner="rabbitmq")
    stocked.run("rabbitmqctl import_definitions /etc/shop/definitions.json && rm /etc/shop/definitions.json")
    stocked.write("/etc/shop/celery.env", f"CELERY_BROKER_URL={URL}\n", mode=0o600)
    shop = Shop(stocked, "shop", TOML)
    shop.configuration = "/etc/shop/procman.toml"
    shop.write(TOML)
    # The programs look once a minute whether their code has changed; here every second.
    stocked.run("systemctl set-environment PROCMAN_CODE_SECONDS=1")
    shop.procman("install", "--no-check", "--wait", "60")
    wait_for(shop.is_healthy, PATIENCE, "the shop is healthy")
    yield shop
    shop.procman("uninstall", "--purge")
    stocked.run("systemctl unset-environment PROCMAN_CODE_SECONDS")


@contextmanager
def killed_worker(shop: Shop) -> Iterator[None]:
    shop.send("counting.tasks.hold", [701, 30], queue="crop", task_id=TASK)
    wait_for(lambda: counted(shop.host, "started")[701] == 1, PATIENCE, "the task runs")
    shop.host.run(f"kill -KILL {main_pid(shop.host, 'shop-crop')}")
    wait_for(lambda: shop.state("shop-crop") == "RUNNING", PATIENCE, "it runs again")
    yield
    shop.procman("restart", "crop")


@contextmanager
def crash_loop(shop: Shop) -> Iterator[None]:
    settings = "/srv/shop/exercise/settings.py"
    shop.host.run(f"cp -p {settings} /srv/shop/before; echo 'import shop_payments' >> {settings}")
    shop.host.run("systemctl restart --no-block shop-mail")
    wait_for(lambda: "PM101" in shop.type("procman health mail"), PATIENCE, "it is a crash loop")
    wait_for(lambda: (shop.status()["shop-mail"]["restarts"] or 0) > 1, PATIENCE, "it was restarted")
    yield
    shop.host.run(f"mv /srv/shop/before {settings}")
    shop.procman("restart", "mail")


@contextmanager
def frozen_worker(shop: Shop) -> Iterator[None]:
    pid = main_pid(shop.host, "shop-crop")
    shop.host.run(f"kill -STOP {pid}")
    wait_for(lambda: "PM201" in shop.type("procman health crop"), PATIENCE, "it is frozen")
    yield
    shop.host.run(f"kill -CONT {pid}")


@contextmanager
def stopped_worker(shop: Shop) -> Iterator[None]:
    shop.procman("stop", "mail")
    shop.send("counting.tasks.echo", [711], [712], [713], queue="mail")
    wait_for(lambda: "PM505" in shop.type("procman queues"), PATIENCE, "the messages are seen")
    yield
    shop.procman("start", "mail")


@contextmanager
def busy_worker(shop: Shop) -> Iterator[None]:
    shop.send("counting.tasks.hold", *[[number, 4] for number in range(720, 726)], queue="crop")
    wait_for(lambda: (shop.status()["shop-crop"].get("queued") or 0) >= 1, PATIENCE, "messages wait")
    yield
    shop.host.run("rabbitmqctl -q purge_queue -p shop crop")


@contextmanager
def changed_password(shop: Shop) -> Iterator[None]:
    shop.host.run("rabbitmqctl -q change_password shop other")
    shop.host.run("systemctl restart --no-block shop-mail")
    yield
    shop.host.run(f"rabbitmqctl -q change_password shop {SECRET}")
    shop.procman("restart", "mail")


@contextmanager
def broken_toml(shop: Shop) -> Iterator[None]:
    shop.write(TOML.replace('queues = ["mail"]', 'queues = ["mail'))
    yield
    shop.write(TOML)


@contextmanager
def bad_deploy(shop: Shop) -> Iterator[None]:
    settings = "/srv/shop/exercise/settings.py"
    shop.host.run(f"cp -p {settings} /srv/shop/before; echo 'import shop_payments' >> {settings}")
    yield
    shop.host.run(f"mv /srv/shop/before {settings}")


@contextmanager
def new_code(shop: Shop) -> Iterator[None]:
    settings = "/srv/shop/exercise/settings.py"
    shop.host.run(f"cp -p {settings} /srv/shop/before; echo '# new' >> {settings}")
    wait_for(lambda: "a restart is due" in shop.type("procman status"), PATIENCE, "a restart is due")
    yield
    shop.host.run(f"mv /srv/shop/before {settings}")


@contextmanager
def small_disk(shop: Shop) -> Iterator[None]:
    shop.host.run("mount -t tmpfs -o size=1m tmpfs /srv/media")
    yield
    shop.host.run("umount /srv/media")


@contextmanager
def second_beat(shop: Shop) -> Iterator[None]:
    words = f"cd /srv/shop && exec {VIRTUALENV}/bin/celery -A mysite beat -s /tmp/by-hand --pidfile="
    shop.host.run(
        [
            "systemd-run",
            "--quiet",
            "--unit=by-hand",
            "--uid=www-data",
            f"--setenv=CELERY_BROKER_URL={URL}",
            "--setenv=DJANGO_SETTINGS_MODULE=exercise.settings",
            f"--setenv=DEMO_DATA_DIRECTORY={DATA}",
            "sh",
            "-c",
            words,
        ]
    )
    wait_for(lambda: "PM110" in shop.type("procman health"), PATIENCE, "the second beat is seen")
    yield
    shop.host.run("systemctl stop by-hand")


@contextmanager
def slow_unit(shop: Shop) -> Iterator[None]:
    shop.procman("stop", "mail")
    unit = "[Unit]\nBefore=shop-mail.service\n[Service]\nType=oneshot\nExecStart=/bin/sleep 300\n"
    shop.host.write("/run/systemd/system/shop-migrations.service", unit)
    shop.host.run("systemctl daemon-reload; systemctl start --no-block shop-migrations.service shop-mail.service")
    yield
    shop.host.run(
        "systemctl stop shop-migrations; rm /run/systemd/system/shop-migrations.service; systemctl daemon-reload"
    )
    shop.procman("start", "mail")


@contextmanager
def dead_supervisord(shop: Shop) -> Iterator[None]:
    mill = Project(shop.host, "mill", MILL)
    mill.procman("install", "--no-check", "--wait", "30")
    shop.host.run("kill -KILL $(pgrep -f '[s]upervisord -c /etc/procman/supervisor/supervisord.conf')")
    yield
    mill.procman("uninstall", "--purge")


@contextmanager
def interrupted_uninstall(shop: Shop) -> Iterator[None]:
    shop.send("counting.tasks.hold", [731, 15], queue="crop")
    wait_for(lambda: counted(shop.host, "started")[731] == 1, PATIENCE, "the task runs")
    shop.host.run("cd /etc/shop; timeout --signal=INT 5 procman uninstall", check=False)
    yield
    shop.procman("install", "--no-check", "--wait", "60")


@contextmanager
def nothing(_: Shop) -> Iterator[None]:
    yield


FAULTS: dict[str, Callable[[Shop], AbstractContextManager[None]]] = {
    "A task disappeared, or a worker was killed": killed_worker,
    "A program restarts again and again": crash_loop,
    "A worker runs and does nothing": frozen_worker,
    "Messages pile up: a worker is stopped": stopped_worker,
    "Messages pile up: every slot is busy": busy_worker,
    "The password of the broker changed": changed_password,
    "A program waits for another unit": slow_unit,
    "A nightly task did not run": nothing,
    "Periodic tasks run twice": second_beat,
    "supervisord is dead": dead_supervisord,
    "A disk is full": small_disk,
    "procman.toml is broken": broken_toml,
    "New code does not start": bad_deploy,
    "New code is not running yet": new_code,
    "An uninstall was interrupted": interrupted_uninstall,
}
"""How to bring about the fault of each section, and how to end it."""


@pytest.mark.parametrize("title", EXAMPLES)
def test_fault_shows_what_the_page_has(shop: Shop, title: str) -> None:
    checker = doctest.OutputChecker()
    with FAULTS[title](shop):
        printed = [shop.type(example.command) for example in EXAMPLES[title]]
    for example, output in zip(EXAMPLES[title], printed, strict=True):
        assert checker.check_output(example.output, output, doctest.ELLIPSIS), f"$ {example.command}\n{output}"
    wait_for(shop.is_healthy, PATIENCE, "the shop is healthy again")
