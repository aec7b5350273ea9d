"""XML-RPC to a supervisord, with a time limit on every call and every failure in plain words (R10).

supervisor's own client has no time limit: a suspended supervisord hangs it for ever.
"""

from __future__ import annotations

import base64
import http.client
import pwd
import socket
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from procman.backends.supervisor import processes
from procman.backends.supervisor.main_file import Address, MainFile
from procman.errors import ProcmanError

Info = Mapping[str, Any]
"""What supervisord's `getProcessInfo` answers."""

PATIENCE_SECONDS = 60.0
"""How long an order waits for an answer: a supervisord that starts hundreds of programs answers nobody meanwhile."""

SHUTDOWN_STATE = 6
BAD_NAME = 10
ALREADY_STARTED = 60
NOT_RUNNING = 70
ALREADY_ADDED = 90
CANT_REREAD = 92

WORDS = {
    1: "this supervisord is older than 3.2 and does not know the order",
    SHUTDOWN_STATE: "supervisord is shutting down or restarting",
    BAD_NAME: "supervisord has not loaded it",
    20: "supervisord finds no such file",
    21: "supervisord may not execute it",
    30: "supervisord could not do it",
    50: "supervisord could not start it",
    91: "it is still running",
    CANT_REREAD: "supervisord cannot read its configuration",
}
"""Plain words for supervisor 4.3's fault codes (`supervisor.xmlrpc.Faults`)."""

HINTS = {
    1: "Install supervisor 4 or later.",
    SHUTDOWN_STATE: "Wait until it is back, then run the same command again.",
    BAD_NAME: "`procman install` loads it.",
    20: "`procman install` writes its files again.",
    21: "`procman install` writes its files again.",
    CANT_REREAD: "Mend that file, then run the same command again. What runs is not affected.",
}


class Unreachable(ProcmanError):
    """No supervisord answered."""


class NotRunning(Unreachable):
    """Nothing listens where supervisord should."""


class Fault(ProcmanError):
    """supervisord answered, and refused."""

    def __init__(self, code: int, text: str, subject: str) -> None:
        self.code = code
        self.text = text.partition(": ")[2]
        words = WORDS.get(code, f"supervisord refuses: {text}")
        detail = f" ({self.text})" if self.text and self.text != subject else ""
        super().__init__(f"{subject}: {words}{detail}" if subject else f"{words}{detail}", hint=HINTS.get(code, ""))


