"""Each URL of a broker, its Sentinels and its TLS on a real Redis: the trouble is named, and so is its remedy."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from procman.probes.broker_errors_script import message, trouble
from tests.celery_environments import CeleryEnvironment
from tests.probes.asking import ask, ask_in_vain
from tests.product import eventually
from tests.redis_server import Redis, free_port

pytestmark = pytest.mark.celery

SECRET = "S3cr3tZ9"


def test_password_of_redis_is_not_looked_for_in_rabbitmq(
    celery: CeleryEnvironment, redis: Redis, tmp_path: Path
) -> None:
    redis.ask("CONFIG", "SET", "requirepass", SECRET)
    facts = ask(celery, tmp_path, redis.url().replace("://", "://:wrong@"))
    assert (facts.reachable, facts.trouble) == (False, "password")
    assert facts.detail.startswith("AuthenticationError")
    assert "redis-cli ACL LIST" in facts.remedy
    assert "rabbitmqctl" not in facts.remedy


def test_url_that_cannot_be_read_is_one_to_correct(celery: CeleryEnvironment, tmp_path: Path) -> None:
    facts = ask(celery, tmp_path, f"redis://:{SECRET}#x@127.0.0.1/0")
    assert (facts.reachable, facts.trouble) == (False, "settings")
    assert "percent-encode the special characters of its password" in facts.remedy
    assert SECRET not in repr(facts)


def test_tls_to_a_port_without_tls_is_recognised(celery: CeleryEnvironment, redis: Redis, tmp_path: Path) -> None:
    facts = ask_in_vain(celery, tmp_path, f"rediss://:{SECRET}@127.0.0.1:{redis.port}/0?ssl_cert_reqs=none")
    assert (facts.reachable, facts.trouble, facts.detail) == (False, "plain", "")
    assert "use the port with TLS (tls-port in redis.conf), or a URL without TLS (redis://)" in facts.remedy


@contextmanager
def amqp_server() -> Iterator[int]:
    """Answer as RabbitMQ does to all that is not AMQP: with the version that it speaks, and the end."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            while True:
                try:
                    with listening.accept()[0] as connection:
                        connection.recv(8)
                        connection.sendall(b"AMQP\x00\x00\x09\x01")
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_amqps_to_a_port_without_tls_is_recognised(celery: CeleryEnvironment, tmp_path: Path) -> None:
    with amqp_server() as port:
        facts = ask(celery, tmp_path, f"amqps://me:{SECRET}@127.0.0.1:{port}//")
    assert (facts.reachable, facts.trouble) == (False, "plain")
    assert "(5671 unless it was changed), or a URL without TLS (amqp://)" in facts.remedy


