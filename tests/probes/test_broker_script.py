"""The query of RabbitMQ's management interface; tests/probes/test_broker.py has that of the broker."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from procman.probes.broker_management_script import management, queue_seen

SECRET = "hunter-22-of-nobody"
CONNECTION = SimpleNamespace(
    userid="me",
    password=SECRET,
    transport=SimpleNamespace(default_connection_params={"userid": "guest", "password": "guest"}),
)

Seen = list[tuple[str, "str | None"]]


@contextmanager
def interface(status: int, body: str = "", location: str = "") -> Iterator[tuple[str, Seen]]:
    """Serve one answer to every request; yield the URL, and the path and credentials of each request."""
    seen: Seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def test_alarms_are_requested_with_the_brokers_credentials() -> None:
    with interface(200, '{"status":"ok"}') as (url, seen):
        assert management(f"{url}/", CONNECTION) == {"problem": "", "alarms": []}
    token = base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert seen == [("/api/health/checks/alarms", f"Basic {token}")]


def test_alarms_are_named_once_each() -> None:
    alarm = '{"node":"rabbit@here","resource":"memory"}'
    with interface(503, f'{{"status":"failed","alarms":[{alarm},{alarm}]}}') as (url, _):
        assert management(url, CONNECTION) == {"problem": "", "alarms": ["memory on rabbit@here"]}


def test_invalid_list_of_alarms_is_an_alarm() -> None:
    with interface(503, "<html>") as (url, _):
        assert management(url, CONNECTION) == {"problem": "", "alarms": ["unknown alarm"]}


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (401, "HTTP status 401: the broker's user may not read the alarms"),
        (404, "HTTP status 404: page not found"),
        (500, "HTTP status 500: unexpected answer"),
    ],
)
def test_other_status_is_a_problem(status: int, problem: str) -> None:
    with interface(status) as (url, _):
        assert management(url, CONNECTION) == {"problem": problem, "alarms": []}


def test_credentials_are_not_sent_to_a_redirect() -> None:
    with interface(200) as (elsewhere, seen), interface(302, location=elsewhere) as (url, _):
        found = management(url, CONNECTION)
    assert seen == []
    assert found["problem"].startswith("HTTP status 302")


def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with interface(200) as (proxy, seen), interface(200) as (url, _):
        monkeypatch.setenv("http_proxy", proxy)
        management(url, CONNECTION)
    assert seen == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://127.0.0.1:1"])
def test_url_without_an_answer_is_a_problem(url: str) -> None:
    found = management(url, CONNECTION)
    assert found["problem"]
    assert found["alarms"] == []
    assert SECRET not in str(found)


def test_queue_is_seen_with_the_brokers_credentials() -> None:
    connection = SimpleNamespace(**vars(CONNECTION), virtual_host="a/b")
    with interface(200, '{"arguments":{},"messages_unacknowledged":3}') as (url, seen):
        found = queue_seen(f"{url}/", connection, "c d", "arguments", "messages_unacknowledged")
    assert found == {"arguments": {}, "messages_unacknowledged": 3}
    assert seen[0][0] == "/api/queues/a%2Fb/c%20d?columns=arguments,messages_unacknowledged"


@pytest.mark.parametrize(("status", "body"), [(401, "{}"), (404, '{"error":"x"}'), (200, "[]"), (200, "<html>")])
def test_queue_that_is_not_shown_is_unknown(status: int, body: str) -> None:
    with interface(status, body) as (url, _):
        assert queue_seen(url, SimpleNamespace(**vars(CONNECTION), virtual_host="/"), "crop", "arguments") == {}
