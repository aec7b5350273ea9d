"""Start and stop procman's own supervisord, which all projects of a host or user share."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection
from pathlib import Path

from procman.accounts import account, login_environment
from procman.backends.base import Progress
from procman.backends.supervisor.client import (
    ANSWER_SECONDS,
    PATIENCE_SECONDS,
    SHUTDOWN_STATE,
    Client,
    Fault,
    NotRunning,
)
from procman.backends.supervisor.configuration.main_file import NoConfiguration, read_main_file
from procman.backends.supervisor.configuration.redaction import without_content
from procman.backends.supervisor.graceful_stop import stop_gracefully
from procman.backends.supervisor.held_back import held_back
from procman.backends.supervisor.systemd_unit import Service
from procman.errors import ProcmanError
from procman.host import process
from procman.subprocesses import CLEAN_ENVIRONMENT, Completed, capture

START_HINT = "To start it, run `procman start`."

START_SECONDS = 30
"""How long supervisord may take to read its files and answer; usually it takes less than a second."""

SOCKET_BYTES = 107
"""The length of `sun_path` without its terminating zero (unix(7))."""

SUFFIX_BYTES = len(".4194304")
"""supervisor 4.3 first binds the socket as NAME.PID; no pid is longer (proc(5), pid_max)."""


def start_supervisord(
    configuration: Path,
    timeout: float = PATIENCE_SECONDS,
    *,
    command: Path | None = None,
    service: Service | None = None,
    held: Collection[str] = (),
) -> bool:
    """Start the supervisord of `configuration` unless it is running; return once it answers whether it was started.

    It is started by its unit `service` if that is installed; otherwise by `command`, or the supervisord of procman's
    own Python. The socket and pid file of a supervisord that was killed do not prevent the start. The programs in
    `held` are not started with it.
    """
    client = _client(configuration, timeout)
    try:
        client.call("getState")
    except NotRunning:
        pass
    except Fault as fault:
        if fault.code != SHUTDOWN_STATE:
            raise
        _wait_until_gone(client, None)
    else:
        return False
    check_socket_length(client.main.address)
    with held_back(client.main, held):
        _start(client, command, service)
    return True


def _start(client: Client, command: Path | None, service: Service | None) -> None:
    if service and service.can_start():
        service.start()
        _wait_until_answers(client, Completed((), 0, "", ""), service)
        return
    words = [str(command)] if command else [sys.executable, "-m", "supervisor.supervisord"]
    completed = capture([*words, "-c", str(client.main.path)], environment=_environment(), timeout=START_SECONDS)
    _wait_until_answers(client, completed)


def own_command() -> Path | None:
    """Return the supervisord beside procman's own Python, to be used in a unit or crontab; None if there is none."""
    beside = Path(sys.executable).with_name("supervisord")
    return beside if beside.exists() else None


def started_by_hand(configuration: Path, service: Service) -> int | None:
    """Return the pid of the supervisord of `configuration` if it is running, but not under its unit `service`."""
    try:
        pid = int(_client(configuration, PATIENCE_SECONDS).call("getPID", timeout=ANSWER_SECONDS))
        return None if service.main_pid() == pid else pid
    except ProcmanError:
        return None


def stop_supervisord(client: Client, progress: Progress, service: Service | None = None) -> bool:
    """Stop all programs gracefully and in parallel, then their supervisord; return whether it was running.

    Its unit `service`, if there is one, is disabled.
    """
    pid = _stop_programs(client, progress)
    if service:
        service.retire()
    try:
        client.call("shutdown")
    except NotRunning:
        if pid is None:
            return False
    except Fault as fault:
        if fault.code != SHUTDOWN_STATE:
            raise
    _wait_until_gone(client, pid)
    return True


def _stop_programs(client: Client, progress: Progress) -> int | None:
    """Stop all programs and return the pid of their supervisord; None if it is not running or is shutting down."""
    try:
        pid = int(client.call("getPID"))
        # supervisord's own shutdown would stop one group after another.
        stop_gracefully(client, _stop_timeouts(client), progress)
    except NotRunning:
        return None
    except Fault as fault:
        if fault.code != SHUTDOWN_STATE:
            raise
        return None
    return pid


def check_socket_length(socket: Path | tuple[str, int]) -> None:
    """Raise ProcmanError if the path of `socket`, with the suffix that supervisord adds, is too long for the kernel."""
    most = SOCKET_BYTES - SUFFIX_BYTES
    length = len(os.fsencode(socket)) if isinstance(socket, Path) else 0
    if length > most:
        raise ProcmanError(
            f"{socket}: the path of this socket has {length} bytes, more than the maximum of {most}",
            hint="Set XDG_STATE_HOME to a directory with a shorter path, then run `procman install` again.",
        )


def _stop_timeouts(client: Client) -> dict[str, float]:
    """Return the stop timeout of each loaded program; for programs no longer configured, the longest of all."""
    configured = {(each["group"], each["name"]): each["stopwaitsecs"] for each in client.call("getAllConfigInfo")}
    longest = max(configured.values(), default=0)
    loaded = [(info["group"], info["name"]) for info in client.call("getAllProcessInfo")]
    return {":".join(names): configured.get(names, longest) for names in loaded}


def _client(configuration: Path, timeout: float) -> Client:
    try:
        return Client(read_main_file(configuration), START_HINT, timeout)
    except NoConfiguration as error:
        raise NoConfiguration(error.message, hint="To write it, run `procman install`.") from None


def _environment() -> dict[str, str]:
    """Return an environment without the caller's variables, because all programs inherit supervisord's environment."""
    entry = account(None)  # None in a container that runs with a user id without an account
    return CLEAN_ENVIRONMENT | (login_environment(entry) if entry else {})


def _wait_until_answers(client: Client, completed: Completed, service: Service | None = None) -> None:
    # Another procman command may have started it at the same moment, so that this start found the socket in use.
    deadline = time.monotonic() + (1 if completed.status else START_SECONDS)
    while True:
        try:
            client.call("getState")
        except NotRunning:
            if time.monotonic() > deadline:
                raise _not_started(client, completed, service) from None
            time.sleep(0.05)
        else:
            return


def _not_started(client: Client, completed: Completed, service: Service | None) -> ProcmanError:
    if service:
        return ProcmanError(
            f"supervisord does not answer {START_SECONDS} s after systemd started it",
            hint=f"See {service.command('status')} and {client.main.log_file}.",
        )
    output = completed.stderr.rpartition("Error: ")[2].partition("For help,")[0]
    reason = without_content(output) or f"it does not answer, although its start exited with status {completed.status}"
    return ProcmanError(f"supervisord did not start: {reason}", hint=f"See {client.main.log_file}.")


def _wait_until_gone(client: Client, pid: int | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.call("getState")
        except NotRunning:
            if pid is None or not process.alive(pid):
                return
        except ProcmanError:
            # It reports that it is shutting down, or closes the connection.
            pass
        if time.monotonic() > deadline:
            raise ProcmanError(
                f"supervisord did not stop within {START_SECONDS} s", hint=f"See {client.main.log_file}."
            )
        time.sleep(0.05)
