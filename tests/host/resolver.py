"""A name server for a host without a network: every name has one IPv4 address and no other records.

Names below `invalid` do not exist (RFC 6761).
"""

import socket
import struct

ADDRESS = "127.0.0.9"
IPV4 = 1
FOUND, NO_SUCH_NAME = 0x8180, 0x8183


def answer(query: bytes) -> bytes:
    """Return the answer to one query in the format of RFC 1035."""
    end = query.index(b"\0", 12) + 5
    (kind,) = struct.unpack(">H", query[end - 4 : end - 2])
    is_invalid = query[12:end].lower().endswith(b"\x07invalid" + query[end - 5 : end])
    records, flags = b"", NO_SUCH_NAME if is_invalid else FOUND
    if kind == IPV4 and flags == FOUND:
        records = struct.pack(">HHHIH", 0xC00C, IPV4, 1, 60, 4) + socket.inet_aton(ADDRESS)
    header = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if records else 0, 0, 0)
    return header + query[12:end] + records


def main() -> None:
    """Answer queries on the loopback for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        while True:
            query, sender = server.recvfrom(4096)
            server.sendto(answer(query), sender)


if __name__ == "__main__":
    main()
