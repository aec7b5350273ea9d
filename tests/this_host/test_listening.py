"""The ports that a process listens on."""

from __future__ import annotations

import os
import socket

import pytest

from procman.host.listening import fixed_ports

FIXED, OF_CLIENT = 18417, 18418
"""Ports that the kernel does not choose."""


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_ports_that_the_kernel_did_not_choose_are_found(family: int, host: str) -> None:
    with (
        socket.create_server((host, FIXED), family=family) as server,
        socket.create_server((host, 0), family=family) as chosen,
        socket.create_connection((host, FIXED), source_address=(host, OF_CLIENT)),
    ):
        found = fixed_ports([os.getpid()])
        assert FIXED in found
        assert not {OF_CLIENT, chosen.getsockname()[1]} & {*found}
        assert FIXED not in fixed_ports([os.getppid()])
        server.accept()[0].close()
    assert FIXED not in fixed_ports([os.getpid()])
    assert fixed_ports([2**22 + 1]) == ()