@dataclass(frozen=True)
class Client:
    """Asks one supervisord."""

    main: MainFile
    start_hint: str
    """How an administrator starts this supervisord."""
    timeout: float
    """Seconds that a call may take."""

    def call(self, method: str, *parameters: Any, timeout: float | None = None) -> Any:
        """Call METHOD of the namespace `supervisor`; raise Unreachable or Fault."""
        subject = str(parameters[0]) if parameters and isinstance(parameters[0], str) else ""
        return self._answer(f"supervisor.{method}", parameters, subject, timeout)

    def infos(self, names: Iterable[str]) -> dict[str, Info | None]:
        """Return what supervisord says of each of NAMES, which may be `group:name`; None: not loaded. One call."""
        wanted = list(names)
        calls = [{"methodName": "supervisor.getProcessInfo", "params": [name]} for name in wanted]
        answers = self._answer("system.multicall", (calls,), "", None) if wanted else []
        found: dict[str, Info | None] = {}
        for name, answer in zip(wanted, answers, strict=True):
            if "faultCode" in answer and answer["faultCode"] != BAD_NAME:
                raise Fault(answer["faultCode"], answer["faultString"], name)
            found[name] = None if "faultCode" in answer else answer
        return found

    def _answer(self, method: str, parameters: tuple[Any, ...], subject: str, timeout: float | None) -> Any:
        limit = self.timeout if timeout is None else timeout
        body = xmlrpc.client.dumps(parameters, method).encode()
        try:
            status, data = self._post(body, time.monotonic() + limit)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error, limit) from None
        if status == http.client.UNAUTHORIZED:
            raise Unreachable(
                f"supervisord refuses the username and password of {self.main.path}",
                hint="Write the plain ones under [supervisorctl] there, as supervisorctl needs them too.",
            )
        try:
            if status != http.client.OK:
                raise Unreachable(f"supervisord answers {method} with HTTP status {status}")
            return xmlrpc.client.loads(data)[0][0]
        except xmlrpc.client.Fault as fault:
            raise Fault(fault.faultCode, fault.faultString, subject) from None
        except (ExpatError, xmlrpc.client.Error, ValueError, IndexError):
            raise Unreachable(f"what answers at {place(self.main.address)} is no supervisord") from None

    def _post(self, body: bytes, deadline: float) -> tuple[int, bytes]:
        connection = _Connection(self.main.address, deadline)
        headers = {"Content-Type": "text/xml"}
        if self.main.username is not None:
            credentials = f"{self.main.username}:{self.main.password or ''}"
            headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        try:
            connection.request("POST", "/RPC2", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _unreachable(self, error: Exception, limit: float) -> Unreachable:
        where = place(self.main.address)
        if isinstance(error, FileNotFoundError) and (pid := running_pid(self.main)) is not None:
            return Unreachable(
                f"supervisord runs (process {pid}), but its socket {where} was deleted",
                hint=f"`kill -HUP {pid}` has it stop its programs, make the socket again and start them.",
            )
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            return NotRunning(f"supervisord is not running: nothing answers at {where}", hint=self.start_hint)
        if isinstance(error, PermissionError):
            owner = _owner(self.main.address)
            who = "with sudo" if owner == "root" else f"as {owner}"
            return Unreachable(
                f"{where} belongs to {owner}, who alone may speak to it", hint=f"Run the same command {who}."
            )
        if isinstance(error, TimeoutError):
            return Unreachable(f"supervisord does not answer at {where} within {limit:g} s", hint=self._sleeper())
        return Unreachable(f"supervisord cannot be asked at {where}: {error or type(error).__name__}")

    def _sleeper(self) -> str:
        pid = running_pid(self.main)
        if pid is not None and processes.suspended(pid):
            return f"Its process {pid} was suspended by a signal: `kill -CONT {pid}` lets it go on."
        return "See whether it is busy or suspended: ps -o pid,stat,etime,args -C supervisord"


def place(address: Address) -> str:
    """Return ADDRESS as a person writes it."""
    return str(address) if isinstance(address, Path) else f"http://{address[0]}:{address[1]}"


def running_pid(main: MainFile) -> int | None:
    """Return the process named in supervisord's pid file, if that is a supervisord and not plainly another one."""
    try:
        pid = int(main.pid_file.read_text(encoding="ascii", errors="replace")) if main.pid_file else 0
    except (OSError, ValueError):
        return None
    words = processes.arguments(pid) if pid > 0 else []
    named = [word for word in words if word.endswith(".conf")]
    is_ours = any("supervisord" in word for word in words) and (not named or str(main.path) in named)
    return pid if is_ours else None


def _owner(address: Address) -> str:
    """The owner of the socket, or of the directory that hides it."""
    if not isinstance(address, Path):
        return "root"
    for path in (address, *address.parents):
        try:
            uid = path.stat().st_uid
        except PermissionError:
            continue
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user {uid}"
    return "root"


class _Connection(http.client.HTTPConnection):
    """One request that ends by a deadline, however slowly the answer trickles."""

    def __init__(self, address: Address, deadline: float) -> None:
        super().__init__("localhost")
        self._address = address
        self._deadline = deadline

    def connect(self) -> None:
        family = socket.AF_UNIX if isinstance(self._address, Path) else socket.AF_INET
        self.sock = _Socket(family, self._deadline)
        try:
            self.sock.reach(str(self._address) if isinstance(self._address, Path) else self._address)
        except BaseException:
            self.sock.close()
            raise


class _Socket(socket.socket):
    def __init__(self, family: int, deadline: float) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._deadline = deadline

    def reach(self, address: str | tuple[str, int]) -> None:
        while True:
            self.settimeout(self._left())
            try:
                return self.connect(address)
            except BlockingIOError:
                # unix(7): the queue of a listener that accepts nobody is full.
                time.sleep(min(0.05, self._left()))

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(self._left())
        return super().recv_into(*arguments)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
