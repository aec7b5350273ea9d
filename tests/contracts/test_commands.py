"""A command gets its own stop signal from whatever ends it, and has its own number, directory, secrets and logs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.product import Product, eventually

SERVER = """#!/bin/sh
# As uwsgi, it does not end on TERM.
trap '' TERM
trap 'echo "QUIT $PROCMAN_INSTANCE" >> DATA/ended; exit 0' QUIT
echo "$1 $PROCMAN_INSTANCE $PORT $SECRET $PWD"
echo "a warning of $1" >&2
while :; do sleep 0.1; done
"""

COMMANDS = """
[command.web]
argv = ["./server", "80{instance:02}"]
instances = 2
first_instance = 0
directory = "DATA"
environment_file = "DATA/secrets"
stdout = "DATA/{instance}.log"
stderr = "DATA/{instance}.err"
stop_timeout_seconds = 600
[command.web.environment]
PORT = "90{instance:02}"
"""


@pytest.fixture
def web(product: Product) -> Product:
    """A product with two instances of a server that run, and a secret of theirs."""
    data = product.data
    data.mkdir()
    (data / "secrets").write_text("SECRET=kept-from-view\n")
    (data / "secrets").chmod(0o600)
    (data / "server").write_text(SERVER.replace("DATA", str(data)))
    (data / "server").chmod(0o755)
    product.configure(COMMANDS.replace("DATA", str(data)))
    product.procman("install", "--wait", "30")
    eventually(lambda: all((data / f"{number}.err").exists() for number in (0, 1)), "both have started")
    return product


def lines(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines()) if path.exists() else []


def started(web: Product, *times: int) -> None:
    """Wait until each instance has started this often, and has its own traps."""
    logs = [web.data / f"{number}.log" for number in range(len(times))]
    eventually(lambda: [len(lines(log)) for log in logs] == list(times), f"they have started {times} times")


@pytest.mark.supervisord
@pytest.mark.celery
def test_every_end_of_a_command_begins_with_its_own_signal(web: Product) -> None:
    data = web.data
    for number in (0, 1):
        assert lines(data / f"{number}.log") == [f"800{number} {number} 900{number} kept-from-view {data}"]
        assert lines(data / f"{number}.err") == [f"a warning of 800{number}"]

    shown = web.procman("logs", "web-0").stdout
    assert "a warning of 8000" in shown
    assert "8000 0 9000" in shown
    page = web.procman("status", "web-0").stdout
    assert "a warning of 8000" in page
    assert "kept-from-view" not in page

    # supervisord would send the signal that it has loaded, and wait for ten minutes.
    text = web.configuration.read_text().replace("stop_timeout", 'stop_signal = "QUIT"\nstop_timeout')
    web.configuration.write_text(text)
    web.procman("install")
    ended = data / "ended"
    assert lines(ended) == ["QUIT 0", "QUIT 1"]
    started(web, 2, 2)
    # supervisord would kill it after the timeout that it has loaded.
    web.configuration.write_text(text.replace("stop_timeout_seconds = 600", "stop_timeout_seconds = 900"))
    web.procman("install")
    assert lines(ended) == ["QUIT 0", "QUIT 0", "QUIT 1", "QUIT 1"]
    started(web, 3, 3)
    web.procman("restart", "web-0")
    assert lines(ended).count("QUIT 0") == 3
    started(web, 4, 3)
    os.kill(web.supervisord_pid(), signal.SIGKILL)
    eventually(lambda: len(lines(ended)) == 7, "the kernel has sent it to both")
