"""Calls and answers match Python's own XML-RPC; everything else is refused."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procman.backends.supervisor import xmlrpc as rpc
from tests.tables import for_each

TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"))
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-(2**31), 2**31 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(VALUES, max_size=3))
def test_call_is_read_back_by_pythons_own_server(parameters: list[Any]) -> None:
    read, method = xmlrpc.client.loads(rpc.encode("supervisor.getProcessInfo", tuple(parameters)))
    assert (list(read), method) == (parameters, "supervisor.getProcessInfo")


@given(VALUES)
def test_answer_of_pythons_own_server_is_read(value: Any) -> None:
    text = xmlrpc.client.dumps((value,), methodresponse=True, encoding="utf-8")
    assert rpc.decode(text.encode("utf-8", "xmlcharrefreplace")) == value


def test_value_without_a_type_is_a_text() -> None:
    answer = b"<methodResponse><params><param><value>plain</value></param></params></methodResponse>"
    assert rpc.decode(answer) == "plain"


def test_fault_is_raised() -> None:
    text = xmlrpc.client.dumps(xmlrpc.client.Fault(10, "BAD_NAME: x"), methodresponse=True)
    with pytest.raises(rpc.RpcFault, match="BAD_NAME: x") as raised:
        rpc.decode(text.encode())
    assert raised.value.code == 10


@for_each(
    "content",
    [
        b"",
        b"<html><body>It works!</body></html>",
        b"<methodResponse/>",
        b"<methodResponse><fault><value><int>3</int></value></fault></methodResponse>",
        b"<methodResponse><params><param><value><int>many</int></value></param></params></methodResponse>",
        b"<methodResponse><params><param><value><nil/></value></param></params></methodResponse>",
        b"<methodResponse><params><param><value><struct><member/></struct></value></param></params></methodResponse>",
        b"\xff\xfe\x00",
    ],
)
def test_invalid_answer_is_refused(content: bytes) -> None:
    with pytest.raises(rpc.NotRpc):
        rpc.decode(content)


Serve = Callable[[bytes], Path]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Listen on a socket that answers one request with the given bytes and closes the connection."""
    threads = []

    def begin(answer: bytes) -> Path:
        path = tmp_path / "s"
        peer_uid = socket.socket(socket.AF_UNIX)
        peer_uid.bind(str(path))
        peer_uid.listen()
        threads.append(threading.Thread(target=_answer, args=(peer_uid, answer)))
        threads[-1].start()
        return path

    yield begin
    for thread in threads:
        thread.join()


def _answer(peer_uid: socket.socket, answer: bytes) -> None:
    with peer_uid, peer_uid.accept()[0] as connection:
        connection.recv(rpc.BLOCK)
        connection.sendall(answer)


def _post(path: Path) -> tuple[int, bytes]:
    return rpc.post(path, {}, b"call", time.monotonic() + 30)


def test_status_and_content_are_returned(serve: Serve) -> None:
    assert _post(serve(b"HTTP/1.0 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")) == (401, b"no")


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\ncontent-length: 9\r\n\r\nhalf"],
)
def test_truncated_answer_and_another_protocol_are_refused(serve: Serve, answer: bytes) -> None:
    with pytest.raises(rpc.NotRpc):
        _post(serve(answer))


ENDLESS = """
import os, resource, socket, sys, threading, time
from pathlib import Path
from procman.backends.supervisor import xmlrpc

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()


def send():
    connection = listener.accept()[0]
    try:
        connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
        while True:
            connection.sendall(bytes(1 << 20))
    except OSError:
        pass


threading.Thread(target=send, daemon=True).start()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    xmlrpc.post(Path(sys.argv[1]), {}, b"call", time.monotonic() + 60)
except xmlrpc.NotRpc as reason:
    print(reason)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_endless_answer_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", ENDLESS, str(tmp_path / "s")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    reason, mib = done.stdout.splitlines()
    assert reason == "its answer is longer than 16 MiB"
    assert int(mib) < 64
