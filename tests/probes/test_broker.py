"""The query of the broker: each kind of failure is recognised, no password is shown, and it always ends."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from procman.errors import ProcmanError
from procman.probes import broker
from procman.probes.broker_facts import BrokerFacts, QueueFacts
from procman.probes.broker_remedies import remedy_for
from procman.probes.runner import AppError, Place, read_answer
from tests.celery_environments import CeleryEnvironment
from tests.django_projects import DEMO, make_project
from tests.reachable import IS_ROOT, SOMEBODY, public_directory

pytestmark = pytest.mark.celery

SECRET = "hunter-22-of-nobody"


@pytest.fixture
def python(reachable_python: Path) -> Path:
    return reachable_python


@pytest.fixture
def directory() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


def ask(python: Path, directory: Path, settings: str, **how: Any) -> BrokerFacts:
    make_project(directory, settings)
    user = how.pop("user", SOMEBODY if IS_ROOT else None)
    facts = broker.ask_broker(Place(python, {}, directory, user, group=None), "site1", **how)
    assert SECRET not in repr(facts)
    return facts


def url(host: str, port: int | None = None) -> str:
    return f"CELERY_BROKER_URL = 'amqp://me:{SECRET}@{host}{f':{port}' if port else ''}//'"


@contextmanager
def server(reply: bytes | None) -> Iterator[int]:
    """Listen on a port of this host; answer each connection with `reply` and close it, or never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                kept.append(connection)
                if reply is not None:
                    connection.recv(8)
                    connection.sendall(reply)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


def close_method(code: int, text: bytes) -> bytes:
    """Return the bytes with which an AMQP 0-9-1 server closes the connection: connection.close on channel 0."""
    arguments = code.to_bytes(2, "big") + bytes([len(text)]) + text + bytes(4)
    payload = bytes([0, 10, 0, 50]) + arguments
    return bytes([1, 0, 0]) + len(payload).to_bytes(4, "big") + payload + b"\xce"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_closed_port_is_refused(python: Path, directory: Path) -> None:
    facts = ask(python, directory, url("127.0.0.1", closed_port()))
    assert (facts.reachable, facts.trouble, facts.detail) == (False, "refused", "Connection refused")
    assert (facts.transport, facts.host, facts.user) == ("amqp", "127.0.0.1", "me")
    assert facts.url.startswith("amqp://me:***@127.0.0.1:")


def test_unknown_host_name_is_recognised(python: Path, directory: Path) -> None:
    facts = ask(python, directory, url("no-such-host.invalid"))
    assert (facts.reachable, facts.trouble) == (False, "dns")


def test_query_of_a_silent_broker_ends_in_time(python: Path, directory: Path) -> None:
    begun = time.monotonic()
    with server(None) as port:
        facts = ask(python, directory, url("127.0.0.1", port), timeout=4)
    assert (facts.reachable, facts.trouble) == (False, "timeout")
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("code", "trouble"), [(403, "password"), (530, "vhost")])
def test_refusals_of_an_amqp_server_are_distinguished(python: Path, directory: Path, code: int, trouble: str) -> None:
    with server(close_method(code, f"NO - sent to {SECRET}".encode())) as port:
        facts = ask(python, directory, url("127.0.0.1", port))
    assert (facts.reachable, facts.trouble) == (False, trouble)
    assert "NO - sent to ***" in facts.detail
    assert facts.remedy == remedy_for(trouble, "amqp", f"CELERY_BROKER_URL in {directory}/site1/settings.py:4")


def test_server_that_is_no_broker_is_recognised(python: Path, directory: Path) -> None:
    with server(b"HTTP/1.0 400 Bad Request\r\n\r\n") as port:
        facts = ask(python, directory, url("127.0.0.1", port))
    assert facts.reachable is False
    assert facts.trouble in ("closed", "other")


def test_unknown_transport_is_named(python: Path, directory: Path) -> None:
    facts = ask(python, directory, "CELERY_BROKER_URL = 'ampq://localhost'")
    assert (facts.reachable, facts.trouble) == (False, "transport")
    assert facts.detail.startswith("No such transport: ampq")
    assert "Correct the transport before :// in CELERY_BROKER_URL in " in facts.remedy


