"""XML-RPC to a supervisord, with a time limit on every call and every failure in plain words (R10).

supervisor's own client has no time limit: a suspended supervisord hangs it for ever.
"""

from __future__ import annotations

import base64
import pwd
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procman.backends.supervisor import xmlrpc
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.configuration.redaction import without_content
from procman.backends.supervisor.xmlrpc import Address
from procman.errors import ProcmanError
from procman.host import process

Info = Mapping[str, Any]
"""What supervisord's `getProcessInfo` answers."""

ANSWER_SECONDS = 5.0
"""How long a mere question, such as one about states, waits for supervisord (R10)."""

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
        self.text = without_content(text.partition(": ")[2])
        words = WORDS.get(code, f"supervisord refuses: {without_content(text)}")
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

    def answers_as(self) -> int | None:
        """Return the user whom this supervisord runs as; None where that cannot be told."""
        try:
            return xmlrpc.peer_uid(self.main.address, time.monotonic() + self.timeout)
        except OSError:
            return None

    def infos(self, names: Iterable[str]) -> dict[str, Info | None]:
        """Return what supervisord says of each of NAMES, which may be `group:name`; None: not loaded. One call."""
        desired = list(names)
        calls = [{"methodName": "supervisor.getProcessInfo", "params": [name]} for name in desired]
        answers = self._answer("system.multicall", (calls,), "", None) if desired else []
        found: dict[str, Info | None] = {}
        for name, answer in zip(desired, answers, strict=True):
            if "faultCode" in answer and answer["faultCode"] != BAD_NAME:
                raise Fault(answer["faultCode"], answer["faultString"], name)
            found[name] = None if "faultCode" in answer else answer
        return found

    def _answer(self, method: str, parameters: tuple[Any, ...], subject: str, timeout: float | None) -> Any:
        limit = self.timeout if timeout is None else timeout
        body = xmlrpc.encode(method, parameters)
        try:
            status, content = xmlrpc.post(self.main.address, self._credentials(), body, time.monotonic() + limit)
            if status == xmlrpc.OK:
                return xmlrpc.decode(content)
        except OSError as error:
            raise self._unreachable(error, limit) from None
        except xmlrpc.RpcFault as fault:
            raise Fault(fault.code, fault.text, subject) from None
        except xmlrpc.NotRpc:
            raise Unreachable(f"what answers at {format_address(self.main.address)} is no supervisord") from None
        if status == xmlrpc.UNAUTHORIZED:
            raise Unreachable(
                f"supervisord refuses the username and password of {self.main.path}",
                hint="Write the plain ones under [supervisorctl] there, as supervisorctl needs them too.",
            )
        raise Unreachable(f"supervisord answers {method} with HTTP status {status}")

    def _credentials(self) -> dict[str, str]:
        if self.main.username is None:
            return {}
        credentials = f"{self.main.username}:{self.main.password or ''}"
        return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}

    def _unreachable(self, error: Exception, limit: float) -> Unreachable:
        where = format_address(self.main.address)
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
        if pid is not None and process.suspended(pid):
            return f"Its process {pid} was suspended by a signal: `kill -CONT {pid}` lets it go on."
        return "See whether it is busy or suspended: ps -o pid,stat,etime,args -C supervisord"


def format_address(address: Address) -> str:
    """Return ADDRESS as a person writes it."""
    return str(address) if isinstance(address, Path) else f"http://{address[0]}:{address[1]}"


def running_pid(main: MainFile) -> int | None:
    """Return the process named in supervisord's pid file, if that is a supervisord and not plainly another one."""
    try:
        pid = int(main.pid_file.read_text(encoding="ascii", errors="replace")) if main.pid_file else 0
    except (OSError, ValueError):
        return None
    words = process.arguments(pid) if pid > 0 else []
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
