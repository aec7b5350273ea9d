"""Call supervisord by XML-RPC, with a time limit for every call and a clear message for every failure (R10).

supervisor's own client has no time limit: a suspended supervisord blocks it for ever.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procman.accounts import user_id
from procman.backends.supervisor import xmlrpc
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.configuration.redaction import without_content
from procman.backends.supervisor.xmlrpc import Address
from procman.errors import ProcmanError
from procman.host import process
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.records import record

if TYPE_CHECKING:
    from procman.backends.reporter import Reporter

Info = Mapping[str, Any]
"""The answer to supervisord's `getProcessInfo`."""

LOG_TAIL_BYTES = 64 * 1024
"""How much of supervisord's own log is read."""

TERSE_LEVELS = ("warn", "error", "critical")
"""Log levels at which supervisord does not log the programs it starts."""

ANSWER_SECONDS = 5.0
"""How long a query, such as one for states, waits for supervisord (R10)."""

PATIENCE_SECONDS = 60.0
"""How long a command waits for supervisord, which does not answer while it is starting hundreds of programs."""

SHUTDOWN_STATE = 6
BAD_NAME = 10
ALREADY_STARTED = 60
NOT_RUNNING = 70
ALREADY_ADDED = 90
CANT_REREAD = 92

WORDS = {
    1: "this supervisord is older than 3.2 and does not know the command",
    SHUTDOWN_STATE: "supervisord is shutting down or restarting",
    BAD_NAME: "supervisord has not loaded it",
    20: "supervisord cannot find the file",
    21: "supervisord is not allowed to execute it",
    30: "supervisord could not do it",
    50: "supervisord could not start it",
    91: "it is still running",
    CANT_REREAD: "supervisord cannot read its configuration",
}
"""A message for each of supervisor 4.3's fault codes (`supervisor.xmlrpc.Faults`)."""

HINTS = {
    1: "Install supervisor 4 or later.",
    SHUTDOWN_STATE: "Wait until it is running, then run the same command again.",
    BAD_NAME: "To load it, run `procman install`.",
    20: "To write its files again, run `procman install`.",
    21: "To write its files again, run `procman install`.",
    CANT_REREAD: "Fix that file, then run the same command again. Running programs are not affected.",
}


class Unreachable(ProcmanError):
    """supervisord did not answer."""


class NotRunning(Unreachable):
    """Nothing listens at supervisord's address."""


class AnswersOnly(Unreachable):
    """supervisord answers only `user`, who is not the caller."""

    def __init__(self, where: str, user: str) -> None:
        who = "with sudo" if user == "root" else f"as {user}"
        super().__init__(f"{where} belongs to {user}, and only {user} may use it", hint=f"Run the same command {who}.")
        self.user = user


class Fault(ProcmanError):
    """supervisord answered with an error."""

    def __init__(self, code: int, text: str, subject: str) -> None:
        self.code = code
        self.text = without_content(text.partition(": ")[2])
        words = WORDS.get(code, f"supervisord reports: {without_content(text)}")
        detail = f" ({self.text})" if self.text and self.text != subject else ""
        super().__init__(f"{subject}: {words}{detail}" if subject else f"{words}{detail}", hint=HINTS.get(code, ""))


