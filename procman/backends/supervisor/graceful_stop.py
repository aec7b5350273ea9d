"""Stops programs of a supervisord so that running tasks finish, and waits for them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from procman.backends.base import Progress
from procman.backends.graceful_stop import StopWait
from procman.backends.supervisor.client import BAD_NAME, NOT_RUNNING, Client, Fault, Info
from procman.backends.supervisor.states import RUNNING_STATES, SIGNALLABLE_STATES, ended, state_of
from procman.errors import ProcmanError
from procman.host import process as processes
from procman.model import State

HEAD_START_SECONDS = 0.5
"""No Celery app is imported and connected to its broker in so short a time."""

EXEC_SECONDS = 5.0
"""How long supervisord's copy of itself may take on a busy host to become the program, and a script to start it."""

WRAPPERS = {"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox", "su", "runuser", "sudo"}
"""Programs that start another one and wait for it. TERM ends most of them at once and leaves the other one running."""


def stop_gracefully(client: Client, limits: Mapping[str, float], progress: Progress) -> None:
    """Stop the programs side by side and return when all have ended; LIMITS maps each, in order, to its stop timeout.

    What is not loaded counts as ended. Raises ProcmanError when one takes longer than supervisord should give it.
    """
    wait, pending = StopWait(progress), dict(limits)
    while True:
        for name, info in client.infos(pending).items():
            if info is None or ended(info):
                pending.pop(name)
            elif state_of(info) in RUNNING_STATES and not _is_being_forked(info["pid"]):
                # Also one that ended by itself as the order came, and was started again.
                _order(client, "stopProcess", name, False)
            elif state_of(info) is State.UNKNOWN:
                raise _lost(name, info)
        if not pending:
            return
        wait.sleep(pending)


def drain(client: Client, names: Iterable[str], seconds: float, progress: Progress) -> None:
    """Stop programs so that running tasks finish, whatever the sections say that supervisord has loaded for them.

    A section with `stopasgroup=true` or a short `stopwaitsecs` loses tasks when supervisord stops it. So TERM goes to
    the main process alone, without supervisord's knowing, for up to SECONDS; and what supervisord starts in its place
    is killed before it has come to ask for tasks. NAMES may be `group:name`. May be repeated after an interruption
    anywhere.
    """
    wait, limits = StopWait(progress), dict.fromkeys(names, seconds)
    mains = {name: int(info["pid"]) for name, info in client.infos(limits).items() if info and _has_process(info)}
    for name, pid in mains.items():
        _terminate(client, name, pid)
    last_alive = time.monotonic()
    while mains:
        wait.sleep(limits, HEAD_START_SECONDS / 10)
        asked_at = time.monotonic()
        _take_stock(client, mains, last_alive)
        last_alive = asked_at
    stop_gracefully(client, limits, progress)


def _take_stock(client: Client, mains: dict[str, int], last_alive: float) -> None:
    """Drop from MAINS, all of which lived at LAST_ALIVE, what has ended; and end what came in its place."""
    for name, info in client.infos(mains).items():
        pid = info["pid"] if info else 0
        if pid == mains[name]:
            continue
        if pid and time.monotonic() - last_alive > HEAD_START_SECONDS:
            # This host was too busy to be in time: the new process may have a task by now.
            _terminate(client, name, pid)
            mains[name] = pid
            continue
        if info and (left := _forestall(client, name)):
            _terminate(client, name, left)
            mains[name] = left
        else:
            del mains[name]


def unload(client: Client, names: Iterable[str]) -> list[str]:
    """Unload the groups that hold nothing but NAMES, which have ended; say what was done, and what could not be."""
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
    """Whether PID is still supervisord's own copy: it would swallow TERM as supervisord does, and live on."""
    words = processes.arguments(pid)
    return bool(words) and words == processes.arguments(processes.parent(pid) or 0)


def _wait_until_executed(pid: int) -> None:
    deadline = time.monotonic() + EXEC_SECONDS
    while _is_being_forked(pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _forestall(client: Client, name: str) -> int:
    """Stop NAME, whose process has ended and whose new one can have no task yet, with all that one has started.

    Return the pid of one that runs all the same, on a host too busy to be in time; 0 if there is none.
    """
    deadline = time.monotonic() + HEAD_START_SECONDS
    while (info := client.infos([name])[name]) and not ended(info) and time.monotonic() < deadline:
        pid = int(info["pid"])
        is_ours = pid and _may_signal(client, pid)
        if not is_ours:
            _order(client, "stopProcess", name, False)
        elif _leads_group(pid):
            # In this order: what is killed before the order is started again, and the order would then end the new
            # script alone. What a script leaves behind when it ends is still in its group.
            _order(client, "stopProcess", name, False)
            _kill_group(pid)
        time.sleep(0.01)
    return int(info["pid"]) if info and state_of(info) in RUNNING_STATES else 0


def _leads_group(pid: int) -> bool:
    """Whether supervisord has made PID the leader of a group of its own, as it does with each of its processes."""
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def _kill_group(pid: int) -> None:
    # Not ours to kill: supervisord's TERM must do.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _may_signal(client: Client, pid: int) -> bool:
    """Whether the supervisord that told of PID might signal it too; root does nothing for it that it may not (S3)."""
    if os.geteuid() != 0:
        return True
    answers_as = client.answers_as()
    return answers_as in (None, 0) or processes.user_of(pid) == answers_as


def _order(client: Client, method: str, name: str, what: object) -> None:
    """Give an order about the program NAME, which may have ended meanwhile."""
    try:
        client.call(method, name, what)
    except Fault as fault:
        if fault.code not in (NOT_RUNNING, BAD_NAME):
            raise


def _full(name: str) -> tuple[str, str]:
    group, _, process = name.partition(":")
    return group, process or group


def _lost(name: str, info: Info) -> ProcmanError:
    hint = f"See process {info['pid']}, and end it by hand." if info["pid"] else "Start supervisord again."
    return ProcmanError(f"{name}: supervisord has lost track of it (state UNKNOWN)", hint=hint)


def _terminate(client: Client, name: str, pid: int) -> None:
    """Send TERM to the main process, which is below PID if a shell waits there for it."""
    _wait_until_executed(pid)
    main = _main_process(name, pid)
    if main == pid:
        _order(client, "signalProcess", name, "TERM")
        return
    if not _may_signal(client, main):
        raise ProcmanError(
            f"{name}: its process {main} is not its supervisord's to stop", hint="See whose it is, and end it by hand."
        )
    try:
        os.kill(main, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise ProcmanError(
            f"{name}: may not signal its process {main}", hint="Run the same command with sudo."
        ) from None


def _main_process(name: str, pid: int) -> int:
    deadline = time.monotonic() + EXEC_SECONDS
    while Path((processes.arguments(pid) or [""])[0]).name.lstrip("-") in WRAPPERS:
        children = processes.children(pid)
        if not children:
            # It may be about to start one, which TERM to the script would leave running.
            if time.monotonic() > deadline:
                return pid
            time.sleep(0.01)
            continue
        if len(children) > 1:
            raise ProcmanError(
                f"{name}: process {pid} is a script with {len(children)} processes below it, so TERM could lose tasks",
                hint=f"When it runs no task, stop it with `supervisorctl stop {name}`, then run the command again.",
            )
        pid = children[0]
    return pid
