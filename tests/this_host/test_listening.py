"""The ports that a process listens on."""

from __future__ import annotations

import os
import socket

from procman.host.listening import fixed_ports

FIXED = 18417
"""Not one that the kernel chooses."""


def test_ports_that_the_kernel_did_not_choose_are_found() -> None:
    found = set()
    for family, host, port in ((socket.AF_INET, "127.0.0.1", FIXED), (socket.AF_INET6, "::1", FIXED + 1)):
        with socket.create_server((host, port), family=family), socket.create_server((host, 0), family=family):
            found |= set(fixed_ports([os.getpid()]))
            with socket.socket() as connected:
                connected.bind(("127.0.0.1", FIXED + 2))
                assert FIXED + 2 not in fixed_ports([os.getpid()])
    assert {FIXED, FIXED + 1} == found & set(range(FIXED, FIXED + 3))
    assert FIXED not in fixed_ports([os.getpid()])
    assert fixed_ports([2**22 + 1]) == ()
