"""S3: a supervisord of the service user cannot make root stop a process of another user."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procman.backends.supervisor.client import Client
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.graceful_stop import drain
from procman.errors import ProcmanError
from procman.records import record
from tests.attacks.host import SERVICE, TOML, AttackedHost
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


@record(frozen=True)
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
    assert client.reporter().user == NOBODY.pw_uid
    with pytest.raises(ProcmanError, match=r"refusing to signal process .* it belongs to root, not to nobody"):
        drain(client, ["catmaid-celery"], 1, lambda _: None, user="nobody")
    assert victim.poll() is None
    assert children(victim.pid)
    listener.kill()
    listener.communicate()


@needs_root
def test_root_stops_process_for_supervisord_of_root(public: Path, victim: subprocess.Popen[bytes]) -> None:
    eventually(lambda: bool(children(victim.pid)), "it waits")
    client, listener = liar(public, victim.pid, 0)
    with pytest.raises(ProcmanError, match="did not stop"):
        drain(client, ["catmaid-celery"], -20, lambda _: None, user=None)
    eventually(lambda: not children(victim.pid) or victim.poll() is not None, "it was stopped")
    listener.kill()
    listener.communicate()


SUPERVISORD = f"""
[supervisord]
user = {SERVICE}
pidfile = /run/celery/pid
logfile = /run/celery/log
[unix_http_server]
file = /run/celery/socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = /etc/supervisord.d/*.ini
"""

IMPERSONATE = """
import json, os, socketserver, sys, time
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

victim, run, boot = int(sys.argv[1]), sys.argv[2], open("/proc/sys/kernel/random/boot_id").read().strip()
heartbeat = {
    "format": 1, "program": "catmaid-crop", "kind": "worker", "boot_id": boot, "pid": victim, "started": 1.0,
    "interval": 5.0, "written": 1.0, "wall": 1.0, "phase": "consuming", "phase_since": 1.0, "pool": "prefork",
    "finished": 0, "slots": 1, "busy": 0,
}
with open(run + "/heartbeat.json", "w") as file:
    json.dump(heartbeat, file)
os.utime(run + "/heartbeat.json", (1, 1))


def infos(*_):
    info = {"name": "catmaid-crop", "group": "catmaid-crop", "statename": "RUNNING", "pid": victim, "stop": 0}
    return [{**info, "start": 1, "now": int(time.time()), "spawnerr": "", "exitstatus": 0}]


class Server(socketserver.UnixStreamServer, SimpleXMLRPCDispatcher):
    logRequests = False

    def __init__(self, path):
        SimpleXMLRPCDispatcher.__init__(self)
        self.register_function(infos, "supervisor.getAllProcessInfo")
        self.register_function(lambda *_: infos()[0], "supervisor.getProcessInfo")
        self.register_multicall_functions()
        socketserver.UnixStreamServer.__init__(self, path, Handler)


class Handler(SimpleXMLRPCRequestHandler):
    disable_nagle_algorithm = False


os.path.exists("/run/celery/socket") and os.unlink("/run/celery/socket")
server = Server("/run/celery/socket")
print("listening", flush=True)
server.serve_forever()
"""


CROP = "/var/lib/procman/catmaid/run/catmaid-crop"


def impersonated(host: AttackedHost) -> None:
    """Install a worker under a real supervisord that runs as the service user, and start it."""
    host.root(f"mkdir -p /run/celery /etc/supervisord.d && chown {SERVICE} /run/celery")
    host.write("/etc/supervisord.conf", SUPERVISORD)
    existing = 'mode = "existing"\nconfiguration = "/etc/supervisord.conf"\n'
    text = TOML.replace('mode = "embedded"\n', existing).replace("{rest}", '[worker.crop]\npool = "prefork"\n{rest}')
    host.configure(text=text, rest="[health]\nfailures = 1\nstale_seconds = 10\ninterval_seconds = 2\n")
    host.root(f"{host.python} -m supervisor.supervisord -c /etc/supervisord.conf")
    eventually(lambda: host.path("/run/celery/socket").exists(), "supervisord listens")
    host.procman("install")


@pytest.mark.supervisord
def test_root_heals_no_process_that_an_impersonated_supervisord_reports(host: AttackedHost) -> None:
    impersonated(host)
    host.write("/opt/impersonate.py", IMPERSONATE)
    pid = host.root("sleep 998 >/dev/null 2>&1 & echo $!").strip()
    # The service user ends its own supervisord and takes its place.
    host.service("kill -9 $(cat /run/celery/pid)")
    host.service(f"python3 /opt/impersonate.py {pid} {CROP} </dev/null >/run/celery/answers 2>&1 &")
    eventually(lambda: "listening" in host.path("/run/celery/answers").read_text(), "it listens")
    found = f" process {pid} runs as root, not as {SERVICE}; it is not healed"

    def is_found() -> bool:
        host.procman("heal")
        lines = host.procman("events").stdout.splitlines()
        return any("PM102" in line and line.endswith(found) for line in lines)

    # Not in the first seconds of a process: supervisord might be about to change its user.
    eventually(is_found, "it is found")
    host.procman("heal")
    assert "sleep" in host.root(f"cat /proc/{pid}/cmdline")
    assert "SIGTERM" not in host.procman("events").stdout
