"""XML-RPC as supervisord implements it: one call per connection, with a deadline.

Python's own client can do the same, but it imports modules for TLS, e-mail and dates, which would add 16 ms to every
`procman status`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Address = Path | tuple[str, int]
"""A unix socket, or host and port."""

PATH = "/RPC2"
BLOCK = 65_536

MOST_BYTES = 16 * 1024**2
"""Far more than supervisord answers for thousands of programs. A program in its place may never stop sending (S3)."""

OK = 200
UNAUTHORIZED = 401


class NotRpc(ValueError):
    """The answer is not XML-RPC."""


class RpcFault(Exception):
    """The server answered with a fault."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def post(address: Address, headers: Mapping[str, str], body: bytes, deadline: float) -> tuple[int, bytes]:
    """Send `body` and return the HTTP status and the content of the answer.

    `deadline` is a time of time.monotonic(). Raises OSError (including TimeoutError) or NotRpc.
    """
    # With HTTP 1.0, the server neither keeps the connection open nor sends the answer in chunks.
    lines = [f"POST {PATH} HTTP/1.0", "Host: localhost", "Content-Type: text/xml", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with _connect(address, deadline) as connection:
        connection.settimeout(_left(deadline))
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = _read_all(connection, deadline)
    return _status_and_content(answer)


def peer_uid(address: Address, deadline: float) -> int | None:
    """Return the user id of the server at `address`; None if unknown, as over TCP. Raises OSError."""
    if not isinstance(address, Path) or not hasattr(socket, "SO_PEERCRED"):
        return None
    import struct  # `status` does not need it

    credentials = struct.Struct("iII")  # process, user and group (unix(7))
    with _connect(address, deadline) as connection:
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    return int(credentials.unpack(found)[1])


def _connect(address: Address, deadline: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET, socket.SOCK_STREAM)
    try:
        while True:
            connection.settimeout(_left(deadline))
            try:
                connection.connect(str(address) if isinstance(address, Path) else address)
            except BlockingIOError:
                # The queue of a server that does not accept connections is full (unix(7)).
                time.sleep(min(0.05, _left(deadline)))
            else:
                return connection
    except BaseException:
        connection.close()
        raise


def _read_all(connection: socket.socket, deadline: float) -> bytes:
    blocks: list[bytes] = []
    left = MOST_BYTES
    while left >= 0:
        connection.settimeout(_left(deadline))
        block = connection.recv(BLOCK)
        if not block:
            return b"".join(blocks)
        blocks.append(block)
        left -= len(block)
    raise NotRpc(f"its answer is longer than {MOST_BYTES // 1024**2} MiB")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _status_and_content(answer: bytes) -> tuple[int, bytes]:
    head, _, content = answer.partition(b"\r\n\r\n")
    words, *lines = head.split(b"\r\n")
    version, status = (*words.split(), b"", b"")[:2]
    if not version.startswith(b"HTTP/") or not status.isdigit():
        raise NotRpc
    for name, _, value in (line.partition(b":") for line in lines):
        if name.lower() == b"content-length" and value.strip().isdigit() and len(content) < int(value):
            raise NotRpc
    return int(status), content


def encode(method: str, parameters: tuple[Any, ...]) -> bytes:
    """Return a call of `method` as XML; parameters can be strings, integers, booleans, lists and dictionaries."""
    given = "".join(f"<param>{_encoded(each)}</param>" for each in parameters)
    call = f"<methodCall><methodName>{_escaped(method)}</methodName><params>{given}</params></methodCall>"
    return f"<?xml version='1.0'?>{call}".encode()


def _encoded(value: Any) -> str:
    match value:
        case bool():
            inner = f"<boolean>{value:d}</boolean>"
        case int():
            inner = f"<int>{value}</int>"
        case str():
            inner = f"<string>{_escaped(value)}</string>"
        case list() | tuple():
            inner = f"<array><data>{''.join(map(_encoded, value))}</data></array>"
        case _:
            members = (
                f"<member><name>{_escaped(name)}</name>{_encoded(each)}</member>" for name, each in value.items()
            )
            inner = f"<struct>{''.join(members)}</struct>"
    return f"<value>{inner}</value>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def decode(content: bytes) -> Any:
    """Return the value of an answer. Raises RpcFault for a fault, and NotRpc if `content` is not an answer."""
    try:
        [answer] = ElementTree.fromstring(content)  # noqa: S314  # from a supervisord, which can run anything anyway
        if answer.tag == "fault":
            fault = _decoded(answer[0])
            raise RpcFault(fault["faultCode"], fault["faultString"])
        return _decoded(answer[0][0])
    except (ElementTree.ParseError, ValueError, IndexError, LookupError, TypeError, RecursionError):
        raise NotRpc from None


def _decoded(value: ElementTree.Element) -> Any:
    for inner in value:
        return _READERS[inner.tag](inner)
    return value.text or ""


def _members(struct: ElementTree.Element) -> dict[str, Any]:
    found = {}
    for name, value in struct:
        # As `_decoded`, without its call: supervisord answers with fourteen of them for each program.
        inner = value[0] if len(value) else None
        found[name.text or ""] = (value.text or "") if inner is None else _READERS[inner.tag](inner)
    return found


def _text(element: ElementTree.Element) -> str:
    return element.text or ""


def _number(element: ElementTree.Element) -> int:
    return int(element.text or "")


_READERS: Mapping[str, Callable[[ElementTree.Element], Any]] = {
    "string": _text,
    "int": _number,
    "i4": _number,
    "boolean": lambda element: element.text == "1",
    "struct": _members,
    "array": lambda element: [_decoded(value) for value in element[0]],
}
