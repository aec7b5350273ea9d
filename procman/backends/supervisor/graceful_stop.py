"""Stop programs of a supervisord so that running tasks finish, and wait for them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from procman.accounts import user_id
from procman.backends.base import Progress
from procman.backends.graceful_stop import StopWait
from procman.backends.supervisor.client import BAD_NAME, NOT_RUNNING, Client, Fault, Info
from procman.backends.supervisor.states import RUNNING_STATES, SIGNALLABLE_STATES, ended, state_of
from procman.errors import ProcmanError
from procman.host import process as processes
from procman.host.process import users_of
from procman.host.signal_permission import SignalRefused, require_permission
from procman.model import State

HEAD_START_SECONDS = 0.5
"""Too short for a Celery app to be imported and connected to its broker."""

EXEC_SECONDS = 5.0
"""How long a forked supervisord may take on a busy host to exec the program, and a script to start it."""

WRAPPERS = {"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox", "su", "runuser", "sudo"}
"""Programs that start another program and wait for it. TERM ends most of them at once and leaves the other running."""


class _Direct(NamedTuple):
    """How main processes are stopped past supervisord."""

    user: str | None
    stop_signal: str
    is_own: bool


def stop_gracefully(client: Client, limits: Mapping[str, float], progress: Progress) -> None:
    """Stop programs in parallel and return when all have ended; `limits` maps each, in order, to its stop timeout.

    A program that is not loaded counts as ended. Raises ProcmanError if one is still running after supervisord should
    have killed it.
    """
    wait, pending = StopWait(progress), dict(limits)
    while True:
        for name, info in client.infos(pending).items():
            if info is None or ended(info):
                pending.pop(name)
            elif state_of(info) in RUNNING_STATES and not _is_being_forked(info["pid"]):
                # Even one that exited just before the command, and was restarted.
                _order(client, "stopProcess", name, False)
            elif state_of(info) is State.UNKNOWN:
                raise _lost(name, info)
        if not pending:
            return
        wait.sleep(pending)


def drain(
    client: Client,
    names: Iterable[str],
    seconds: float,
    progress: Progress,
    *,
    user: str | None,
    stop_signal: str = "TERM",
    is_own: bool = False,
) -> None:
    """Stop programs so that running tasks finish, even if the sections that supervisord has loaded would lose them.

    With `stopasgroup=true` or a short `stopwaitsecs`, a stop by supervisord loses tasks. So `stop_signal` goes to the
    main process directly, which then has up to `seconds` to finish; a process that supervisord starts in its place is
    killed before it can receive tasks. `names` may be `group:name`; `user` is that of the programs. If the loaded
    sections are procman's own (`is_own`), a shell is the command itself; in others it may only wait for the program.
    Can be repeated after an interruption at any point.
    """
    wait, limits = StopWait(progress), dict.fromkeys(names, seconds)
    how = _Direct(user, stop_signal, is_own)
    mains = {name: int(info["pid"]) for name, info in client.infos(limits).items() if info and _has_process(info)}
    for name, pid in mains.items():
        _terminate(client, name, pid, how)
    last_alive = time.monotonic()
    while mains:
        wait.sleep(limits, HEAD_START_SECONDS / 10)
        asked_at = time.monotonic()
        _take_stock(client, mains, last_alive, how)
        last_alive = asked_at
    stop_gracefully(client, limits, progress)


def _take_stock(client: Client, mains: dict[str, int], last_alive: float, how: _Direct) -> None:
    """Remove ended processes from `mains`, all alive at `last_alive`, and stop those started in their place."""
    for name, info in client.infos(mains).items():
        pid = info["pid"] if info else 0
        if pid == mains[name]:
            continue
        if pid and time.monotonic() - last_alive > HEAD_START_SECONDS:
            # The host was too busy to act in time: the new process may already have a task.
            _terminate(client, name, pid, how)
            mains[name] = pid
            continue
        if info and (left := _forestall(client, name, how.user)):
            _terminate(client, name, left, how)
            mains[name] = left
        else:
            del mains[name]


def unload(client: Client, names: Iterable[str]) -> list[str]:
    """Unload the groups that contain only `names`, which have ended; return what was done and what was not possible."""
    stopped = {_full(name) for name in names}
    present = [(info["group"], info["name"]) for info in client.call("getAllProcessInfo")]
    done = []
    for group in sorted({group for group, _ in stopped}):
        members = {member for member in present if member[0] == group}
        if not members:
            continue
        if members <= stopped:
            client.call("removeProcessGroup", group)
            done.append(f"unloaded {group}")
        else:
            left = ", ".join(f"{group}:{name}" for _, name in sorted(members & stopped))
            done.append(f"stopped {left}, which stays listed until `supervisorctl update {group}` restarts that group")
    return done


def _has_process(info: Info) -> bool:
    return bool(info["pid"]) and state_of(info) in SIGNALLABLE_STATES


def _is_being_forked(pid: int) -> bool:
    """Return whether `pid` is still a forked supervisord, which would handle TERM itself and keep running."""
    words = processes.arguments(pid)
    return bool(words) and words == processes.arguments(processes.parent(pid) or 0)


def _wait_until_executed(pid: int) -> None:
    deadline = time.monotonic() + EXEC_SECONDS
    while _is_being_forked(pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _forestall(client: Client, name: str, user: str | None) -> int:
    """Stop the program `name`, whose new process cannot have a task yet, together with everything it has started.

    Return the pid of a process that keeps running because the host was too busy to act in time; 0 if there is none.
    """
    deadline = time.monotonic() + HEAD_START_SECONDS
    while (info := client.infos([name])[name]) and not ended(info) and time.monotonic() < deadline:
        pid = int(info["pid"])
        is_ours = pid and _is_permitted(client, name, pid, user)
        if not is_ours:
            _order(client, "stopProcess", name, False)
        elif _leads_group(pid):
            # First the stop, then the kill: supervisord would restart a process killed before the stop, and the stop
            # would end only the new script. Processes that a script leaves behind are still in its group.
            _order(client, "stopProcess", name, False)
            _kill_group(pid)
        time.sleep(0.01)
    return int(info["pid"]) if info and state_of(info) in RUNNING_STATES else 0


def _leads_group(pid: int) -> bool:
    """Return whether `pid` leads its own process group, as each process that supervisord starts does."""
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def _kill_group(pid: int) -> None:
    # If procman may not kill it, supervisord's TERM has to suffice.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _require_permission(client: Client, name: str, pid: int, user: str | None, reported: int) -> None:
    """Raise SignalRefused if `pid`, which is the process `reported` by supervisord or a child of it, is not ours."""
    reporter = client.reporter()
    users = {user_id(user), reporter.user}
    if reporter.user == 0:
        # The section of an unmanaged program can name another user.
        users |= users_of(reported)
    require_permission(name, pid, [each for each in users if each is not None], reporter)


def _is_permitted(client: Client, name: str, pid: int, user: str | None) -> bool:
    with suppress(SignalRefused):
        _require_permission(client, name, pid, user, pid)
        return True
    return False


def _order(client: Client, method: str, name: str, what: object) -> None:
    """Send a command for the program `name`, which may have ended meanwhile."""
    try:
        client.call(method, name, what)
    except Fault as fault:
        if fault.code not in (NOT_RUNNING, BAD_NAME):
            raise


def _full(name: str) -> tuple[str, str]:
    group, _, process = name.partition(":")
    return group, process or group


def _lost(name: str, info: Info) -> ProcmanError:
    hint = f"Check process {info['pid']}, and stop it by hand." if info["pid"] else "Restart supervisord."
    return ProcmanError(f"{name}: supervisord has lost track of it (state UNKNOWN)", hint=hint)


def _terminate(client: Client, name: str, pid: int, how: _Direct) -> None:
    """Send the signal to the main process, which is a child of `pid` if that is a shell that waits for it."""
    _wait_until_executed(pid)
    main = pid if how.is_own else _main_process(name, pid)
    if main == pid:
        _order(client, "signalProcess", name, how.stop_signal)
        return
    _require_permission(client, name, main, how.user, pid)
    try:
        os.kill(main, signal.Signals[f"SIG{how.stop_signal}"])
    except ProcessLookupError:
        return
    except PermissionError:
        raise ProcmanError(
            f"{name}: no permission to signal its process {main}", hint="Run the same command with sudo."
        ) from None


def _main_process(name: str, pid: int) -> int:
    deadline = time.monotonic() + EXEC_SECONDS
    while Path((processes.arguments(pid) or [""])[0]).name.lstrip("-") in WRAPPERS:
        children = processes.children(pid)
        if not children:
            # It may be about to start a child, which TERM to the script would leave running.
            if time.monotonic() > deadline:
                return pid
            time.sleep(0.01)
            continue
        if len(children) > 1:
            raise ProcmanError(
                f"{name}: process {pid} is a script with {len(children)} child processes, so TERM could lose tasks",
                hint=f"Once it runs no tasks, stop it with `supervisorctl stop {name}`, then run this command again.",
            )
        pid = children[0]
    return pid