@record(frozen=True)
class Client:
    """A client of one supervisord."""

    main: MainFile
    start_hint: str
    """How an administrator starts this supervisord."""
    timeout: float
    """How many seconds a call may take."""

    def call(self, method: str, *parameters: Any, timeout: float | None = None) -> Any:
        """Call `method` of the namespace `supervisor`; raise Unreachable or Fault."""
        subject = str(parameters[0]) if parameters and isinstance(parameters[0], str) else ""
        return self._answer(f"supervisor.{method}", parameters, subject, timeout)

    def reporter(self) -> Reporter:
        """Return who answers at this supervisord's address: it should be root, the caller or its configured user."""
        from procman.backends.reporter import Reporter

        try:
            user = xmlrpc.peer_uid(self.main.address, time.monotonic() + self.timeout)
        except OSError as error:
            raise self._unreachable(error, self.timeout) from None
        return Reporter(format_address(self.main.address), user, frozenset({0, os.geteuid(), *_users(self.main)}))

    def infos(self, names: Iterable[str]) -> dict[str, Info | None]:
        """Return supervisord's answer for each of `names` (may be `group:name`), in one call; None if not loaded."""
        desired = list(names)
        calls = [{"methodName": "supervisor.getProcessInfo", "params": [name]} for name in desired]
        answers = self._answer("system.multicall", (calls,), "", None) if desired else []
        found: dict[str, Info | None] = {}
        for name, answer in zip(desired, answers, strict=True):
            if "faultCode" in answer and answer["faultCode"] != BAD_NAME:
                raise Fault(answer["faultCode"], answer["faultString"], name)
            found[name] = None if "faultCode" in answer else answer
        return found

    def end_of_log(self, seconds: float) -> str | None:
        """Return the end of supervisord's own log within `seconds`; None if it has none that shows what it starts."""
        # If the log were a pipe or terminal, supervisord would wait for input from it.
        no_file = self.main.log_file == "syslog" or self.main.log_file.startswith("/dev/")
        if no_file or self.main.log_level in TERSE_LEVELS or seconds <= 0:
            return None
        try:
            # Reading the file is faster than asking supervisord, which answers no other client meanwhile.
            log: str = _end_of(self.main.log_file) or self.call("readLog", -LOG_TAIL_BYTES, 0, timeout=seconds)
        except ProcmanError:
            return None
        return log

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
        except xmlrpc.NotRpc as reason:
            why = f": {reason}" if str(reason) else ""
            raise Unreachable(
                f"a program other than supervisord answers at {format_address(self.main.address)}{why}"
            ) from None
        if status == xmlrpc.UNAUTHORIZED:
            raise Unreachable(
                f"supervisord rejects the username and password in {self.main.path}",
                hint="Set them in plain text under [supervisorctl] there; supervisorctl needs them too.",
            )
        raise Unreachable(f"supervisord answers {method} with HTTP status {status}")

    def _credentials(self) -> dict[str, str]:
        if self.main.username is None:
            return {}
        import base64  # procman's own supervisord has no password, and `status` must not wait for this import

        credentials = f"{self.main.username}:{self.main.password or ''}"
        return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}

    def _unreachable(self, error: Exception, limit: float) -> Unreachable:
        where = format_address(self.main.address)
        if isinstance(error, FileNotFoundError) and (pid := running_pid(self.main)) is not None:
            return Unreachable(
                f"supervisord is running (process {pid}), but its socket {where} was deleted",
                hint=f"To stop its programs, create the socket again and start them, run `kill -HUP {pid}`.",
            )
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            return NotRunning(f"supervisord is not running: nothing answers at {where}", hint=self.start_hint)
        if isinstance(error, PermissionError):
            return AnswersOnly(where, _owner(self.main.address))
        if isinstance(error, TimeoutError):
            return Unreachable(f"supervisord does not answer at {where} within {limit:g} s", hint=self._sleeper())
        return Unreachable(f"cannot connect to supervisord at {where}: {error or type(error).__name__}")

    def _sleeper(self) -> str:
        pid = running_pid(self.main)
        if pid is not None and process.suspended(pid):
            return f"Its process {pid} was suspended by a signal. To continue it, run `kill -CONT {pid}`."
        return "Check whether it is busy or suspended: ps -o pid,stat,etime,args -C supervisord"


def format_address(address: Address) -> str:
    """Return `address` for display."""
    return str(address) if isinstance(address, Path) else f"http://{address[0]}:{address[1]}"


def running_pid(main: MainFile) -> int | None:
    """Return the process in supervisord's pid file, if it is a supervisord and not clearly a different one."""
    try:
        pid = int(main.pid_file.read_text(encoding="ascii", errors="replace")) if main.pid_file else 0
    except (OSError, ValueError):
        return None
    words = process.arguments(pid) if pid > 0 else []
    named = [word for word in words if word.endswith(".conf")]
    is_ours = any("supervisord" in word for word in words) and (not named or str(main.path) in named)
    return pid if is_ours else None


def _users(main: MainFile) -> Iterator[int]:
    """Yield the user that a supervisord with this configuration becomes, if it is named and exists."""
    if main.user is not None:
        user = int(main.user) if main.user.isascii() and main.user.isdigit() else user_id(main.user)
        if user is not None:
            yield user


def _end_of(log: str) -> str:
    """Return the end of supervisord's log file; empty if it cannot be read."""
    if not Path(log).is_absolute():
        return ""  # relative to the directory that supervisord was started in
    try:
        return (read_untrusted(Path(log), None, LOG_TAIL_BYTES) or b"").decode("utf-8", "replace")
    except (UntrustedFile, OSError):
        return ""


def _owner(address: Address) -> str:
    """Return the owner of the socket, or of the directory that hides it."""
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
