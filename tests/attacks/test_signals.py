"""S3: a supervisord of the service user cannot make root stop a process of another user."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from procman.backends.supervisor.client import Client
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.graceful_stop import drain
from procman.errors import ProcmanError
from tests.install.people import NOBODY, needs_root
from tests.product import eventually

LISTEN = """
import os, socket, sys
os.setresuid({uid}, {uid}, {uid})
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
while True:
    listener.accept()
"""


@dataclass(frozen=True)
class Liar(Client):
    """A supervisord that reports a process of root as one of its programs."""

    victim: int = 0

    def infos(self, names: Any) -> dict[str, Any]:
        info = {"pid": self.victim, "statename": "RUNNING", "start": 1, "stop": 0, "now": 2}
        return dict.fromkeys(names, info)

    def call(self, method: str, *parameters: Any, timeout: float | None = None) -> Any:
        return True


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A script of root that waits for a process of root."""
    with subprocess.Popen(["sh", "-c", "sleep 1000; true"], start_new_session=True) as process:
        yield process
        os.killpg(process.pid, 9)


def liar(public: Path, victim: int, uid: int) -> tuple[Liar, subprocess.Popen[str]]:
    public.chmod(0o777)
    socket = public / f"socket-{uid}"
    listener = subprocess.Popen(["python3", "-c", LISTEN.format(uid=uid), socket], stdout=subprocess.PIPE, text=True)
    assert listener.stdout
    assert listener.stdout.readline() == "listening\n"
    main = MainFile(public / "conf", socket, None, None, None, "log", "info", ())
    return Liar(main, "", 5, victim), listener


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@needs_root
def test_root_stops_no_process_for_supervisord_of_service_user(public: Path, victim: subprocess.Popen[bytes]) -> None:
    eventually(lambda: bool(children(victim.pid)), "it waits")
    client, listener = liar(public, victim.pid, NOBODY.pw_uid)
    assert client.answers_as() == NOBODY.pw_uid
    with pytest.raises(ProcmanError, match="its supervisord has no permission to stop process"):
        drain(client, ["catmaid-celery"], 1, lambda _: None)
    assert victim.poll() is None
    assert children(victim.pid)
    listener.kill()
    listener.communicate()


@needs_root
def test_root_stops_process_for_supervisord_of_root(public: Path, victim: subprocess.Popen[bytes]) -> None:
    eventually(lambda: bool(children(victim.pid)), "it waits")
    client, listener = liar(public, victim.pid, 0)
    with pytest.raises(ProcmanError, match="did not stop"):
        drain(client, ["catmaid-celery"], -20, lambda _: None)
    eventually(lambda: not children(victim.pid) or victim.poll() is not None, "it was stopped")
    listener.kill()
    listener.communicate()