@pytest.fixture
def with_tls(tmp_path: Path) -> Iterator[int]:
    """Run a Redis that expects TLS, with a certificate of its own; yield its port."""
    if not (shutil.which("redis-server") and shutil.which("openssl")):
        pytest.skip("needs redis-server and openssl")
    made = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out crt -subj /CN=localhost"
    )
    subprocess.run(made.split(), cwd=tmp_path, check=True, capture_output=True)
    port = free_port()
    words = ["redis-server", "--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--save", ""]
    words += [
        "--tls-cert-file",
        "crt",
        "--tls-key-file",
        "key",
        "--tls-ca-cert-file",
        "crt",
        "--tls-auth-clients",
        "no",
    ]
    with subprocess.Popen(list(map(str, words)), cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        try:
            eventually(lambda: _listens(port), "Redis listens")
            yield port
        finally:
            server.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_redis_with_tls_is_used_or_its_certificate_refused(
    celery: CeleryEnvironment, with_tls: int, tmp_path: Path
) -> None:
    url = f"rediss://127.0.0.1:{with_tls}/0"
    urls = f"{url}?ssl_cert_reqs=required;{url}?ssl_cert_reqs=none"
    facts = ask(celery, tmp_path, urls)
    assert facts.reachable is True
    assert [each.trouble for each in facts.tried] == ["tls", ""]


def test_every_url_of_a_list_is_tried(celery: CeleryEnvironment, redis: Redis, tmp_path: Path) -> None:
    redis.ask("CONFIG", "SET", "requirepass", SECRET)
    place = f"127.0.0.1:{redis.port}"
    closed = f"redis://:{SECRET}@127.0.0.1:{free_port()}/0"
    facts = ask(celery, tmp_path, f"{closed};redis://:{SECRET}@{place}/0;redis://:wrong@{place}/0")
    assert facts.reachable is True
    assert [each.trouble for each in facts.tried] == ["refused", "", "password"]
    assert facts.tried[0].url == closed.replace(SECRET, "***")
    assert "systemctl start redis-server" in facts.remedy_of(facts.tried[0])
    assert SECRET not in repr(facts)
    facts = ask(celery, tmp_path, f"{closed};redis://:wrong@{place}/0")
    assert (facts.reachable, [each.trouble for each in facts.tried]) == (False, ["refused", "password"])


def test_url_that_tasks_are_sent_to_is_tried_too(celery: CeleryEnvironment, redis: Redis, tmp_path: Path) -> None:
    closed = f"redis://127.0.0.1:{free_port()}/0"
    facts = ask(celery, tmp_path, redis.url(), broker_write_url=closed)
    assert facts.reachable is True
    assert [(each.url, each.trouble) for each in facts.tried] == [(redis.url(), ""), (closed, "refused")]


@pytest.fixture
def sentinel(redis: Redis, tmp_path: Path) -> Iterator[int]:
    """Run a Sentinel with a password of its own, which knows Redis as `mymaster`; yield its port."""
    port = free_port()
    (tmp_path / "sentinel").mkdir()
    file = tmp_path / "sentinel" / "sentinel.conf"
    lines = [f"port {port}", "bind 127.0.0.1", f"requirepass {SECRET}", f"dir {file.parent}"]
    file.write_text("\n".join([*lines, f"sentinel monitor mymaster 127.0.0.1 {redis.port} 1", ""]))
    with subprocess.Popen(["redis-server", file, "--sentinel"], stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _listens(port), "the Sentinel listens")
            yield port
        finally:
            process.terminate()


def through(port: int, password: str, master: str = "mymaster") -> tuple[str, dict[str, object]]:
    options = {"master_name": master, "sentinel_kwargs": {"password": password}}
    return f"sentinel://127.0.0.1:{port}/0", {"broker_transport_options": options}


@pytest.mark.parametrize(
    ("password", "master", "trouble", "words"),
    [
        ("wrong", "mymaster", "sentinel-password", "Correct sentinel_kwargs"),
        (SECRET, "other", "sentinel-master", "SENTINEL MASTERS"),
    ],
)
def test_fault_of_a_sentinel_is_recognised(
    celery: CeleryEnvironment, sentinel: int, tmp_path: Path, password: str, master: str, trouble: str, words: str
) -> None:
    url, settings = through(sentinel, password, master)
    facts = ask(celery, tmp_path, url, **settings)
    assert (facts.reachable, facts.trouble) == (False, trouble)
    assert words in facts.remedy
    assert SECRET not in repr(facts)


ABOUT = "<redis.client.Redis(<redis.connection.ConnectionPool(<redis.connection.Connection(db=0,password=x)>)>)>"


class MasterNotFoundError(ConnectionError):
    """As redis.sentinel raises it; each Sentinel that cannot be asked has its error in the message."""


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        (f" : {ABOUT} - AuthenticationError('invalid username-password pair')", "sentinel-password"),
        (f" : {ABOUT} - AuthenticationError('Authentication required.')", "sentinel-password"),
        ("", "sentinel-master"),
        (f" : {ABOUT} - TimeoutError('Timeout reading from socket')", "other"),
    ],
    ids=["wrong", "none", "unknown master", "silent"],
)
def test_error_of_redis_about_its_sentinels_is_recognised_without_their_settings(errors: str, kind: str) -> None:
    error = MasterNotFoundError(f"No master found for 'mymaster'{errors}")
    assert (trouble(error), message(error)) == (kind, "No master found for 'mymaster'")


def test_every_sentinel_is_asked(celery: CeleryEnvironment, sentinel: int, tmp_path: Path) -> None:
    url, settings = through(sentinel, SECRET)
    closed = free_port()
    facts = ask(celery, tmp_path, f"sentinel://127.0.0.1:{closed}/0;{url}", **settings)
    assert facts.reachable is True
    assert [(each.url, each.trouble) for each in facts.tried] == [
        (f"sentinel://127.0.0.1:{closed}", "refused"),
        (f"sentinel://127.0.0.1:{sentinel}", ""),
    ]
