"""The project of docs/companions.md: Gunicorn, uWSGI, Daphne and Huey, with requests and tasks of any length."""

from __future__ import annotations

import json
import random
import re
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

PAGE = Path(__file__).parent.parent / "docs/companions.md"

SERVERS = {"gunicorn": 8000, "uwsgi": 8001, "daphne-1": 8002, "daphne-2": 8003}
"""The port of each server in the page."""

LONGEST_SECONDS = 60.0

MARK = "request-"
"""How the file begins that a server writes when it works on a request of `requests`."""

REFUSED = re.compile("Connection (refused|reset by peer)")

VIEWS = """
import asyncio, os
from pathlib import Path
from django.http import HttpResponse
from django.urls import path

VERSION = Path(__file__).with_name("version").read_text()

async def wait(request):
    if "mark" in request.GET:
        Path(os.environ["SHOP_DATA"], request.GET["mark"]).touch()
    await asyncio.sleep(float(request.GET.get("seconds", 0)))
    return HttpResponse(f"{VERSION} {os.getpid()}")

urlpatterns = [path("", wait)]
"""

SETTINGS = """
SECRET_KEY, ROOT_URLCONF, ALLOWED_HOSTS, USE_TZ, MIDDLEWARE = "x", "shop.urls", ["*"], True, []
"""

WSGI = """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
import shop.urls  # as Django's own checks do
"""

JOBS = """
import os, time
from pathlib import Path
from huey import SqliteHuey

HERE = Path(__file__).parent
VERSION = HERE.joinpath("version").read_text()
huey = SqliteHuey(filename=os.path.join(os.environ["SHOP_DATA"], "huey.db"))

@huey.task()
def count(number, seconds):
    write(f"started {number} {VERSION}")
    time.sleep(seconds)
    write(f"finished {number} {VERSION}")

def write(line):
    with open(os.path.join(os.environ["SHOP_DATA"], "tasks"), "a") as file:
        file.write(line + "\\n")
"""


def blocks(language: str) -> list[str]:
    """Return the blocks of the page in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def configuration(project: str, more: str = "") -> str:
    """Return the procman.toml of the page without its worker, which needs a broker; `project` is in place of `user`."""
    text = blocks("toml")[0].replace('user = "shop"', project)
    text = re.sub(r"\[worker\.celery\]\n(.+\n)+", "", text)
    return f"{text}\n[defaults.program]\nstart_seconds = 1\n{more}"


def write_project(code: Path, version: str = "one") -> None:
    """Write the Django project into the directory `code`, with the ASGI application of the page."""
    [asgi] = blocks("python")
    shop = code / "shop"
    shop.mkdir(parents=True)
    files = {"__init__": "", "urls": VIEWS, "settings": SETTINGS, "wsgi": WSGI, "asgi": asgi, "jobs": JOBS}
    for name, text in files.items():
        (shop / f"{name}.py").write_text(text)
    write_version(code, version)


def write_version(code: Path, version: str) -> None:
    """Deploy new code: what it answers has `version`."""
    (code / "shop/version").write_text(version)


def free_ports() -> dict[str, int]:
    """Return a free port for each server; those of the two Daphnes are consecutive, as in the page.

    The kernel gives none of them to a client, which could hold it at the moment in which a server is restarted.
    """
    while True:
        first = random.randrange(20_000, 32_000)
        ports = range(first, first + len(SERVERS))
        with ExitStack() as bound:
            try:
                for port in ports:
                    bound.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return dict(zip(SERVERS, ports, strict=True))


def get(port: int, query: str = "", longest: float = LONGEST_SECONDS) -> str:
    """Return what the server at `port` answers, or why it does not within `longest` seconds."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/?{query}", timeout=longest) as answer:
            text: str = answer.read().decode()
            return text
    except (OSError, urllib.error.URLError) as error:
        return f"no answer: {error!r}"


def version_at(port: int) -> str:
    """Return the version of the code that answers at `port` soon, or `no`."""
    return get(port, longest=LONGEST_SECONDS / 6).partition(" ")[0]


@contextmanager
def requests(ports: Mapping[str, int], seconds: float, data: Path) -> Iterator[dict[str, Future[str]]]:
    """Send a request of `seconds` to each server, and yield the answers to come once all are at work on one.

    `data`: the directory SHOP_DATA of the servers. A request that a server has not accepted yet is lost by a stop.
    """
    marks = {name: f"{MARK}{uuid.uuid4()}" for name in ports}
    with ThreadPoolExecutor(len(ports)) as pool:
        answers = {
            name: pool.submit(get, port, f"seconds={seconds}&mark={marks[name]}") for name, port in ports.items()
        }
        while not all((data / marks[name]).exists() or answers[name].done() for name in ports):
            time.sleep(0.05)
        yield answers


@contextmanager
def clients(ports: Collection[int]) -> Iterator[list[str]]:
    """Send request after request, each to the first of `ports` that accepts it, as a proxy does; yield the answers.

    A connection that is reset was in the queue of a port that was closed: no server has accepted it.
    """
    answers: list[str] = []
    over = Event()

    def ask() -> None:
        while not over.wait(0.02):
            found = (get(port) for port in ports)
            answers.append(next((each for each in found if not REFUSED.search(each)), "refused by all"))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield answers
        finally:
            over.set()
            asking.result()


if __name__ == "__main__":
    # companions.py SECONDS DATA PORT...: prints the answer at each port.
    with requests({port: int(port) for port in sys.argv[3:]}, float(sys.argv[1]), Path(sys.argv[2])) as found:
        print(json.dumps({port: answer.result() for port, answer in found.items()}))