def test_missing_client_library_is_named(python: Path, directory: Path) -> None:
    facts = ask(python, directory, f"CELERY_BROKER_URL = 'redis://:{SECRET}@localhost'")
    assert (facts.reachable, facts.trouble) == (False, "module")
    # kombu's Redis transport looks for either first.
    assert facts.detail in ("no module named redis", "no module named packaging")


def test_invalid_url_is_not_quoted(python: Path, directory: Path) -> None:
    facts = ask(python, directory, f"CELERY_BROKER_URL = 'amqp://me:x/{SECRET}@localhost:5672//'")
    assert facts.reachable is not True
    assert facts.trouble


def test_second_broker_of_a_list_is_used_if_the_first_is_down(python: Path, directory: Path) -> None:
    settings = f"CELERY_BROKER_URL = ['amqp://me:{SECRET}@127.0.0.1:{closed_port()}//', 'memory://']"
    facts = ask(python, directory, settings)
    assert (facts.reachable, facts.transport) == (True, "memory")


def test_broker_is_unknown_if_the_app_hangs_in_its_import(python: Path, directory: Path) -> None:
    waiting = f"import time\nwhile True:\n    try: time.sleep(1)\n    except Exception: pass\nA = '{SECRET}'"
    facts = ask(python, directory, waiting, timeout=2)
    assert (facts.reachable, facts.trouble) == (None, "import")
    assert "the import of the app exceeded the time limit" in facts.detail


def test_error_of_an_app_is_shown_only_with_its_type(python: Path, directory: Path) -> None:
    facts = ask(python, directory, f"raise LookupError('{SECRET}')")
    assert (facts.reachable, facts.trouble) == (None, "import")
    assert facts.detail == "the app cannot be loaded (LookupError)"


def test_app_that_exits_gives_no_answer(python: Path, directory: Path) -> None:
    with pytest.raises(AppError, match="exited with status 3"):
        ask(python, directory, "import os; os._exit(3)")


@pytest.mark.root("about root")
def test_app_is_never_loaded_as_root(python: Path, directory: Path) -> None:
    with pytest.raises(ProcmanError, match="refusing to load the app as root"):
        ask(python, directory, "", user=None)


def test_messages_of_a_queue_are_counted_on_every_celery(celery_environment: CeleryEnvironment, tmp_path: Path) -> None:
    """The probe is run directly, because only their owner can reach the virtualenvs."""

    environment = {"DEMO_DATA_DIRECTORY": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    sending = "from mysite import celery; from counting import tasks; [tasks.echo.delay(number) for number in range(3)]"
    python = celery_environment.python
    asked = json.dumps({"programs": {"one": [], "two": ["celery", "crop"]}, "seconds": 30, "management": None})
    source = "\n".join(path.read_text() for path in broker.SOURCES)
    subprocess.run([python, "-c", sending], cwd=DEMO, env=environment, check=True)
    words = [str(python), "-", "mysite", asked]
    done = subprocess.run(words, input=source, cwd=DEMO, env=environment, capture_output=True, text=True, check=True)
    answer = read_answer(done.stdout)
    assert answer
    assert answer["reachable"] is True
    [first, second] = answer["queues"]
    assert (first["name"], first["messages"], first["programs"]) == ("celery", 3, ["one", "two"])
    assert (second["name"], second["messages"], second["programs"]) == ("crop", 0, ["two"])


def test_queues_of_the_demo(python: Path, directory: Path) -> None:
    data = directory / "data"
    data.mkdir()
    data.chmod(0o777)
    demo = shutil.copytree(DEMO, directory / "demo", ignore=shutil.ignore_patterns("var", "__pycache__"))
    environment = {"DEMO_DATA_DIRECTORY": str(data)}
    place = Place(python, environment, demo, SOMEBODY if IS_ROOT else None, group=None)
    facts = broker.ask_broker(place, "mysite")
    assert (facts.reachable, facts.trouble, facts.transport) == (True, "", "filesystem")
    assert facts.queues == (QueueFacts("celery", 0, None),)
